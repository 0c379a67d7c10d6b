"""Procedural shapes as a source of surfaces. They are the same shapes that `ProceduralDataModule` generates."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame, Up
from lagem.procedural.collection import Collection

SPELLING = re.compile(r"procedural:(\d{1,18})\+(\d{1,18})")


class ProceduralSurfaces:
    """Procedural shapes of the splits `train` and `val`, whose exact surfaces can be sampled.

    ids, categories, splits: one entry per shape.
    description: the settings that determine the shapes, in plain types.
    up: z, the axis that points up in all shapes.
    """

    def __init__(self, *, num_train: int, num_val: int, seed: int) -> None:
        """List shapes of all categories.

        Args:
            num_train: Number of shapes in the split `train`.
            num_val: Number of shapes in the split `val`.
            seed: Seed of the shapes.
        """
        counts = {"train": num_train, "val": num_val}
        collections = [Collection(split=split, count=count, seed=seed) for split, count in counts.items()]
        self._members = [(shapes, index) for shapes in collections for index in range(len(shapes))]
        self.ids = [shapes.id(index) for shapes, index in self._members]
        self.categories = [shapes.category(index) for shapes, index in self._members]
        self.splits = [shapes.split for shapes, _ in self._members]
        self.description: dict[str, Any] = {"procedural": {"train": num_train, "val": num_val, "seed": seed}}
        self.up: Up | None = "z"

    @classmethod
    def of(cls, text: str, *, seed: int) -> "ProceduralSurfaces":
        """Return the shapes that a text of the form `procedural:TRAIN+VAL` asks for."""
        found = SPELLING.fullmatch(text)
        if found is None or not any(map(int, found.groups())):
            raise ValueError(
                f"{text}: not of the form procedural:TRAIN+VAL with at least one shape; write, for example, "
                "procedural:1024+64."
            )
        return cls(num_train=int(found[1]), num_val=int(found[2]), seed=seed)

    def draw(self, index: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw (count, 3) points on the surface of shape `index`, in the unit-sphere frame."""
        shapes, number = self._members[index]
        return shapes.shape(number).sample_surface(count, rng)[0]

    def occupancy(self, index: int, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which of (N, 3) points in the unit-sphere frame are inside shape `index`, as (N,)."""
        shapes, number = self._members[index]
        return shapes.shape(number).occupancy(points)

    def frame(self, index: int) -> Frame:
        """Return the frame of shape `index`, which maps the coordinates of its parts to the unit sphere and back."""
        shapes, number = self._members[index]
        return shapes.shape(number).frame
