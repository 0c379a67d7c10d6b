"""Compare evaluations of the same shapes pair by pair, to tell which differences are more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.means import Mean, mean_of
from lagem.evaluation.reconstruction.card import Card, read_card
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import MEASURES, nearest_tenth

# Scores are comparable only if these fields agree. Paths of the data may differ if their indexes are the same.
COMPARED_FIELDS = ("preset", "truth", "index_sha256", "split", "points", "resolution", "seed")


@dataclass(frozen=True)
class Difference:
    """One measure of two evaluations, over the shapes that have a value in both.

    first, second: means over these shapes.
    difference: second minus first, with the 95% interval of the paired bootstrap.
    left_out: number of shapes without a value in one of the two; a result without a surface, for example, has no
        Chamfer distance.
    """

    first: float
    second: float
    difference: Mean
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """Two evaluations, compared on their common shapes.

    first, second: folders of the two evaluations.
    shapes: number of common shapes.
    unpaired: number of shapes that only one of the two has.
    over_shapes: differences by measure; a measure that no shape has in both evaluations is left out.
    without_nearest: differences by measure without the `nearest_tenth` of the shapes; empty if that is unknown.
    """

    first: str
    second: str
    shapes: int
    unpaired: int
    over_shapes: dict[str, Difference]
    without_nearest: dict[str, Difference]


def compare(folders: Sequence[Path]) -> list[Comparison]:
    """Compare each later evaluation with the first.

    Args:
        folders: At least two folders that `lagem evaluate` wrote.

    Raises:
        ValueError: If fewer than two folders are given, a folder has no card, or two evaluations differ in settings or
            data, or share no shape.
    """
    if len(folders) < 2:
        raise ValueError(f"a comparison needs at least two evaluations, but {len(folders)} was given.")
    first, *others = map(read_card, folders)
    for other in others:
        _check_comparable(first, other)
    return [_compared(first, other) for other in others]


def _check_comparable(first: Card, other: Card) -> None:
    by_path = first.head.index_sha256 is None and other.head.index_sha256 is None
    for name in (*COMPARED_FIELDS, *(("data",) if by_path else ())):
        one, two = getattr(first.head, name), getattr(other.head, name)
        if one != two and (name == "preset" or None not in (one, two)):
            raise ValueError(
                f"{first.folder} and {other.folder} cannot be compared: {ReconstructionHead.key_of(name)} is {one!r} "
                f"in the first and {two!r} in the second; evaluate both with the same settings."
            )


def _compared(first: Card, second: Card) -> Comparison:
    common = [id for id in first.scores if id in second.scores]
    if not common:
        raise ValueError(
            f"{first.folder} and {second.folder} have no shape in common; evaluate both on the same shapes."
        )
    pairs = [(first.scores[id], second.scores[id]) for id in common]
    nearest = nearest_tenth([pair[0] for pair in pairs]) or nearest_tenth([pair[1] for pair in pairs])
    seed = first.head.seed or 0
    return Comparison(
        first=str(first.folder),
        second=str(second.folder),
        shapes=len(common),
        unpaired=len(first.scores.keys() ^ second.scores.keys()),
        over_shapes=paired_differences(pairs, seed),
        without_nearest=paired_differences([pair for pair in pairs if pair[0].id not in nearest], seed)
        if nearest
        else {},
    )


def paired_differences(pairs: Sequence[tuple[ShapeScore, ShapeScore]], seed: int) -> dict[str, Difference]:
    """Return the differences by measure; each pair holds two scores of the same shape."""
    found = {}
    for measure in MEASURES:
        # None becomes nan
        values = np.array([[getattr(score, measure) for score in pair] for pair in pairs], dtype=np.float64)
        known = values[~np.isnan(values).any(axis=1)] if len(values) else values
        if len(known):
            found[measure] = Difference(
                first=float(known[:, 0].mean()),
                second=float(known[:, 1].mean()),
                difference=mean_of(known[:, 1] - known[:, 0], seed),
                left_out=len(values) - len(known),
            )
    return found
