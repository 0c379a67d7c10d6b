"""What to generate: free requests sample all levels, forced ones keep the coarse latents of real shapes.

A stage is trained on true coarser latents, but in a cascade it gets sampled ones. Comparing samples with true coarse
latents (teacher forcing) to free ones shows what that costs.
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
    first: Index of the first sample; it does not depend on how many samples other categories get.
    sources: For each sample the id of the real shape whose levels are kept, or "".
    given: Latents of the kept levels, (len(sources), M_i, D_i) by the level's number.
    """

    category: str | None
    first: int
    sources: list[str]
    given: dict[int, Tensor]


def free_requests(categories: Sequence[str | None], count: int) -> list[Request]:
    """Requests for `count` samples of each category from noise alone."""
    return [Request(name, index * count, [""] * count, {}) for index, name in enumerate(categories)]


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
    """Requests for samples that keep coarse levels of the first real shapes of each category, in the order of ids.

    The latents come from the first draw of each shape's surface.

    Args:
        cache: Made by `lagem encode` with the cascade's autoencoder.
        generator: The cascade.
        split: Split of the shapes.
        categories: Names of categories, or a single None for shapes of any category.
        every: Skip categories without a shape in the split, instead of refusing them.
        count: Maximum number of shapes per category.
        keep: Numbers of the coarsest levels.

    Raises:
        ValueError: If the cache is of another autoencoder or has no such shape, or the levels are not the coarsest.
    """
    levels = len(generator.specs)
    if not keep or sorted(keep, reverse=True) != list(range(levels, levels - len(keep), -1)):
        raise ValueError(
            f"--keep names the coarsest levels, from {levels} downwards without a gap, for example --keep {levels}, "
            f"but {' '.join(map(str, keep)) or 'nothing'} was given."
        )
    if count < 1:
        raise ValueError(f"--count must be at least 1, but {count} was given.")
    if cache.fingerprint != generator.codec.fingerprint:  # half precision changes the fingerprint
        check_fingerprint(generator.specs[0].autoencoder, cache.fingerprint, f"the latent cache {cache.root}")
    requests, missing = [], []
    for index, name in enumerate(categories):
        rows = _rows(cache, split, name)[:count]
        if not rows:
            missing.append(name or "any category")
            continue
        latents = [cache.latents(row) for row in rows]
        given = {level: torch.stack([torch.from_numpy(z[level - 1]) for z in latents]) for level in keep}
        requests.append(Request(name, index * count, [cache.ids[row] for row in rows], given))
    if missing and not (every and requests):
        raise ValueError(
            f"{cache.root} has no shape of {', '.join(missing)} in the split {split!r}. It has the splits "
            f"{', '.join(sorted(cache.splits.names))}: choose another with --split, or other categories."
        )
    return requests


def _rows(cache: LatentCache, split: str, category: str | None) -> list[int]:
    if category is not None and category not in cache.categories.names:
        return []
    return [int(row) for row in cache.members(None if category is None else {category}).get(split, ())]
