"""Does every level carry meaning? Each replaced by Gaussian noise (LaGeM appendix G), and the coarse ones alone.

A level whose noise changes nothing is ignored by the decoder, and a cascade built on it generates that level for
nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import Tensor

from lagem.diffusion.noise import draw_noise, torch_generator
from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.means import Mean
from lagem.evaluation.reconstruction.comparison import Difference, paired_differences
from lagem.evaluation.reconstruction.evaluation_set import EvaluationSet
from lagem.evaluation.reconstruction.methods import Reconstruction
from lagem.evaluation.reconstruction.run import score_all
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise
from lagem.evaluation.reconstruction.truth import Truth
from lagem.evaluation.tables import TITLES, figure_of_mean, markdown_table, terminal_table
from lagem.geometry.picture import contact_sheet, render_points, save_picture
from lagem.storage.atomic import write_json, write_text

MEASURES = ("iou", "chamfer", "fscore_020")
SHOWN = 6
DEFINITION = """\
Noise: the latents of that level are standard Gaussian. Levels alone: latents of finer levels are 0, their mean.
Brackets: 95% paired bootstrap interval of the difference to all levels. IoU is unbiased over the ball of radius √3. A
result without a surface has F-score 0 and no Chamfer: that mean is over the others, its difference over pairs."""


@dataclass(frozen=True)
class Variant:
    """What is done to the latents: `noise` is the level replaced by noise, `finest` the finest level that is kept."""

    noise: int | None = None
    finest: int = 1

    def name(self, num_levels: int) -> str:
        """As the tables have it."""
        if self.noise is not None:
            return f"noise in level {self.noise}"
        if self.finest == 1:
            return "all levels"
        return f"level {num_levels} alone" if self.finest == num_levels else f"levels {num_levels} to {self.finest}"

    def change(self, latents: Sequence[Tensor], id: str, *, seed: int) -> list[Tensor]:
        """Latents of one shape, (1, M_i, D_i) fine to coarse, under this variant."""
        changed = []
        for level, z in enumerate(latents, start=1):
            if level == self.noise:
                z = draw_noise(z, [torch_generator(seed, 0, f"level {level} of {id}")])
            changed.append(z if level >= self.finest else torch.zeros_like(z))
        return changed


def variants(num_levels: int) -> list[Variant]:
    """All levels, then coarse levels alone, coarsest first, then noise in each level, coarsest first."""
    coarse = [Variant(finest=level) for level in range(num_levels, 1, -1)]
    return [Variant(), *coarse, *(Variant(noise=level) for level in range(num_levels, 0, -1))]


@dataclass(frozen=True)
class LevelScores:
    """One variant: means of the measures, and their differences to the whole by pairs; `empty` had no surface."""

    name: str
    means: dict[str, Mean]
    differences: dict[str, Difference]
    empty: int


def study_levels(
    weights: Path,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    points: int = 20_000,
    resolution: int = 64,
    device: str = "cpu",
    seed: int = 0,
    up: Literal["y", "z"] = "z",
) -> list[LevelScores]:
    """Score every variant of the latents on every shape, and write levels.json, levels.md and levels.png.

    Args:
        weights: A checkpoint of `lagem fit`, or a safetensors file.
        data: A folder of `lagem prepare`.
        output: Folder of the results; a killed study of the same goes on there.
        split: Of the prepared folder.
        points: Points drawn on each result's surface.
        resolution: Cells along a side of the grid.
        device: Where the network runs.
        seed: Of the samplings and the noise.
        up: The axis that points up in the picture.
    """
    whole = Reconstruction(
        weights, num_surface_points=None, points=points, resolution=resolution, device=device, seed=seed
    )
    shapes = EvaluationSet(data, split=split, points=points, seed=seed)
    head = whole.head.joined(shapes.head, ReconstructionHead(points=points, seed=seed))
    output.mkdir(parents=True, exist_ok=True)
    methods, scores, kept = {}, {}, []
    unreadable: dict[str, str] = {}
    for variant in variants(whole.num_levels):
        name = variant.name(whole.num_levels)
        methods[name] = whole.with_latents(partial(variant.change, seed=seed))
        kept.append(output / f".{name.replace(' ', '_')}.jsonl")
        found, untrue = score_all(methods[name], shapes, kept[-1], head, title=name)
        unreadable |= {score.id: score.reason for score in found if score.id in untrue}
        scores[name] = [score for score in found if score.id not in untrue]
    results = [_summed_up(name, scores["all levels"], found, seed) for name, found in scores.items()]
    known = [measure for measure in MEASURES if measure in results[0].means]
    lines = ["# Levels", "", *head.lines()]
    left_out = [f"left out: {id}: {reason}" for id, reason in unreadable.items()]
    lines += [*(f"- {line}" for line in left_out), "", *markdown_table(rows_of(results, known))]
    write_text(output / "levels.md", "\n".join([*lines, "", DEFINITION]) + "\n")
    content = {"about": head.to_card(), "variants": [asdict(result) for result in results]}
    write_json(output / "levels.json", content, indent=1)
    _draw(output / "levels.png", methods, shapes, [score.id for score in scores["all levels"]], up)
    for path in kept:
        path.unlink()
    console = Console(soft_wrap=True)
    for measure in known:
        console.print(terminal_table(rows_of(results, [measure])))
    for line in left_out:
        console.print(line, markup=False, highlight=False)
    console.print(f"levels.md, levels.json and levels.png are in {output}", markup=False, highlight=False)
    return results


def rows_of(results: Sequence[LevelScores], measures: Sequence[str]) -> list[list[str]]:
    """Rows of a table: titles, then a row a variant, each mean followed by its difference to the whole."""
    rows = [["", *chain.from_iterable((TITLES[measure][0], "difference") for measure in measures), "without a surface"]]
    for result in results:
        cells = [result.name]
        for measure in measures:
            cells.append(figure_of_mean(measure, result.means.get(measure), interval=False))
            change = result.differences.get(measure)
            cells.append(figure_of_mean(measure, change.difference if change else None, interval=True, sign=True))
        rows.append([*cells, str(result.empty)])
    return rows


def _summed_up(name: str, whole: Sequence[ShapeScore], found: Sequence[ShapeScore], seed: int) -> LevelScores:
    summary = summarise(found, seed=seed)
    means = summary.over_shapes
    return LevelScores(
        name=name,
        means={measure: means[measure] for measure in MEASURES if measure in means},
        differences=paired_differences(list(zip(whole, found, strict=True)), seed) if found is not whole else {},
        empty=len(summary.failed),
    )


def _draw(
    path: Path, methods: dict[str, Reconstruction], shapes: EvaluationSet, ids: Sequence[str], up: Literal["y", "z"]
) -> None:
    """A column for each of some shapes, spread evenly over the split; a row for the truth and for each variant."""
    count = min(SHOWN, len(ids))
    shown = {ids[number * len(ids) // count] for number in range(count)}
    columns, titles = [], []
    for truth in shapes.truths(next(iter(methods.values())).num_surface_points, shown):
        if isinstance(truth, Truth):
            results = [method.draw(truth, size=200, up=up) for method in methods.values()]
            columns.append([render_points(truth.reference_points, size=200, up=up), *results])
            titles.append(truth.id)
    rows = list(zip(*columns, strict=True))
    save_picture(contact_sheet(rows, column_titles=titles, row_titles=["truth", *methods]), path)
