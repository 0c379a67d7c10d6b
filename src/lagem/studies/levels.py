"""Study what each level carries: replace it by Gaussian noise (LaGeM appendix G), or decode the coarse levels only.

If noise in a level changes nothing, the decoder ignores that level, and generating it with a cascade is useless.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from lagem.diffusion.noise import draw_noise, torch_generator
from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.means import Mean
from lagem.evaluation.reconstruction.comparison import Difference, paired_differences
from lagem.evaluation.reconstruction.evaluation_set import EvaluationSet
from lagem.evaluation.reconstruction.examples import draw_results
from lagem.evaluation.reconstruction.methods import AutoencoderMethod
from lagem.evaluation.reconstruction.run import score_all
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise
from lagem.evaluation.report import print_plain, write_report
from lagem.evaluation.tables import TITLES, formatted_mean, markdown_table, terminal_table
from lagem.geometry.frame import Up
from lagem.geometry.picture import contact_sheet, save_picture

MEASURES = ("iou", "chamfer", "fscore_020")
PICTURED = 6  # maximum number of shapes in the picture
TILE_SIZE = 200  # pixels
DEFINITION = """\
Noise: the latents of that level are standard Gaussian. Level alone: the latents of finer levels are 0, their mean.
Brackets: 95% paired bootstrap interval of the difference from all levels. IoU is unbiased over the ball of radius √3. A
result without a surface has F-score 0 and no Chamfer distance; it is left out of the mean Chamfer distance, and of the
pairs for its difference."""


@dataclass(frozen=True)
class Variant:
    """A change of latents: one level may be replaced by noise, and the finest levels may be set to 0.

    noise: number of the level to replace by noise; None to replace no level.
    finest: number of the finest level that is not set to 0; 1 sets no level to 0.
    """

    noise: int | None = None
    finest: int = 1

    def name(self, num_levels: int) -> str:
        """Return the name of the variant in tables, such as "levels 3 to 2"."""
        if self.noise is not None:
            return f"noise in level {self.noise}"
        if self.finest == 1:
            return "all levels"
        return f"level {num_levels} alone" if self.finest == num_levels else f"levels {num_levels} to {self.finest}"

    def change(self, latents: Sequence[Tensor], id: str, *, seed: int) -> list[Tensor]:
        """Return the changed latents of one shape, (M_i, D_i) for each level i, from fine to coarse."""
        changed = []
        for level, z in enumerate(latents, start=1):
            if level == self.noise:
                z = draw_noise(z[None], [torch_generator(seed, 0, f"level {level} of {id}")])[0]
            changed.append(z if level >= self.finest else torch.zeros_like(z))
        return changed


def variants(num_levels: int) -> list[Variant]:
    """Return all variants for a network with this number of levels.

    The first variant changes nothing. The next variants keep only the coarsest level, only the two coarsest, and so on.
    The last variants have noise in one level, the coarsest level first.
    """
    coarse = [Variant(finest=level) for level in range(num_levels, 1, -1)]
    return [Variant(), *coarse, *(Variant(noise=level) for level in range(num_levels, 0, -1))]


@dataclass(frozen=True)
class LevelScores:
    """Scores of one variant.

    means: means by measure, over the shapes that have a value.
    differences: by measure, the difference from the variant "all levels", paired by shape; empty for that variant.
    empty: number of shapes for which this variant gives no surface.
    """

    name: str
    means: dict[str, Mean]
    differences: dict[str, Difference]
    empty: int


def study_levels(
    weights: str | Path,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    points: int = 20_000,
    resolution: int = 64,
    device: str = "cpu",
    seed: int = 0,
    up: Up | None = None,
) -> list[LevelScores]:
    """Score every variant of the latents on every shape, and write levels.json, levels.md and levels.png.

    Args:
        weights: Name or path of the weights, as `load_codec` takes it.
        data: A folder that `lagem prepare` wrote.
        output: Folder of the results; a killed study with the same settings resumes there.
        split: Split of the prepared folder.
        points: Number of points drawn on each result's surface.
        resolution: Number of cells along a side of the grid.
        device: Device of the network.
        seed: Seed of all random draws: of points and of noise.
        up: The axis that points up in the picture; None for that of the prepared folder, or z.
    """
    whole = AutoencoderMethod(
        weights, num_surface_points=None, points=points, resolution=resolution, device=device, seed=seed
    )
    shapes = EvaluationSet(data, split=split, points=points, seed=seed)
    head = whole.head.joined(shapes.head, ReconstructionHead(points=points, seed=seed))
    output.mkdir(parents=True, exist_ok=True)
    methods, scores, journals = {}, {}, []
    unreadable: dict[str, str] = {}
    for variant in variants(whole.num_levels):
        name = variant.name(whole.num_levels)
        methods[name] = whole.with_latents(partial(variant.change, seed=seed))
        journals.append(output / f".{name.replace(' ', '_')}.jsonl")
        all_scores, refused = score_all(methods[name], shapes, journals[-1], head, title=name)
        unreadable |= {score.id: score.reason for score in all_scores if score.id in refused}
        scores[name] = [score for score in all_scores if score.id not in refused]
    results = [_level_scores(name, scores["all levels"], found, seed) for name, found in scores.items()]
    measures = [measure for measure in MEASURES if measure in results[0].means]
    left_out = [f"left out: {id}: {reason}" for id, reason in unreadable.items()]
    lines = ["# Levels", "", *head.lines(), *(f"- {line}" for line in left_out), ""]
    lines += [*markdown_table(level_rows(results, measures)), "", DEFINITION]
    content = {"about": head.to_card(), "variants": [asdict(result) for result in results]}
    write_report(output, "levels", lines, content)
    _draw_variants(output / "levels.png", methods, shapes, [score.id for score in scores["all levels"]], up)
    for path in journals:
        path.unlink()
    console = Console(soft_wrap=True)
    for measure in measures:
        console.print(terminal_table(level_rows(results, [measure])))
    print_plain(console, [*left_out, f"levels.md, levels.json and levels.png are in {output}"])
    return results


def level_rows(results: Sequence[LevelScores], measures: Sequence[str]) -> list[list[str]]:
    """Return the rows of a table, titles first, with a row for each variant.

    A row holds the mean of each measure, and the mean difference from the variant "all levels", paired by shape.
    """
    rows = [["", *chain.from_iterable((TITLES[measure][0], "difference") for measure in measures), "without a surface"]]
    for result in results:
        cells = [result.name]
        for measure in measures:
            cells.append(formatted_mean(measure, result.means.get(measure), interval=False))
            change = result.differences.get(measure)
            cells.append(formatted_mean(measure, change.difference if change else None, interval=True, sign=True))
        rows.append([*cells, str(result.empty)])
    return rows


def _level_scores(name: str, whole: Sequence[ShapeScore], found: Sequence[ShapeScore], seed: int) -> LevelScores:
    summary = summarise(found, seed=seed)
    means = summary.over_shapes
    return LevelScores(
        name=name,
        means={measure: means[measure] for measure in MEASURES if measure in means},
        differences=paired_differences(list(zip(whole, found, strict=True)), seed) if found is not whole else {},
        empty=len(summary.failed),
    )


def _draw_variants(
    path: Path, methods: dict[str, AutoencoderMethod], shapes: EvaluationSet, ids: Sequence[str], up: Up | None
) -> None:
    """Write a picture with a row for the truth and one for each variant; its columns are shapes of the split."""
    count = min(PICTURED, len(ids))
    chosen = {ids[column * len(ids) // count] for column in range(count)}
    truths = shapes.truths(next(iter(methods.values())).num_surface_points, chosen)
    drawn = draw_results(truths, list(methods.values()), size=TILE_SIZE, up=up)
    rows = list(zip(*drawn.values(), strict=True))
    save_picture(contact_sheet(rows, column_titles=list(drawn), row_titles=["truth", *methods]), path)
