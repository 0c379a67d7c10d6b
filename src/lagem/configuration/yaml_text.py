"""Reads YAML that people write, after checking its size, its nesting, its aliases and its keys.

A YAML parser itself expands aliases and follows nesting without limit, and keeps the last of two equal keys.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from lagem.storage.names import regular

MOST_BYTES = 2**20
MOST_NODES = 5_000  # maximum number of values and keys; a node with an alias counts each time the alias is used
DEEPEST = 50
LONGEST_PLAIN = 2_000  # characters of a value without quotes; PyYAML takes minutes to read a long one as a number
MOST_INTERPOLATED = 5_000  # maximum total length of the values with an interpolation, whose grammar is parsed slowly
MERGE = "<<"  # key that inserts the keys of other mappings; a mapping may have it several times
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, kind: type) -> Any:
    """Return the content of a YAML file.

    Raises:
        ValueError: If the file is missing or refused, or its content is not of type `kind`; the message is one line.
    """
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
    """Return the text of a YAML file.

    Raises:
        ValueError: If the file is missing, too long or not in UTF-8; the message is one line.
    """
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
        raise ValueError(f"{path}: not text in UTF-8 ({error}); save the file in UTF-8.") from None


def check_yaml(text: str, name: str) -> None:
    """Raise ValueError if a YAML text is too large, is too deeply nested, contains itself, or gives a key twice.

    The message is one line. A text that is not valid YAML passes, because the parser's own error says better what is
    wrong.

    Args:
        text: The text.
        name: Name of the source of the text, for the message.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"{name}: is longer than {MOST_BYTES} characters, so it is no configuration; shorten it.")
    checker = _Checker(name)
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=LOADER):
            checker.take(event)


@dataclass
class _Collection:
    """An unfinished list or mapping of a YAML text: its end has not been read yet.

    anchor: Its anchor; None if it has no anchor.
    keys: For a mapping, the line of each of its keys so far; None for a list.
    nodes: Number of nodes that it has so far, including itself and with aliases expanded.
    at_key: Whether the next node of a mapping is a key.
    """

    anchor: str | None
    keys: dict[str, int] | None
    nodes: int = 1
    at_key: bool = True


class _Checker:
    """Checks the events of a YAML text one by one, and raises ValueError at the first event that breaks a limit."""

    def __init__(self, name: str) -> None:
        self._name, self._line = name, 0
        self._interpolated = 0  # characters
        self._unfinished: list[_Collection] = []
        self._nodes: dict[str, int] = {}  # number of nodes, by anchor
        self._texts: dict[str, str] = {}  # text of a scalar, by anchor

    def take(self, event: Any) -> None:
        """Check the next event of `yaml.parse`; raises ValueError if it breaks a limit."""
        self._line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            keys: dict[str, int] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
            self._unfinished.append(_Collection(event.anchor, keys))
            if len(self._unfinished) > DEEPEST:
                self._refuse(f"nested more than {DEEPEST} levels deep; flatten it")
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self._unfinished.pop()
            self._finish(ended.anchor, ended.nodes, None)
        elif isinstance(event, yaml.ScalarEvent):
            if event.implicit[0] and len(event.value) > LONGEST_PLAIN:
                self._refuse(f"a value of more than {LONGEST_PLAIN} characters without quotes; shorten it")
            self._interpolated += len(event.value) if "${" in event.value else 0
            if self._interpolated > MOST_INTERPOLATED:
                self._refuse(f"values with ${{…}} have more than {MOST_INTERPOLATED} characters in all; shorten them")
            self._finish(event.anchor, 1, event.value)
        elif isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in self._unfinished):
                self._refuse(f"the alias *{event.anchor} stands for a node that contains it; remove the alias")
            self._finish(None, self._nodes.get(event.anchor, 1), self._texts.get(event.anchor))

    def _finish(self, anchor: str | None, nodes: int, text: str | None) -> None:
        """Count a finished node in the list or mapping that contains it, and check the node if it is a key.

        Args:
            anchor: Anchor of the node; None if it has no anchor.
            nodes: Number of nodes in it, including itself.
            text: Its text if it is a scalar, else None.
        """
        if anchor is not None:
            self._nodes[anchor] = nodes
            if text is not None:
                self._texts[anchor] = text
        if not self._unfinished:
            return
        holder = self._unfinished[-1]
        holder.nodes += nodes
        if holder.nodes > MOST_NODES:
            self._refuse(f"more than {MOST_NODES} values, counted after expanding aliases; shorten it")
        if holder.keys is not None:
            if holder.at_key and text is not None and text != MERGE:
                if text in holder.keys:
                    self._refuse(f"the key {text!r} was already given in line {holder.keys[text]}; remove one of them")
                holder.keys[text] = self._line
            holder.at_key = not holder.at_key

    def _refuse(self, reason: str) -> NoReturn:
        raise ValueError(f"{self._name}: line {self._line}: {reason}.")
