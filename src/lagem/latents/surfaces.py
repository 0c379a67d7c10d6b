"""Where the surface points that are encoded come from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.preparation.shards import Shards, random_window


class SurfaceSource(Protocol):
    """Shapes whose surface can be drawn from.

    ids, categories, splits: one entry a shape.
    description: what decides the shapes, in plain types.
    """

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def categories(self) -> Sequence[str]: ...

    @property
    def splits(self) -> Sequence[str]: ...

    description: dict[str, Any]

    def draw(self, index: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(count, 3) points of shape `index`'s surface, in the unit-sphere frame."""

    def frame(self, index: int) -> Frame:
        """Map between shape `index`'s source and the unit sphere."""


class PreparedSurfaces:
    """The shapes of a folder that `lagem prepare` wrote; a draw is a window of the stored points at a random place."""

    def __init__(self, root: str | Path) -> None:
        self._shards = Shards(root)
        self.ids: Sequence[str] = self._shards.ids
        self.categories: Sequence[str] = self._shards.categories
        self.splits: Sequence[str] = self._shards.splits
        self.description = self._shards.header

    def draw(self, index: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return random_window(self._shards, index, "surface_points", count, rng)

    def frame(self, index: int) -> Frame:
        return self._shards.frame(index)
