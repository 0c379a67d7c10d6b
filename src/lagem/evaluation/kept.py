"""Results of long work, kept as they come: a killed run of the same kind goes on where it stopped."""

import json
from pathlib import Path
from typing import Any


class Kept:
    """Values by name, one a line of a file; those of another kind of run, and a line that was cut off, are dropped.

    values: what is kept so far, in plain types.

    Args:
        path: The file, in a folder that exists.
        kind: What tells this kind of run from others, in plain types.
    """

    def __init__(self, path: Path, kind: Any) -> None:
        self._path = path
        first = json.dumps(kind)
        before, *lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
        complete = lines[:-1] if before == first else []  # the last one is empty, or cut off
        self.values: dict[str, Any] = dict(map(json.loads, complete))
        path.write_text("".join(f"{line}\n" for line in [first, *complete]), encoding="utf-8")

    def add(self, name: str, value: Any) -> None:
        """Keep one more value."""
        self.values[name] = value
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value]) + "\n")
