"""Teacher forcing: true latents of the coarse levels, of which the stages make the finer ones.

A stage is trained on true coarser latents, but a cascade gives it sampled ones. Samples from true latents beside free
ones show what that costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lagem.generation.generator import CascadedGenerator
from lagem.latents.cache import LatentCache
from lagem.weights.fingerprint import check_fingerprint


@dataclass(frozen=True)
class Request:
    """Samples of one category to make.

    category: None for a cascade without categories.
    first: index of the first sample: it does not depend on how many samples of other categories are made.
    sources: for each sample the id of the real shape that gives the kept levels, "" where none does.
    given: kept levels: number to (len(sources), M_i, D_i) latents.
    """

    category: str | None
    first: int
    sources: list[str]
    given: dict[int, Tensor]


def free_requests(categories: Sequence[str | None], count: int) -> list[Request]:
    """Requests for `count` samples of each category from noise alone."""
    return [Request(name, place * count, [""] * count, {}) for place, name in enumerate(categories)]


def forced_requests(
    cache: LatentCache,
    generator: CascadedGenerator,
    *,
    split: str,
    categories: Sequence[str | None],
    every: bool,
    count: int,
    keep: Sequence[int],
) -> list[Request]:
    """Requests for samples from the coarse levels of the first real shapes of each category, in the order of their ids.

    The latents are those of the first draw of each shape's surface.

    Args:
        cache: Of `lagem encode`, of the autoencoder of the cascade.
        generator: The cascade.
        split: Whose shapes.
        categories: Their names, or one None for shapes of any.
        every: Leave out categories that have no shape in the split.
        count: Most shapes of a category.
        keep: Numbers of the coarsest levels.

    Raises:
        ValueError: The cache is of another autoencoder or has no such shape, or the levels are not the coarsest.
    """
    levels = len(generator.specs)
    if not keep or sorted(keep, reverse=True) != list(range(levels, levels - len(keep), -1)):
        raise ValueError(
            f"--keep names the coarsest levels, from {levels} downwards without a gap, for example --keep {levels}, "
            f"but {' '.join(map(str, keep)) or 'nothing'} was given."
        )
    if count < 1:
        raise ValueError(f"--count must be at least 1, but {count} was given.")
    if cache.fingerprint != generator.codec.fingerprint:  # that of a bundle in half precision is its own
        check_fingerprint(generator.specs[0].autoencoder, cache.fingerprint, f"the latent cache {cache.root}")
    requests, missing = [], []
    for place, name in enumerate(categories):
        rows = _rows(cache, split, name)[:count]
        if not rows:
            missing.append(name or "any category")
            continue
        latents = [cache.latents(row) for row in rows]
        given = {level: torch.stack([torch.from_numpy(z[level - 1]) for z in latents]) for level in keep}
        requests.append(Request(name, place * count, [cache.ids[row] for row in rows], given))
    if missing and not (every and requests):
        raise ValueError(
            f"{cache.root} has no shape of {', '.join(missing)} in the split {split!r}. It has the splits "
            f"{', '.join(sorted(cache.splits.names))}: name another by --split, or other categories."
        )
    return requests


def _rows(cache: LatentCache, split: str, category: str | None) -> list[int]:
    if category is not None and category not in cache.categories.names:
        return []
    return [int(row) for row in cache.members(None if category is None else {category}).get(split, ())]
