"""An evaluation from weights and data to its card; scores are kept as they come, so a killed run goes on."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.neighbours import Neighbours, find_neighbours
from lagem.evaluation.reconstruction.card import rows_of, write_card
from lagem.evaluation.reconstruction.evaluation_set import EvaluationSet
from lagem.evaluation.reconstruction.examples import draw_examples
from lagem.evaluation.reconstruction.methods import NO_WEIGHTS, Method, Reconstruction, Retrieval
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import Summary, summarise
from lagem.evaluation.reconstruction.truth import Truth, Untrue
from lagem.evaluation.tables import terminal_table
from lagem.progress import long_progress
from lagem.storage.atomic import remove_leftovers
from lagem.storage.digest import sha256_of
from lagem.storage.journal import Journal
from lagem.storage.locks import locked
from lagem.storage.parts import Part, status_line


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
    part: Part | None = None,
) -> Summary | None:
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
        part: Score this share of the shapes only, and write no card; parts may run at the same time, on several
            machines. A call without it scores what is missing and writes the card.

    Returns:
        Means and intervals; None of a part.
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
    neighbours = Neighbours({}) if part and reconstruction else find_neighbours(shapes.shards, split, output)
    method: Method = reconstruction or Retrieval(shapes.shards, neighbours, points=points)
    head = method.head.joined(shapes.head, ReconstructionHead(points=points, seed=seed))
    output.mkdir(parents=True, exist_ok=True)
    with locked(output, "lagem evaluate", part):
        if part is None:
            remove_leftovers(output)
        kept = output / (".scores.jsonl" if part is None else f".scores-{part.number}-{part.count}.jsonl")
        scores, unreadable = score_all(method, shapes, kept, head, part=part, others=kept_scores(output))
        if part is not None:
            failed = sum(score.reason != "" for score in scores)
            line = status_line("shapes", total=len(scores), done=len(scores) - failed, refused=failed)
            print(f"part {part}: {line}. When all parts are done, the same command without --part writes the card.")
            return None
        head = replace(head, nearest_training_shape=neighbours.unknown or "known, in scores.csv")
        scores = [_with_neighbour(score, neighbours) for score in scores]
        summary = summarise(scores, seed=seed)
        write_card(output, scores, summary, head)
        if readable := [score for score in scores if score.id not in unreadable]:
            truths = partial(shapes.truths, method.num_surface_points)
            draw_examples(output / "examples.png", method, readable, truths, up=up)
        for path in kept_scores(output):
            path.unlink()
    _print(summary, output)
    return summary


def evaluation_status(
    weights: Path | None,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    num_surface_points: int | None = None,
    points: int = 100_000,
    resolution: int = 128,
    seed: int = 0,
) -> str:
    """How many shapes have a score with these settings, were refused one, and have none yet.

    Reads the card and the kept scores only; a running evaluation is not disturbed. Arguments as for `evaluate`; without
    `num_surface_points` scores with any number of them count.
    """
    shapes = EvaluationSet(data, split=split, points=points, seed=seed)
    wanted = shapes.head.joined(ReconstructionHead(points=points, seed=seed))
    if weights is None:
        wanted = replace(wanted, weights=NO_WEIGHTS)
    else:
        sha256 = sha256_of(weights)
        wanted = replace(wanted, weights_sha256=sha256, surface_points_given=num_surface_points, resolution=resolution)
    scores: dict[str, Any] = {}
    if (output / "card.json").exists() and not kept_scores(output):
        card = json.loads((output / "card.json").read_text())
        if wanted.agrees_with(ReconstructionHead.from_card(card["about"])):
            scores = {score["id"]: score for score in card["scores"]}
    for path in kept_scores(output):
        kind, *lines = path.read_text(encoding="utf-8").split("\n")
        if wanted.agrees_with(ReconstructionHead.from_card(json.loads(kind))):
            scores.update(map(json.loads, lines[:-1]))  # the last is empty, or cut off
    refused = sum(scores[id]["reason"] != "" for id in shapes.ids if id in scores)
    done = sum(id in scores for id in shapes.ids) - refused
    return status_line("shapes", total=len(shapes.ids), done=done, refused=refused)


def kept_scores(output: Path) -> list[Path]:
    """Files in which unfinished evaluations keep their scores."""
    return sorted(output.glob(".scores*.jsonl"))


def score_all(
    method: Method,
    shapes: EvaluationSet,
    kept: Path,
    head: ReconstructionHead,
    *,
    title: str = "evaluating",
    part: Part | None = None,
    others: Sequence[Path] = (),
) -> tuple[list[ShapeScore], set[str]]:
    """Scores of all shapes, and the ids of those without a truth; ValueError where that is all of them.

    Args:
        method: Gives the results.
        shapes: What is evaluated.
        kept: File that scores are kept in as they come; those of a killed run of the same kind are taken from it.
        head: What tells this kind of run from others.
        title: Of the progress bar.
        part: Only this share of the shapes.
        others: Files that other runs keep scores in; those of the same kind are taken from them.
    """
    done = Journal(kept, head.to_card())
    done.borrow(others)
    ids = shapes.ids if part is None else part.share(shapes.ids)
    scores, unreadable = [], set()
    with long_progress() as progress:
        task = progress.add_task(title, total=len(ids))
        for truth in shapes.truths(method.num_surface_points, only=None if part is None else set(ids)):
            if isinstance(truth, Untrue):
                unreadable.add(truth.id)
            before = done.values.get(truth.id)
            if before is None or before["reason"]:  # what could not be read may have been mended
                done.add(truth.id, asdict(_score(method, truth)))
            scores.append(ShapeScore(**done.values[truth.id]))
            progress.advance(task)
    if part is None and len(unreadable) == len(scores):
        raise ValueError(f"none of the {len(scores)} shapes can be read. The first: {scores[0].id}: {scores[0].reason}")
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
