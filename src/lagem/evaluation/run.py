"""An evaluation from weights and data to its card; scores are kept as they come, so a killed run goes on."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

from rich.console import Console

from lagem.evaluation.card import rows_of, write_card
from lagem.evaluation.evaluation_set import About, EvaluationSet
from lagem.evaluation.examples import draw_examples
from lagem.evaluation.kept import Kept
from lagem.evaluation.methods import Method, Reconstruction, Retrieval
from lagem.evaluation.neighbours import Neighbours, find_neighbours
from lagem.evaluation.score import ShapeScore
from lagem.evaluation.summary import Summary, summarise
from lagem.evaluation.tables import terminal_table
from lagem.evaluation.truth import Truth, Untrue
from lagem.progress import long_progress


def evaluate(
    weights: Path | None,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    num_surface_points: int | None = None,
    points: int = 100_000,
    resolution: int = 128,
    device: str = "cpu",
    seed: int = 0,
    up: Literal["y", "z"] = "z",
) -> Summary:
    """Score every shape of a data set, and write scores.csv, card.json, card.md and examples.png.

    Args:
        weights: A checkpoint of `lagem fit`, or a safetensors file; None for the retrieval baseline, which answers with
            the nearest training shape.
        data: A folder of `lagem prepare` (truth: its stored surface and labels), or meshes as they are (truth: their
            own surface; then there is no IoU).
        output: Folder of the card; a killed evaluation of the same goes on there.
        split: Of a prepared folder.
        num_surface_points: N, points given to the encoder; None takes as many as in training.
        points: Points drawn on each surface for the distances.
        resolution: Cells along a side of the grid.
        device: Where the network runs.
        seed: Of the samplings.
        up: The axis that points up in the picture.
    """
    reconstruction = None
    if weights is not None:
        reconstruction = Reconstruction(
            weights,
            num_surface_points=num_surface_points,
            points=points,
            resolution=resolution,
            device=device,
            seed=seed,
        )
    shapes = EvaluationSet(data, split=split, points=points, seed=seed)
    neighbours = find_neighbours(shapes.shards, split, output)
    method: Method = reconstruction or Retrieval(shapes.shards, neighbours, points=points)
    about: About = {**method.about, **shapes.about, "points": points, "seed": seed}
    about["nearest training shape"] = neighbours.unknown or "known, in scores.csv"
    output.mkdir(parents=True, exist_ok=True)
    kept = output / ".scores.jsonl"
    scores, unreadable = score_all(method, shapes, kept, about)
    scores = [_with_neighbour(score, neighbours) for score in scores]
    summary = summarise(scores, seed=seed)
    write_card(output, scores, summary, about)
    if readable := [score for score in scores if score.id not in unreadable]:
        truths = partial(shapes.truths, method.num_surface_points)
        draw_examples(output / "examples.png", method, readable, truths, up=up)
    kept.unlink()
    _print(summary, output)
    return summary


def score_all(
    method: Method, shapes: EvaluationSet, kept: Path, about: About, *, title: str = "evaluating"
) -> tuple[list[ShapeScore], set[str]]:
    """Scores of all shapes, and the ids of those without a truth.

    Args:
        method: Gives the results.
        shapes: What is evaluated.
        kept: File that scores are kept in as they come; those of a killed run of the same kind are taken from it.
        about: What tells this kind of run from others.
        title: Of the progress bar.
    """
    done = Kept(kept, about)
    scores, unreadable = [], set()
    with long_progress() as progress:
        task = progress.add_task(title, total=shapes.total)
        for truth in shapes.truths(method.num_surface_points):
            if isinstance(truth, Untrue):
                unreadable.add(truth.id)
            if truth.id not in done.values:
                done.add(truth.id, asdict(_score(method, truth)))
            scores.append(ShapeScore(**done.values[truth.id]))
            progress.advance(task)
    return scores, unreadable


def _score(method: Method, truth: Truth | Untrue) -> ShapeScore:
    if isinstance(truth, Untrue):
        return ShapeScore(id=truth.id, category=truth.category, reason=truth.reason)
    return method.score(truth)


def _with_neighbour(score: ShapeScore, neighbours: Neighbours) -> ShapeScore:
    neighbour = neighbours.by_id.get(score.id)
    if neighbour is None:
        return score
    return replace(score, nearest_train=neighbour.id, nearest_train_distance=neighbour.distance)


def _print(summary: Summary, output: Path) -> None:
    console = Console(soft_wrap=True)
    console.print(terminal_table(rows_of(summary, intervals=False)))
    for id, reason in summary.failed.items():
        console.print(f"{id}: {reason}", markup=False, highlight=False)
    console.print(f"card and examples are in {output}", markup=False, highlight=False)
