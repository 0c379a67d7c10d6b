"""An evaluation from weights and data to its card; scores are kept as they come, so a killed run goes on."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Column, Table

from lagem.evaluation.card import rows_of, write_card
from lagem.evaluation.score import ShapeScore, score_shape
from lagem.evaluation.summary import Summary, summarise
from lagem.evaluation.truth import Truth, Untrue, truths_of_meshes, truths_of_prepared
from lagem.models import Autoencoder
from lagem.preparation import Shards, find_meshes
from lagem.progress import long_progress
from lagem.weights import load_autoencoder

About = dict[str, str | int | float]


def evaluate(
    weights: Path,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    num_surface_points: int | None = None,
    points: int = 100_000,
    resolution: int = 128,
    device: str = "cpu",
    seed: int = 0,
) -> Summary:
    """Score an autoencoder on every shape of a data set, and write scores.csv, card.json and card.md.

    Args:
        weights: A checkpoint of `lagem fit`, or a safetensors file.
        data: A folder of `lagem prepare` (truth: its stored surface and labels), or meshes as they are (truth: their
            own surface; then there is no IoU).
        output: Folder of the card; a killed evaluation of the same goes on there.
        split: Of a prepared folder.
        num_surface_points: N, points given to the encoder; None takes as many as in training.
        points: Points drawn on each surface for the distances.
        resolution: Cells along a side of the grid.
        device: Where the network runs.
        seed: Of the samplings.
    """
    autoencoder, trained_with = load_autoencoder(weights)
    autoencoder.to(device)
    count = num_surface_points or trained_with
    prepared = (data / "format.json").exists()
    about: About = {
        "weights": str(weights),
        "weights' sha256": sha256_of(weights),
        "data": str(data),
        "truth": "prepared: the stored surface and labels" if prepared else "input: the meshes' own surface",
        "split": split if prepared else "all",
        "surface points given": count,
        "points": points,
        "resolution": resolution,
        "seed": seed,
    }
    truths: Iterator[Truth | Untrue]
    if prepared:
        total = Shards(data).splits.count(split)
        about["index's sha256"] = sha256_of(data / "index.csv")
        truths = truths_of_prepared(data, split=split, num_surface_points=count, seed=seed)
    else:
        total = len(find_meshes([data], val_share=0))
        truths = truths_of_meshes([data], num_surface_points=count, num_reference_points=points, seed=seed)
    if total == 0:
        raise ValueError(f"{data}: holds no shape of split {split!r}; it has {sorted(set(Shards(data).splits))}.")
    output.mkdir(parents=True, exist_ok=True)
    scores = _scores(autoencoder, truths, output / ".scores.jsonl", about, total, torch.device(device))
    summary = summarise(scores, seed=seed)
    write_card(output, scores, summary, about)
    (output / ".scores.jsonl").unlink()
    _print(summary, output)
    return summary


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content: kept scores are of these weights and shapes, not just of their paths."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scores(
    autoencoder: Autoencoder,
    truths: Iterator[Truth | Untrue],
    kept: Path,
    about: About,
    total: int,
    device: torch.device,
) -> list[ShapeScore]:
    """Scores of all truths; those that a killed run of the same kind left in the file are taken from there."""
    done = _kept_scores(kept, about)
    lines = [json.dumps(about), *(json.dumps(asdict(score)) for score in done.values())]
    kept.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")  # without a line that was cut off
    scores = []
    with long_progress() as progress, kept.open("a", encoding="utf-8") as file:
        task = progress.add_task("evaluating", total=total)
        for truth in truths:
            score = done.get(truth.id)
            if score is None:
                score = _score(autoencoder, truth, about, device)
                file.write(json.dumps(asdict(score)) + "\n")
                file.flush()
            scores.append(score)
            progress.advance(task)
    return scores


def _score(autoencoder: Autoencoder, truth: Truth | Untrue, about: About, device: torch.device) -> ShapeScore:
    if isinstance(truth, Untrue):
        return ShapeScore(id=truth.id, category=truth.category, reason=truth.reason)
    with torch.no_grad():
        surface_points = torch.from_numpy(truth.surface_points).unsqueeze(0).to(device)
        field = autoencoder.decode(autoencoder.encode(surface_points)).select(0)
        return score_shape(
            truth,
            field,
            resolution=int(about["resolution"]),
            points=int(about["points"]),
            seed=int(about["seed"]),
            device=device,
        )


def _kept_scores(kept: Path, about: About) -> dict[str, ShapeScore]:
    if not kept.exists():
        return {}
    first, *lines = kept.read_text(encoding="utf-8").split("\n")
    if first != json.dumps(about):
        return {}
    scores = [ShapeScore(**json.loads(line)) for line in lines[:-1]]  # the last one is empty, or cut off
    return {score.id: score for score in scores}


def _print(summary: Summary, output: Path) -> None:
    header, *rows = rows_of(summary, intervals=False)
    table = Table(Column(header[0], no_wrap=True), *header[1:])
    for row in rows:
        table.add_row(*row)
    console = Console(soft_wrap=True)
    console.print(table)
    for id, reason in summary.failed.items():
        console.print(f"{id}: {reason}", markup=False, highlight=False)
    console.print(f"scores.csv, card.json and card.md are in {output}", markup=False, highlight=False)
