"""What a page consists of: titles, facts, tables, charts, pictures, and shapes to turn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lagem.reports.page.packed import PackedShape


@dataclass(frozen=True)
class Facts:
    """A list of pairs, each of a name and a value."""

    entries: Sequence[tuple[str, str]]

    @classmethod
    def of_json(cls, values: Mapping[str, object]) -> "Facts":
        """Return the entries of a JSON object as facts. Entries that are null or an empty list are left out."""
        return cls([(name, _in_words(value)) for name, value in values.items() if value not in (None, [])])


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table as rows of cells; the first row holds the titles of the columns."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A chart of at most three curves over training steps.

    curves: For each curve, by name, its (step, value) pairs in the order of the steps.
    """

    title: str
    curves: dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    charts: Sequence[Chart]


@dataclass(frozen=True)
class View:
    """A shape on a page, which the reader can turn.

    shape: The shape; None if there is no shape to show.
    notes: Lines below the title.
    reason: Why there is no shape; empty if there is one.
    kind: Whether the shape is an input or a result; the two have different colours.
    """

    title: str
    shape: PackedShape | None
    notes: Sequence[str] = ()
    reason: str = ""
    kind: Literal["input", "result"] = "result"


@dataclass(frozen=True)
class Gallery:
    """A group of views. The reader turns each view separately, or all together after ticking a box."""

    views: Sequence[View]


@dataclass(frozen=True)
class Row:
    """Views of one shape under a title. If the reader turns one of them, all turn."""

    title: str
    views: Sequence[View]


@dataclass(frozen=True)
class Image:
    """A picture in PNG format, with a text that describes it."""

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
    """An HTML page to write.

    title: Heading of the page, and title of the browser's window.
    about: What the page shows, in a sentence.
    """

    title: str
    about: str
    sections: Sequence[Section] = field(default_factory=list)


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return value if isinstance(value, str) else json.dumps(value)
