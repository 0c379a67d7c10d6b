"""An append-only journal: results of a long job, stored one by one, so that a killed run can resume.

The first line identifies the kind of run that the values belong to; each further line is one value, `[name, value]` in
JSON. Appended lines go to the system at once but are not flushed to the disk one by one: a killed process loses none, a
power cut may cost the newest values, which the resumed run computes again.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lagem.failures import failures_named
from lagem.storage.atomic import write_text
from lagem.storage.checked.description import Description, parse_json
from lagem.storage.names import regular

JOURNAL_REMEDY = "remove it, and run the command again"


class Journal:
    """Values by name. Opening a journal drops values of another kind of run, and all after a damaged line.

    values: what the journal holds so far, in plain types.

    Args:
        path: The file, in a folder that exists.
        kind: Identifies the kind of run, in plain types.
    """

    def __init__(self, path: Path, kind: Any) -> None:
        self._path = path
        self._first = json.dumps(kind)
        self.values = self._values_of(path)
        write_text(path, "".join(f"{line}\n" for line in [self._first, *map(json.dumps, self.values.items())]))

    def borrow(self, others: Iterable[Path]) -> None:
        """Add to `values` those in other journals of the same kind, which other processes may be writing."""
        for path in others:
            self.values.update(self._values_of(path))

    def value(self, name: str) -> Description:
        """A value that is an object with fields, for checked access to them."""
        return self.description.object(name)

    @property
    def description(self) -> Description:
        """All values, for checked access to them."""
        return Description(str(self._path), self.values, remedy=JOURNAL_REMEDY)

    def add(self, name: str, value: Any) -> None:
        """Append one value."""
        self.values[name] = value
        with failures_named(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")

    def _values_of(self, path: Path) -> dict[str, Any]:
        kind, values = read_journal(path)
        return values if json.dumps(kind) == self._first else {}


def read_journal(path: Path) -> tuple[Any, dict[str, Any]]:
    """The kind of a journal, and its values before the first damaged line; another process may be writing it.

    Returns:
        Kind and values by name; None and no values if the file is missing or its first line is damaged.
    """
    with failures_named(path):
        first, *lines = (
            regular(path).read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else [""]
        )
    kind: Any = None
    values: dict[str, Any] = {}
    try:
        kind = parse_json(first, str(path), remedy=JOURNAL_REMEDY)
        for line in lines[:-1]:  # the last one is empty, or cut off
            name, value = parse_json(line, str(path), remedy=JOURNAL_REMEDY)
            if not isinstance(name, str):
                break
            values[name] = value
    except (ValueError, TypeError):  # a damaged line
        pass
    return kind, values
