"""Write a report as `<name>.md` for people, and as `<name>.json` with the same numbers for programs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from lagem.storage.atomic import write_json, write_text
from lagem.storage.names import printable


def write_report(folder: Path, name: str, lines: Iterable[str], content: Any, *, ensure_ascii: bool = False) -> None:
    """Write a report as `<name>.md` and `<name>.json`.

    Args:
        folder: Created if it does not exist.
        name: Name of both files, without the extension.
        lines: Lines of the Markdown file.
        content: Content of the JSON file, in plain types.
        ensure_ascii: Escape all non-ASCII characters in the JSON file. This is needed if the content holds file names,
            because their bytes may not be valid UTF-8.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}.md", "".join(f"{line}\n" for line in lines))
    write_json(folder / f"{name}.json", content, indent=1, ensure_ascii=ensure_ascii)


def print_plain(console: Console, lines: Iterable[str]) -> None:
    """Print lines without markup or highlighting, and with unprintable characters escaped."""
    for line in lines:
        console.print(Text(printable(line)))
