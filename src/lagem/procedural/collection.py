"""Numbered procedural shapes. An index gives the same shape in every epoch and every process."""

from collections.abc import Sequence

from lagem.configuration.bounds import MOST_SHAPES, check_bounds
from lagem.procedural.furniture import CATEGORIES
from lagem.procedural.solids import ProceduralShape
from lagem.randomness import sample_generator


class Collection:
    """A collection of shapes of one split, in which the categories follow each other in a cycle.

    Args:
        split: Name of the split. It is part of the ids, so no shape is in two splits.
        count: Number of shapes, at most MOST_SHAPES.
        seed: Seed of the shapes.
        categories: Names of categories in `CATEGORIES`; None for all.
    """

    def __init__(self, *, split: str, count: int, seed: int, categories: Sequence[str] | None = None) -> None:
        check_bounds(f"the number of procedural shapes in {split}", count, least=0, most=MOST_SHAPES)
        self.split, self._count, self._seed = split, count, seed
        self._categories = list(CATEGORIES) if categories is None else list(categories)

    def __len__(self) -> int:
        return self._count

    def category(self, index: int) -> str:
        """Return the category of shape `index`."""
        return self._categories[index % len(self._categories)]

    def id(self, index: int) -> str:
        """Return the id of shape `index`, of the form `split-category-index`."""
        return f"{self.split}-{self.category(index)}-{index:06d}"

    def shape(self, index: int) -> ProceduralShape:
        """Return shape `index`."""
        return CATEGORIES[self.category(index)](sample_generator(self._seed, 0, self.id(index)))
