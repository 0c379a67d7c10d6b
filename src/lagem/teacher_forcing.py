"""Teacher forcing: true latents of the coarse levels, of which the stages make the finer ones.

A stage is trained on true coarser latents, but a cascade gives it sampled ones. Samples from true latents beside free
ones show what that costs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lagem.latents.cache import LatentCache


def check_kept(keep: Sequence[int], num_levels: int) -> None:
    """ValueError where the kept levels are not the coarsest ones, without a gap."""
    expected = list(range(num_levels, num_levels - len(keep), -1))
    if not keep or sorted(keep, reverse=True) != expected:
        raise ValueError(
            f"the levels kept are the coarsest, {num_levels} downwards without a gap, but {list(keep)} was given."
        )


def categories_of(cache: LatentCache, split: str) -> set[str]:
    """Categories that have a shape in a split; ValueError where none has."""
    rows = cache.members(None).get(split, ())
    if not len(rows):
        raise ValueError(f"{cache.root} holds no shape in the split {split!r}.")
    return {cache.categories.names[code] for code in set(cache.categories.codes[rows].tolist())}


def true_latents(
    cache: LatentCache, *, split: str, category: str | None, count: int, keep: Sequence[int]
) -> dict[int, Tensor]:
    """Latents of the first shapes of a category, each from the first draw of its surface.

    Args:
        cache: Of `lagem encode`.
        split: Whose shapes.
        category: Of the shapes; None takes all.
        count: Most shapes.
        keep: Numbers of the levels.

    Returns:
        A (B, M_i, D_i) tensor for each level; B is less than `count` where there are fewer shapes.

    Raises:
        ValueError: The split has no such shape.
    """
    rows = cache.members(None if category is None else {category}).get(split, ())[:count]
    if not len(rows):
        what = "shape" if category is None else f"shape of category {category}"
        raise ValueError(f"{cache.root} holds no {what} in the split {split!r}.")
    latents = [cache.latents(int(row)) for row in rows]
    return {level: torch.stack([torch.from_numpy(z[level - 1]) for z in latents]) for level in keep}
