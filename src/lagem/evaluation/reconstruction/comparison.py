"""Evaluations of the same shapes held against one another, pair by pair: which difference is more than chance?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.means import Mean, mean_of
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import MEASURES, nearest_tenth

# what must agree for two figures to mean the same; paths may differ where the index tells that the shapes do not
DEFINING = ("truth", "index_sha256", "split", "points", "resolution", "seed")


@dataclass(frozen=True)
class Card:
    """An evaluation that was written to a folder: what was evaluated on what, and the scores by id."""

    folder: Path
    head: ReconstructionHead
    scores: dict[str, ShapeScore]


@dataclass(frozen=True)
class Difference:
    """One measure of two evaluations, over the shapes that have a value in both.

    first, second: means over these shapes.
    difference: of the second less the first, with the 95% interval of the paired bootstrap.
    left_out: shapes without a value in one of the two, e.g. the Chamfer distance of a result without a surface.
    """

    first: float
    second: float
    difference: Mean
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """Two evaluations on the shapes that both have.

    first, second: their folders.
    shapes: how many both have; unpaired: how many only one has.
    over_shapes: differences by measure; a measure without any pair is left out.
    without_nearest: the same without the nearest tenth of the shapes; empty where it is not known.
    """

    first: str
    second: str
    shapes: int
    unpaired: int
    over_shapes: dict[str, Difference]
    without_nearest: dict[str, Difference]


def compare(folders: Sequence[Path]) -> list[Comparison]:
    """Each of the other evaluations against the first.

    Args:
        folders: Two or more that `lagem evaluate` wrote.

    Raises:
        ValueError: Where a folder has no card, or two cards measure different things.
    """
    if len(folders) < 2:
        raise ValueError(f"a comparison needs two evaluations or more, but {len(folders)} was given.")
    first, *others = map(read_card, folders)
    for other in others:
        _check_alike(first, other)
    return [_compared(first, other) for other in others]


def read_card(folder: Path) -> Card:
    """The card of an evaluation; ValueError where it is missing or damaged."""
    path = folder / "card.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = {row["id"]: ShapeScore(**row) for row in content["scores"]}
        return Card(folder=folder, head=ReconstructionHead.from_card(dict(content["about"])), scores=scores)
    except FileNotFoundError:
        raise ValueError(f"{folder}: has no card.json; write it with `lagem evaluate ... --output {folder}`.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged, or of another lagem ({type(error).__name__}: {error}).") from None


def _check_alike(first: Card, other: Card) -> None:
    by_path = first.head.index_sha256 is None and other.head.index_sha256 is None
    for name in (*DEFINING, *(("data",) if by_path else ())):
        one, two = getattr(first.head, name), getattr(other.head, name)
        if one is not None and two is not None and one != two:
            raise ValueError(
                f"{first.folder} and {other.folder} cannot be compared: {ReconstructionHead.key_of(name)} is {one!r} "
                f"in the one and {two!r} in the other; evaluate both alike."
            )


def _compared(first: Card, second: Card) -> Comparison:
    both = [id for id in first.scores if id in second.scores]
    if not both:
        raise ValueError(f"{first.folder} and {second.folder} have no shape in common, so there is nothing to compare.")
    pairs = [(first.scores[id], second.scores[id]) for id in both]
    nearest = nearest_tenth([pair[0] for pair in pairs]) or nearest_tenth([pair[1] for pair in pairs])
    seed = first.head.seed or 0
    return Comparison(
        first=str(first.folder),
        second=str(second.folder),
        shapes=len(both),
        unpaired=len(first.scores.keys() ^ second.scores.keys()),
        over_shapes=paired_differences(pairs, seed),
        without_nearest=paired_differences([pair for pair in pairs if pair[0].id not in nearest], seed)
        if nearest
        else {},
    )


def paired_differences(pairs: Sequence[tuple[ShapeScore, ShapeScore]], seed: int) -> dict[str, Difference]:
    """Differences of all measures; each pair has two scores of one shape."""
    found = {}
    for measure in MEASURES:
        values = np.array(
            [[getattr(score, measure) for score in pair] for pair in pairs], dtype=np.float64
        )  # None: nan
        known = values[~np.isnan(values).any(axis=1)] if len(values) else values
        if len(known):
            found[measure] = Difference(
                first=float(known[:, 0].mean()),
                second=float(known[:, 1].mean()),
                difference=mean_of(known[:, 1] - known[:, 0], seed),
                left_out=len(values) - len(known),
            )
    return found
