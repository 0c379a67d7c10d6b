"""What a page consists of: titles, facts, tables, charts, pictures, and shapes to turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lagem.reports.page.packed import PackedShape


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value."""

    entries: Sequence[tuple[str, str]]


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
