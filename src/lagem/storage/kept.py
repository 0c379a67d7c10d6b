"""Results of long work, kept as they come: a killed run of the same kind goes on where it stopped."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lagem.storage.atomic import write_text


class Kept:
    """Values by name, one a line of a file; those of another kind of run, and a line that was cut off, are dropped.

    values: what is kept so far, in plain types.

    Args:
        path: The file, in a folder that exists.
        kind: What tells this kind of run from others, in plain types.
    """

    def __init__(self, path: Path, kind: Any) -> None:
        self._path = path
        self._first = json.dumps(kind)
        lines = self._lines_of(path)
        self.values: dict[str, Any] = dict(map(json.loads, lines))
        write_text(path, "".join(f"{line}\n" for line in [self._first, *lines]))

    def borrow(self, others: Iterable[Path]) -> None:
        """Know the values of other runs of the same kind, too, which may still be under way."""
        for path in others:
            self.values.update(map(json.loads, self._lines_of(path)))

    def _lines_of(self, path: Path) -> list[str]:
        before, *lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
        return lines[:-1] if before == self._first else []  # the last one is empty, or cut off

    def add(self, name: str, value: Any) -> None:
        """Keep one more value."""
        self.values[name] = value
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")
