"""YAML that people write, checked before it is parsed: its size, its nesting, its aliases and its keys.

A parser of YAML expands aliases and follows nesting as far as a text asks, and keeps the last of two equal keys.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from lagem.storage.names import regular

MOST_BYTES = 2**20
MOST_NODES = 5_000  # values and keys; what an alias names counts as often as it is named
DEEPEST = 50
MERGE = "<<"  # names other mappings, whose keys the mapping takes over; may be given several times
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, kind: type) -> Any:
    """The content of a YAML file; raises ValueError in one line if it is not of the given type."""
    text = read_yaml_text(path)
    check_yaml(text, str(path))
    try:
        content = yaml.load(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: not valid YAML ({error}).") from None
    if not isinstance(content, kind):
        raise ValueError(f"{path}: holds a {type(content).__name__}, but a {kind.__name__} is needed.")
    return content


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file; raises ValueError in one line if it is missing, too long or not in UTF-8."""
    try:
        with regular(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file.") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path}: is longer than {MOST_BYTES} bytes, so it is no configuration; give another file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text in UTF-8 ({error}); save it in UTF-8.") from None


def check_yaml(text: str, name: str) -> None:
    """Raise ValueError in one line if a YAML text is too large or too deep, or gives a key twice.

    A text that is no YAML passes: its parser says why.

    Args:
        text: The text.
        name: Where it is from, for the message.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"{name}: is longer than {MOST_BYTES} characters, so it is no configuration; shorten it.")
    checker = _Checker(name)
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=LOADER):
            checker.take(event)


@dataclass
class _Collection:
    """An unfinished list or mapping.

    keys: of a mapping, with their lines; None for a list.
    nodes: it and what it holds so far, aliases expanded.
    """

    anchor: str | None
    keys: dict[str, int] | None
    nodes: int = 1
    at_key: bool = True


class _Checker:
    """Takes the events of a text in order; raises ValueError at the first that is refused."""

    def __init__(self, name: str) -> None:
        self._name, self._line = name, 0
        self._unfinished: list[_Collection] = []
        self._nodes: dict[str, int] = {}  # by anchor
        self._texts: dict[str, str] = {}  # of scalars, by anchor

    def take(self, event: Any) -> None:
        """Count an event of `yaml.parse`."""
        self._line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            keys: dict[str, int] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
            self._unfinished.append(_Collection(event.anchor, keys))
            if len(self._unfinished) > DEEPEST:
                self._refuse(f"nested deeper than {DEEPEST}; flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self._unfinished.pop()
            self._finish(ended.anchor, ended.nodes, None)
        elif isinstance(event, yaml.ScalarEvent):
            self._finish(event.anchor, 1, event.value)
        elif isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in self._unfinished):
                self._refuse(f"*{event.anchor} names what it is part of; remove it")
            self._finish(None, self._nodes.get(event.anchor, 1), self._texts.get(event.anchor))

    def _finish(self, anchor: str | None, nodes: int, text: str | None) -> None:
        """Add a node to the collection that holds it; `text` if it is a scalar."""
        if anchor is not None:
            self._nodes[anchor] = nodes
            if text is not None:
                self._texts[anchor] = text
        if not self._unfinished:
            return
        holder = self._unfinished[-1]
        holder.nodes += nodes
        if holder.nodes > MOST_NODES:
            self._refuse(f"more than {MOST_NODES} values, aliases expanded; shorten it")
        if holder.keys is not None:
            if holder.at_key and text is not None and text != MERGE:
                if text in holder.keys:
                    self._refuse(f"the key {text!r} was given in line {holder.keys[text]} already; remove one")
                holder.keys[text] = self._line
            holder.at_key = not holder.at_key

    def _refuse(self, reason: str) -> NoReturn:
        raise ValueError(f"{self._name}: line {self._line}: {reason}.")
