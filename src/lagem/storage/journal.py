"""An append-only journal: a file to which a long job writes its results one by one, so that a killed job can resume.

The first line identifies the kind of run that the values belong to. Each further line holds one value, as the JSON list
`[name, value]`. A line is passed to the system at once, but not flushed to the disk. So a killed process loses nothing,
but a power cut may lose the newest values, which the resumed run computes again.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from lagem.storage.atomic import write_text
from lagem.storage.checked.description import MOST_BYTES, Description, parse_json
from lagem.storage.failures import failures_named
from lagem.storage.names import regular

JOURNAL_REMEDY = "remove it, and run the command again"


class Journal:
    """A journal of named values.

    Opening a journal removes the values of another kind of run from the file. It also removes the first damaged line
    and all lines after it.

    values: the values so far, by name, in plain types.

    Args:
        path: The journal's file; its folder must exist.
        kind: Identifies the kind of run; consists of plain types.
    """

    def __init__(self, path: Path, kind: Any) -> None:
        self._path = path
        self._first = json.dumps(kind)
        self.values = self._values_of(path)
        write_text(path, "".join(f"{line}\n" for line in [self._first, *map(json.dumps, self.values.items())]))

    def borrow(self, others: Iterable[Path]) -> None:
        """Add the values of other journals to `values`, but not to the file.

        Journals of another kind of run are ignored. Other processes may be writing to the journals.
        """
        for path in others:
            self.values.update(self._values_of(path))

    def value(self, name: str) -> Description:
        """Return the value with this name as a `Description`, whose methods check each field when it is read.

        Raises:
            ValueError: If there is no such value, or it is not a JSON object.
        """
        return self.description.object(name)

    @property
    def description(self) -> Description:
        """The values of the journal as a `Description`, whose methods check each value when it is read."""
        return Description(str(self._path), self.values, remedy=JOURNAL_REMEDY)

    def add(self, name: str, value: Any) -> None:
        """Append one value to the file, and add it to `values`."""
        self.values[name] = value
        with failures_named(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")

    def _values_of(self, path: Path) -> dict[str, Any]:
        kind, values = read_journal(path)
        return values if json.dumps(kind) == self._first else {}


def read_journal(path: Path) -> tuple[Any, dict[str, Any]]:
    """Read a journal up to its first damaged line; another process may be writing to it.

    Returns:
        The kind of run, and the values by name. If the file is missing or its first line is damaged, the kind is None
        and there are no values.
    """
    kind: Any = None
    values: dict[str, Any] = {}
    if not path.exists():
        return kind, values
    with failures_named(path), regular(path).open(encoding="utf-8", errors="replace") as file:
        lines = iter(partial(file.readline, MOST_BYTES), "")
        with suppress(ValueError, TypeError):  # a damaged line
            kind = parse_json(next(lines, ""), str(path), remedy=JOURNAL_REMEDY)
            for line in lines:
                name, value = parse_json(line, str(path), remedy=JOURNAL_REMEDY)
                if not isinstance(name, str) or not line.endswith("\n"):  # the end may be cut off
                    break
                values[name] = value
    return kind, values
