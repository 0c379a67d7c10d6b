"""Descriptions: the JSON objects in which files state what they hold.

A description comes from outside, so it is read with care. Its size and nesting are bounded, and a field is used only
after its type and its range were checked. Each error message is one line. It names the file, the field, what was found,
what is expected, and what to do. Fields that a reader does not know are ignored, so later versions can add fields.
"""

import json
import math
import reprlib
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from lagem.storage.failures import failures_named
from lagem.storage.names import regular

MOST_BYTES = 16 * 2**20  # parsing takes up to 25 times as much memory
MOST_BYTES_OF_CARD = 256 * 2**20  # enough for a million shapes
MOST_NESTING = 32
MOST_CHARACTERS = 2**16  # in one text; a CSV field may have twice as many
MOST_INTEGER = 2**63 - 1

Result = TypeVar("Result")


class Description:
    """A JSON object read from a file. Each method checks and returns one field, and raises ValueError if it is wrong.

    values: the fields as they were parsed, unchecked.

    Args:
        name: The file's name in messages.
        values: The parsed fields.
        remedy: What a user can do if a field is wrong, such as `copy it again`.
        prefix: Text that messages put before a field's name, to tell which object of the file it belongs to.
    """

    def __init__(self, name: str, values: dict[str, Any], *, remedy: str, prefix: str = "") -> None:
        self.name, self.values = name, values
        self._remedy, self._prefix = remedy, prefix

    def __contains__(self, field: str) -> bool:
        return field in self.values

    def text(self, field: str, *, choices: tuple[str, ...] = (), longest: int = MOST_CHARACTERS) -> str:
        """Return the value of a field, which must be a text and, if `choices` are given, one of them."""
        found = self.values.get(field)
        if not isinstance(found, str) or len(found) > longest or (choices and found not in choices):
            text = f"a text of at most {longest:,} characters"
            self.refuse(field, f"one of {', '.join(choices)}" if choices else text)
        return found

    def integer(self, field: str, *, at_least: int = -MOST_INTEGER, at_most: int = MOST_INTEGER) -> int:
        """Return the value of a field, which must be an integer from `at_least` to `at_most`."""
        found = self.values.get(field)
        if type(found) is not int or not at_least <= found <= at_most:
            self.refuse(field, f"an integer from {at_least} to {at_most}")
        return found

    def number(self, field: str) -> float:
        """Return the value of a field, which must be a finite number."""
        found: Any = self.values.get(field)
        if type(found) not in (int, float) or not _is_finite(found):
            self.refuse(field, "a finite number")
        return float(found)

    def truth(self, field: str) -> bool:
        """Return the value of a field, which must be true or false."""
        found = self.values.get(field)
        if not isinstance(found, bool):
            self.refuse(field, "true or false")
        return found

    def texts(self, field: str, *, length: int | None = None) -> list[str]:
        """Return the value of a field, which must be a list of texts.

        If `length` is given, the list must have this length.
        """
        found = self._list(field, length)
        if any(not isinstance(text, str) or len(text) > MOST_CHARACTERS for text in found):
            self.refuse(field, f"a list of texts of at most {MOST_CHARACTERS:,} characters")
        return found

    def object(self, field: str) -> "Description":
        """Return the value of a field, which must be a JSON object, as a `Description`."""
        found = self.values.get(field)
        if not isinstance(found, dict):
            self.refuse(field, "an object with fields")
        return self._inner(field, found)

    def objects(self, field: str, *, length: int | None = None) -> list["Description"]:
        """Return the value of a field, which must be a list of JSON objects.

        If `length` is given, the list must have this length.
        """
        found = self._list(field, length)
        if any(not isinstance(item, dict) for item in found):
            self.refuse(field, "a list of objects with fields")
        return [self._inner(f"{field}[{index}]", item) for index, item in enumerate(found)]

    def numbers(self, field: str) -> list[float]:
        """Return the value of a field, which must be a list of finite numbers."""
        found = self._list(field, None)
        if any(type(item) not in (int, float) or not _is_finite(item) for item in found):
            self.refuse(field, "a list of finite numbers")
        return [float(item) for item in found]

    def lists_of_numbers(self, field: str, *, length: int) -> list[list[float]]:
        """Return the value of a field, which must be a list of `length` lists of finite numbers."""
        items = {f"{field}[{index}]": item for index, item in enumerate(self._list(field, length))}
        inner = Description(self.name, items, remedy=self._remedy, prefix=self._prefix)
        return [inner.numbers(name) for name in items]

    def optional(self, read: Callable[[str], Result], field: str) -> Result | None:
        """Return what the method `read` returns for a field, or None if the field is missing or null."""
        return None if self.values.get(field) is None else read(field)

    def as_dataclass(self, kind: type[Result]) -> Result:
        """Return an instance of the dataclass `kind`, whose fields are read from the JSON fields of the same names.

        Fields of type str, int, float or bool are read, and so are optional ones, such as `int | None`. If the JSON
        object lacks such a field, its default is used. Without a default, an optional field becomes None, and any other
        raises ValueError. A field of type Literal must be present. Fields of other types are not read, so they need a
        default.
        """
        readers: dict[type[Any], Callable[[str], Any]] = {
            str: self.text,
            int: self.integer,
            float: self.number,
            bool: self.truth,
        }
        found: dict[str, Any] = {}
        for name, (plain, is_optional, has_default) in _plain_fields(kind).items():  # type: ignore[arg-type]
            choices = get_args(plain) if get_origin(plain) is Literal else ()
            if choices:
                found[name] = self.text(name, choices=choices)
            elif plain in readers and (name in self.values or not has_default):
                read = readers[plain]
                found[name] = self.optional(read, name) if is_optional else read(name)
        return kind(**found)

    def refuse(self, field: str, expected: str) -> NoReturn:
        """Raise a ValueError that says what a field holds, what it must be, and what to do."""
        found = f"is {reprlib.repr(self.values[field])}" if field in self.values else "is missing"
        raise ValueError(f"{self.name}: {self._prefix}{field} {found}, but must be {expected}; {self._remedy}.")

    def damaged(self, problem: str) -> ValueError:
        """Return a ValueError that names the file, and says what is wrong with it and what to do."""
        return ValueError(f"{self.name}: {problem}; {self._remedy}.")

    def _list(self, field: str, length: int | None) -> list[Any]:
        found = self.values.get(field)
        if not isinstance(found, list) or (length is not None and len(found) != length):
            self.refuse(field, "a list" if length is None else f"a list of {length} entries")
        return found

    def _inner(self, place: str, values: dict[str, Any]) -> "Description":
        return Description(self.name, values, remedy=self._remedy, prefix=f"{self._prefix}{place}.")


