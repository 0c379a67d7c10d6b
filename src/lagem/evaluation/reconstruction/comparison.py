"""Compare two methods shape by shape, to tell which differences between their evaluations are more than chance.

A comparison has two sides, one for each method. A side is one evaluation, or several: one for each of several trainings
of the method that differ in their seeds.

Letters: S trainings, N shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.means import Mean
from lagem.evaluation.reconstruction.card import Card
from lagem.evaluation.reconstruction.methods import NO_WEIGHTS
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import LIMITS, nearest_tenth
from lagem.evaluation.reconstruction.trainings import Values, mean_of_known, read_cards, values_of

# Scores are comparable only if these fields agree. Paths of the data may differ if index.csv is the same.
COMPARED_FIELDS = ("preset", "truth", "index_sha256", "split", "points", "resolution", "seed")


@dataclass(frozen=True)
class Difference:
    """Difference of one measure between two sides, over the shapes that have a value in all evaluations.

    first, second: means of the two sides over these shapes.
    difference: second minus first, with a 95% interval over shapes, and over trainings if there are several.
    left_out: number of shapes that have no value in at least one evaluation. For example, a result without a surface
        has no Chamfer distance.
    """

    first: float
    second: float
    difference: Mean
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """Two sides, compared on their common shapes.

    first, second: folders of the two sides.
    trainings: S, the larger number of trainings of the two sides. The trainings are paired in the order of their
        folders' names.
    shapes: number of common shapes.
    unpaired: number of shapes that are missing in at least one evaluation.
    over_shapes: differences by measure, over the common shapes. A measure is left out if there is no shape that has a
        value of it in every evaluation.
    without_nearest: the same without the 10% of the shapes that lie nearest to training shapes (`nearest_tenth`); empty
        if no distance to the training set is known.
    by_category: differences by category and measure; empty if there is only one category.
    """

    first: str
    second: str
    trainings: int
    shapes: int
    unpaired: int
    over_shapes: dict[str, Difference]
    without_nearest: dict[str, Difference]
    by_category: dict[str, dict[str, Difference]]


def compare(folders: Sequence[Path]) -> list[Comparison]:
    """Compare the evaluations in the first folder with those in each of the later folders.

    Args:
        folders: At least two folders, one for each method. Each was written by `lagem evaluate`, or holds one such
            folder for each training.

    Raises:
        ValueError: If fewer than two folders are given, a folder has no card, two evaluations have different settings
            or data, or a later folder has no shape in common with the first folder. Also if the first and a later
            folder hold different numbers of evaluations; but for a method without weights, one is always enough.
    """
    if len(folders) < 2:
        raise ValueError(f"a comparison needs at least two evaluations, but the number given is {len(folders)}.")
    sides = [read_cards(folder) for folder in folders]
    first = sides[0]
    for card in [card for side in sides for card in side][1:]:
        _check_comparable(first[0], card)
    return [_compared(folders[0], first, folder, other) for folder, other in zip(folders[1:], sides[1:], strict=True)]


def _check_comparable(first: Card, other: Card) -> None:
    by_path = first.head.index_sha256 is None and other.head.index_sha256 is None
    for name in (*COMPARED_FIELDS, *(("data",) if by_path else ())):
        one, two = getattr(first.head, name), getattr(other.head, name)
        if one != two and (name == "preset" or None not in (one, two)):
            raise ValueError(
                f"{first.folder} and {other.folder} cannot be compared: {ReconstructionHead.key_of(name)} is {one!r} "
                f"in the first and {two!r} in the second; evaluate both with the same settings."
            )


def _compared(first_folder: Path, first: Sequence[Card], second_folder: Path, second: Sequence[Card]) -> Comparison:
    if len({len(side) for side in (first, second) if len(side) > 1 or side[0].head.weights != NO_WEIGHTS}) > 1:
        raise ValueError(
            f"the numbers of evaluations differ: {first_folder} has {len(first)}, {second_folder} has {len(second)}; "
            "give folders with equally many evaluations (a method without weights, such as retrieval, needs only one)."
        )
    cards = [*first, *second]
    common = [id for id in first[0].scores if all(id in card.scores for card in cards)]
    if not common:
        raise ValueError(
            f"{first_folder} and {second_folder} have no shape in common; evaluate both on the same shapes."
        )
    nearest = next(filter(None, (nearest_tenth([card.scores[id] for id in common]) for card in cards)), set())
    seed = first[0].head.seed or 0
    others = [id for id in common if id not in nearest]
    members: dict[str, list[str]] = {}
    for id in common:
        members.setdefault(first[0].scores[id].category, []).append(id)
    return Comparison(
        first=str(first_folder),
        second=str(second_folder),
        trainings=max(len(first), len(second)),
        shapes=len(common),
        unpaired=len({id for card in cards for id in card.scores} - set(common)),
        over_shapes=differences(values_of(first, common), values_of(second, common), seed),
        without_nearest=differences(values_of(first, others), values_of(second, others), seed) if nearest else {},
        by_category={
            category: differences(values_of(first, members[category]), values_of(second, members[category]), seed)
            for category in (sorted(members) if len(members) > 1 else ())
        },
    )


def paired_differences(pairs: Sequence[tuple[ShapeScore, ShapeScore]], seed: int) -> dict[str, Difference]:
    """Return the differences by measure, second minus first; each pair holds two scores of the same shape."""
    first, second = (
        {measure: np.array([[getattr(pair[side], measure) for pair in pairs]], dtype=np.float64) for measure in LIMITS}
        for side in (0, 1)
    )
    return differences(first, second, seed)


def differences(first: Values, second: Values, seed: int) -> dict[str, Difference]:
    """Return the differences by measure, second minus first, paired by training and shape.

    A measure is left out if there is no shape that has a value of it in every evaluation. If one side has only one
    training, this training is compared with each training of the other side.
    """
    found = {}
    for measure, values in first.items():
        one, two = np.broadcast_arrays(values, second[measure])
        most = LIMITS[measure][1]
        mean = mean_of_known(two - one, seed, limits=(-most, most))
        if mean is not None:
            known = ~np.isnan(two - one).any(axis=0)
            found[measure] = Difference(
                first=float(one[:, known].mean()),
                second=float(two[:, known].mean()),
                difference=mean,
                left_out=int((~known).sum()),
            )
    return found
