"""Convert docstrings to reStructuredText: mark up code and fields, and escape reStructuredText's special characters."""

import re
from collections.abc import Iterator
from typing import Any

FIELD = re.compile(r"[a-z]\w*: ")
MARKUP = re.compile(r"[\\*|]|_(?!\w)")


def mark_up_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place, as Sphinx's event `autodoc-process-docstring` asks for."""
    lines[:] = marked_up(lines, is_class=what == "class", is_module=what == "module")


def marked_up(lines: list[str], *, is_class: bool = False, is_module: bool = False) -> list[str]:
    """Return a docstring as reStructuredText for napoleon.

    Args:
        lines: The docstring, without common indentation.
        is_class: Whether it documents a class. Then lines of the form `name: text` that follow an empty line are
            read as a list of the class's fields.
        is_module: Whether indented lines are Python code.
    """
    if is_module:
        return list(_with_code(lines))
    return list(_with_fields([_escaped(line) for line in lines]) if is_class else map(_escaped, lines))


def _escaped(line: str) -> str:
    """Escape markup outside backquotes."""
    parts = line.split("`")
    parts[::2] = [MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


def _with_fields(lines: list[str]) -> Iterator[str]:
    """Yield the lines, with each field as a paragraph that starts with the field's name as code."""
    in_fields, before = False, ""
    for line in lines:
        if FIELD.match(line) and (in_fields or not before.strip()):
            in_fields = True
            name, text = line.split(": ", 1)
            yield from ("", f"``{name}``: {text}")
        else:
            in_fields = in_fields and bool(line.strip())
            yield line.strip() if in_fields else line
        before = line


def _with_code(lines: list[str]) -> Iterator[str]:
    """Put a `code-block` directive before each indented paragraph."""
    before = ""
    for line in lines:
        if line.startswith("    ") and not before.strip():
            yield from (".. code-block:: python", "")
        yield line if line.startswith("    ") else _escaped(line)
        before = line