def parse_description(text: str | bytes, name: str, *, remedy: str, at_most: int = MOST_BYTES) -> Description:
    """Parse a JSON object.

    Args:
        text: The JSON text; bytes must be UTF-8.
        name: The file's name in messages.
        remedy: What a user can do if the file is damaged.
        at_most: The largest accepted size in bytes.

    Raises:
        ValueError: If the text is not one JSON object, exceeds a bound, or gives a field twice. NaN and infinities are
            accepted here, but refused when `number` or `numbers` reads them.
    """
    found = parse_json(text, name, remedy=remedy, at_most=at_most)
    if not isinstance(found, dict):
        raise ValueError(f"{name}: holds {reprlib.repr(found)}, but must hold a JSON object; {remedy}.")
    return Description(name, found, remedy=remedy)


def parse_json(text: str | bytes, name: str, *, remedy: str, at_most: int = MOST_BYTES) -> Any:
    """Parse a JSON value of any type, with the checks and arguments of `parse_description`."""
    if len(text) > at_most:
        raise ValueError(f"{name}: its JSON is longer than the limit of {at_most:,} bytes; {remedy}.")
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
        found = json.loads(plain, object_pairs_hook=_object)
        _check_nesting(found, MOST_NESTING)
    except RecursionError:
        raise ValueError(f"{name}: its JSON is nested more than {MOST_NESTING} levels deep; {remedy}.") from None
    except ValueError as error:
        raise ValueError(f"{name}: not JSON in UTF-8, or damaged ({error}); {remedy}.") from None
    return found


def read_description(path: Path, *, remedy: str, name: str | None = None, at_most: int = MOST_BYTES) -> Description:
    """Parse a file that holds a JSON object.

    Args:
        path: The file.
        remedy: What a user can do if the file is damaged.
        name: The file's name in messages; None for its path.
        at_most: The largest accepted size in bytes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged.
    """
    with failures_named(path), regular(path).open("rb") as file:
        content = file.read(at_most + 1)
    return parse_description(content, name or str(path), remedy=remedy, at_most=at_most)


def read_json(path: Path, *, remedy: str) -> Any:
    """Parse a file that holds a JSON value of any type.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged.
    """
    with failures_named(path), regular(path).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    return parse_json(content, str(path), remedy=remedy)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        known: set[str] = set()
        doubled = next(name for name, _ in pairs if name in known or known.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the field {reprlib.repr(doubled)} is given twice")
    return found


def _check_nesting(value: Any, most: int) -> None:
    if not isinstance(value, dict | list):
        return
    if most == 0:
        raise RecursionError
    for item in value.values() if isinstance(value, dict) else value:
        _check_nesting(item, most - 1)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond float
        return False


@cache
def _plain_fields(kind: type[Any]) -> dict[str, tuple[Any, bool, bool]]:
    """Return, for each field of a dataclass, its type, whether it may be None, and whether it has a default."""
    assert is_dataclass(kind)
    found = {}
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint = hints[field.name]
        is_optional = NoneType in get_args(hint)
        plain = next(one for one in get_args(hint) if one is not NoneType) if is_optional else hint
        found[field.name] = (plain, is_optional, field.default is not MISSING)
    return found
