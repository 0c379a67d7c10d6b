"""Evaluate reconstructions, and write the card. Scores are saved to a journal, so a killed run can resume."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

from rich.console import Console

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.neighbours import Neighbours, find_neighbours
from lagem.evaluation.reconstruction.card import interval_rows, summary_rows, write_card, write_inner_faces
from lagem.evaluation.reconstruction.evaluation_set import EvaluationSet
from lagem.evaluation.reconstruction.examples import draw_examples
from lagem.evaluation.reconstruction.methods import AutoencoderMethod, Method, RetrievalMethod
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.status import score_journals
from lagem.evaluation.reconstruction.summary import Summary, summarise
from lagem.evaluation.reconstruction.truth import Truth, UnreadableShape
from lagem.evaluation.report import print_plain
from lagem.evaluation.tables import terminal_table
from lagem.geometry.frame import Up
from lagem.levels import Posterior
from lagem.progress import long_progress
from lagem.signals import kept_on_stop
from lagem.storage.atomic import remove_leftovers
from lagem.storage.journal import Journal
from lagem.storage.parts import Part, locked, status_line


def evaluate(
    weights: str | Path | None,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    num_surface_points: int | None = None,
    posterior: Posterior = "mean",
    points: int = 100_000,
    resolution: int = 128,
    device: str = "cpu",
    seed: int = 0,
    up: Up | None = None,
    part: Part | None = None,
    preset: Literal["vecset"] | None = None,
    outer: bool = False,
    categories: Sequence[str] | None = None,
) -> Summary | None:
    """Score every shape of a data set, and write scores.csv, card.json, card.md and examples.png.

    Args:
        weights: Name or path of the weights, as `load_codec` takes it; None for the retrieval baseline, which returns
            the nearest training shape.
        data: A folder that `lagem prepare` wrote, or raw meshes. Results are compared with the stored surfaces and
            labels, or with the surfaces of the meshes. Meshes have no labels, so they give no IoU.
        output: Folder of the card; a killed evaluation with the same settings resumes there.
        split: Split of a prepared folder.
        num_surface_points: N, the number of points given to the encoder; None takes the number used in training, or
            2,048 if `preset` is "vecset".
        posterior: Whether the mean of a level's KL posterior is decoded, or a sample of it.
        points: Number of points drawn on each result and each raw mesh for the distances. All stored points of a
            prepared shape are used.
        resolution: Number of cells along a side of the grid.
        device: Device of the network.
        seed: Seed of all random draws.
        up: The axis that points up in the picture; None for that of the shapes, as the prepared folder or a glTF file
            states it, or z.
        part: Score only this part of the shapes, and write no card. Parts may run at the same time, on several
            machines. Afterwards, a call without a part scores all shapes that have no score yet and writes the card.
        preset: Score as the script of 3DShape2VecSet does; see `lagem.evaluation.reconstruction.vecset`.
        outer: Leave out the faces of raw meshes that cannot be seen from outside, and list them in inner_faces.csv.
        categories: Score only shapes of these categories; None for all.

    Returns:
        The means of the scores, with intervals; None for a part.
    """
    autoencoder = None
    if weights is not None:
        autoencoder = AutoencoderMethod(
            weights,
            num_surface_points=num_surface_points,
            points=points,
            resolution=resolution,
            device=device,
            seed=seed,
            posterior=posterior,
            preset=preset,
        )
    elif preset is not None:
        raise ValueError(f"--preset {preset}: this preset scores networks, not retrieval; leave the option out.")
    elif posterior == "sample":
        raise ValueError("--posterior sample: retrieval has no latents to sample; leave the option out.")
    shapes = EvaluationSet(data, split=split, points=points, seed=seed, outer=outer, categories=categories)
    neighbours = Neighbours({}) if part and autoencoder else find_neighbours(shapes.shards, split, output)
    method: Method = autoencoder or RetrievalMethod(shapes.shards, neighbours, points=points)
    head = method.head.joined(shapes.head, ReconstructionHead(points=points, seed=seed))
    output.mkdir(parents=True, exist_ok=True)
    finished = "all scores are kept; the same command writes the card."
    with locked(output, "lagem evaluate", part), kept_on_stop(lambda: finished):
        if part is None:
            remove_leftovers(output)
        journal = output / (".scores.jsonl" if part is None else f".scores-{part.number}-{part.count}.jsonl")
        scores, unreadable = score_all(method, shapes, journal, head, part=part, others=score_journals(output))
        if part is not None:
            failed = sum(score.reason != "" for score in scores)
            line = status_line("shapes", total=len(scores), done=len(scores) - failed, refused=failed)
            print(f"part {part}: {line}. Once all parts are done, run the command without --part to write the card.")
            return None
        head = replace(head, nearest_training_shape=neighbours.unknown or "known, in scores.csv")
        scores = [_with_neighbour(score, neighbours) for score in scores]
        summary = summarise(scores, seed=seed)
        write_card(output, scores, summary, head)
        if outer:
            write_inner_faces(output / "inner_faces.csv", shapes.inner)
        if readable := [score for score in scores if score.id not in unreadable]:
            truths = partial(shapes.truths, method.num_surface_points)
            draw_examples(output / "examples.png", method, readable, truths, up=up)
        for path in score_journals(output):
            path.unlink()
    _print_summary(summary, output)
    return summary


def score_all(
    method: Method,
    shapes: EvaluationSet,
    journal: Path,
    head: ReconstructionHead,
    *,
    title: str = "evaluating",
    part: Part | None = None,
    others: Sequence[Path] = (),
) -> tuple[list[ShapeScore], set[str]]:
    """Score all shapes or a part of them, and append each score to a journal.

    Args:
        method: Computes the results.
        shapes: The evaluated shapes.
        journal: File to which scores are appended. Scores that it already holds are used if they have the same head.
        head: Head of the card; it identifies the evaluation.
        title: Title of the progress bar.
        part: Score only this part of the shapes.
        others: Journals of other runs. Their scores are also used if they have the same head.

    Returns:
        The scores, and the ids of the unreadable shapes.

    Raises:
        ValueError: If `part` is None and no shape can be read.
    """
    done = Journal(journal, head.to_card())
    done.borrow(others)
    ids = shapes.ids if part is None else part.items_of(shapes.ids)
    scores, unreadable = [], set()
    kept = f"{title}: {{}} of {len(ids)} scores are kept; the same command resumes."
    with kept_on_stop(lambda: kept.format(len(done.values.keys() & ids))), long_progress() as progress:
        task = progress.add_task(title, total=len(ids))
        for truth in shapes.truths(method.num_surface_points, only=None if part is None else set(ids)):
            if isinstance(truth, UnreadableShape):
                unreadable.add(truth.id)
            # a shape without a result is scored again, because its file may have been repaired
            if truth.id not in done.values or done.value(truth.id).as_dataclass(ShapeScore).reason:
                done.add(truth.id, asdict(_score(method, truth)))
            scores.append(done.value(truth.id).as_dataclass(ShapeScore))
            progress.advance(task)
    if part is None and len(unreadable) == len(scores):
        raise ValueError(f"none of the {len(scores)} shapes can be read. For {scores[0].id}: {scores[0].reason}")
    return scores, unreadable


def _score(method: Method, truth: Truth | UnreadableShape) -> ShapeScore:
    if isinstance(truth, UnreadableShape):
        return ShapeScore(id=truth.id, category=truth.category, reason=truth.reason)
    return method.score(truth)


def _with_neighbour(score: ShapeScore, neighbours: Neighbours) -> ShapeScore:
    neighbour = neighbours.by_id.get(score.id)
    if neighbour is None:
        return score
    return replace(score, nearest_train=neighbour.id, nearest_train_distance=neighbour.distance)


def _print_summary(summary: Summary, output: Path) -> None:
    console = Console(soft_wrap=True)
    titles, over_shapes, *others = summary_rows(summary, intervals=False)
    console.print(terminal_table([titles, over_shapes, *interval_rows(summary), *others]))
    print_plain(console, [f"{id}: {reason}" for id, reason in summary.failed.items()])
    print_plain(console, [f"card and examples are in {output}"])
