"""Classes that configurations in tests name by `class_path`; `NOTES` gets an entry when `Built` is built."""

from typing import Any

from lightning.pytorch import Callback

NOTES: list[str] = []


class KeepsAnything(Callback):
    """A callback with an argument of any type."""

    def __init__(self, *, anything: Any = None) -> None:
        super().__init__()
        self.anything = anything


class Built:
    """A class that is not a callback, and records that it was built."""

    def __init__(self) -> None:
        NOTES.append("built")
