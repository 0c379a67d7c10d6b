"""What a page consists of: titles, facts, tables, charts, pictures, and shapes to turn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lagem.reports.page.packed import PackedShape


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value."""

    entries: Sequence[tuple[str, str]]

    @classmethod
    def of_json(cls, values: Mapping[str, object]) -> "Facts":
        """Return the values of a JSON object as facts, except for null and empty lists."""
        return cls([(name, _in_words(value)) for name, value in values.items() if value not in (None, [])])


@dataclass(frozen=True)
class Paragraph:
    """Text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells, of which the first holds the titles."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """Curves over training steps, at most three.

    curves: By name, the (step, value) pairs in the order of the steps.
    """

    title: str
    curves: dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    charts: Sequence[Chart]


@dataclass(frozen=True)
class View:
    """A shape that can be turned.

    shape: None if there is no shape to show; the note then says why.
    kind: Whether it is an input or a result, which have different colours.
    """

    title: str
    shape: PackedShape | None
    note: str = ""
    kind: Literal["input", "result"] = "result"


@dataclass(frozen=True)
class Gallery:
    """Views, each turned by itself or, if the reader ticks a box, all together."""

    views: Sequence[View]


@dataclass(frozen=True)
class Row:
    """Views of one shape, which turn together, under a title."""

    title: str
    views: Sequence[View]


@dataclass(frozen=True)
class Image:
    """A picture in PNG format, and its description."""

    png: bytes
    text: str


Block = Facts | Paragraph | Table | Charts | Gallery | Row | Image


@dataclass(frozen=True)
class Section:
    """A titled part of a page."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A page.

    title: Its heading, and the title of the window.
    about: What it shows, in a sentence.
    """

    title: str
    about: str
    sections: Sequence[Section] = field(default_factory=list)


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return value if isinstance(value, str) else json.dumps(value)
