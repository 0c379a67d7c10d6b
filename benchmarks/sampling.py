"""Measures the quality of a cascade's samples, and the cost of each stage and of decoding, by number of sampler steps.

    make benchmark NAME=sampling ARGS="cascade --references procedural:4096+400 --output runs/sampling"

`--steps` lists choices of the number of sampler steps. With `--bfloat16`, the stages run each choice in bfloat16 too.
The same samples (seeds and categories) are generated once with each choice. Each batch is generated with all choices,
one after the other, before the next batch starts. Times are seconds per sample, as medians and quartiles over batches:
CPU seconds of this process on a CPU, wall-clock seconds on other devices. Quality is the mean Chamfer
distance of a sample to the same sample made with the last choice, minus the sampling floor, which is the distance
between two point samples of one surface. With `--references`, quality also includes the measures of
`lagem evaluate-generation`.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from lagem.diffusion.sampler import SamplerStep
from lagem.evaluation.generation.run import evaluate_generation
from lagem.evaluation.generation.summary import GenerationSummary
from lagem.evaluation.means import mean_of_defined
from lagem.evaluation.tables import TITLES, formatted_mean, markdown_table, terminal_table
from lagem.generation.bundle import load_bundle
from lagem.generation.generator import CascadedGenerator, GeneratedShape
from lagem.generation.report import GenerationReport
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.sources.data import resolve_data
from lagem.storage.atomic import write_json, write_text
from lagem.studies.study import SampledSurface, formatted_distance

MEASURES = ("mmd_chamfer", "coverage_chamfer", "one_nna_chamfer")
SHARES = {"recognised": "recognised", "one_solid": "one solid"}
DECODE = 0  # key of the time for decoding, among keys that are levels


@dataclass
class Side:
    """The samples made with one choice of the number of steps, and their cost.

    steps: Number of steps for each level, fine to coarse, or one number for all levels.
    bfloat16: Whether the stages run in bfloat16.
    shapes: The samples, in order.
    seconds: By level, a list with one value for each batch: the batch's time in seconds, divided by its number of
        samples. The values under the key `DECODE` are for decoding.
    evaluations: Number of network evaluations per sample, by level.
    """

    steps: list[int]
    bfloat16: bool = False
    shapes: list[GeneratedShape] = field(default_factory=list)
    seconds: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    evaluations: dict[int, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The numbers of steps as given on the command line, and the precision if it is not float32."""
        return ",".join(map(str, self.steps)) + (" bfloat16" if self.bfloat16 else "")

    def folder(self, output: Path) -> Path:
        """Return the folder of this side's meshes and their evaluation."""
        return output / f"steps_{self.name.replace(',', '_').replace(' ', '_')}"

    def make(self, generator: CascadedGenerator, args: argparse.Namespace, category: str | None, batch: range) -> None:
        """Generate one batch and record its cost."""
        spent: dict[int, float] = defaultdict(float)

        def on_step(level: int, step: SamplerStep) -> None:
            nonlocal last
            now = seconds(generator.device)
            spent[level] += now - last
            last = now
            self.evaluations[level] = step.num_evaluations

        last = seconds(generator.device)
        self.shapes += generator.stream(
            count=len(batch),
            category=category,
            seed=args.seed,
            first=batch.start,
            batch_size=len(batch),
            sampler=SamplerSettings(steps=self.steps, guidance=args.guidance, bfloat16=self.bfloat16),
            surface=SurfaceSettings(resolution=args.resolution),
            on_step=on_step,
        )
        spent[DECODE] = seconds(generator.device) - last
        for level, value in spent.items():
            self.seconds[level].append(value / len(batch))

    def distances_to(self, other: "Side", seed: int) -> list[float | None]:
        """Return the distance of each sample to the sample of equal index in `other`; None if either has no surface."""
        found = []
        for one, two in zip(self.shapes, other.shapes, strict=True):
            if one.mesh is None or two.mesh is None:
                found.append(None)
            else:
                own, its = (
                    SampledSurface.of(shape.mesh, f"{shape.index}, {side.name}", seed)
                    for shape, side in ((one, self), (two, other))
                )
                found.append(0.0 if self is other else own.distance_to(its))
        return found

    def evaluated(self, args: argparse.Namespace) -> GenerationSummary:
        """Write the meshes to a folder, and return the result of comparing them with the references."""
        folder = self.folder(args.output)
        about = {"bundle": str(args.bundle), "steps": self.steps, "bfloat16": self.bfloat16, "seed": args.seed}
        GenerationReport(folder / "samples", len(self.shapes), "ply", "z", about).take(self.shapes)
        references = resolve_data(args.references, seed=args.seed)
        return evaluate_generation(folder / "samples", references, folder / "evaluation", split=args.split)


def seconds(device: torch.device) -> float:
    """On a CPU, return the CPU time of this process; on other devices, await queued work and return the wall time."""
    if device.type == "cpu":
        return time.process_time()
    torch.accelerator.synchronize(device)
    return time.perf_counter()


def cost_rows(sides: Sequence[Side]) -> list[list[str]]:
    """Return the rows of the table of costs, header first; the stages are columns, the coarsest to the left."""
    levels = sorted((level for level in sides[0].seconds if level != DECODE), reverse=True)
    rows = [["steps", "evaluations", *(f"level {level}, s" for level in levels), "decoding, s"]]
    for side in sides:
        evaluations = " + ".join(str(side.evaluations[level]) for level in levels)
        rows.append([side.name, evaluations, *(spread(side.seconds[level]) for level in (*levels, DECODE))])
    return rows


def quality_rows(
    sides: Sequence[Side],
    distances: Sequence[Sequence[float | None]],
    summaries: Sequence[GenerationSummary],
    seed: int,
) -> list[list[str]]:
    """Return the rows of the table of quality, header first.

    Args:
        sides: The sides, one per row.
        distances: For each side, the distances of its samples to those of the last side.
        summaries: For each side, the comparison with the references. The list is empty if no references were given.
        seed: Seed of the bootstrap intervals.
    """
    shown = [name for name in MEASURES if any(name in summary.overall.means for summary in summaries)]
    shares = [name for name in SHARES if any(name in summary.overall.shares for summary in summaries)]
    titles = [*(TITLES[name][0] for name in shown), *(SHARES[name] for name in shares)]
    rows = [["steps", f"to {sides[-1].name} ×100", *titles]]
    for place, side in enumerate(sides):
        cells = [side.name, formatted_distance(mean_of_defined(distances[place], seed))]
        if summaries:
            overall = summaries[place].overall
            cells += [formatted_mean(name, overall.means.get(name), interval=True) for name in shown]
            for name in shares:
                share = overall.shares[name]
                cells.append(f"{share.successes} of {share.count} [{share.low:.0%}, {share.high:.0%}]")
        rows.append(cells)
    return rows


def spread(values: Sequence[float]) -> str:
    """Return the median and the quartiles as text."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def steps_of(text: str) -> list[int]:
    """Parse a number of steps for all levels, or one per level, fine to coarse, such as `8,12,18`."""
    return [int(number) for number in text.split(",")]


def main() -> None:
    """Generate and measure the samples, print the tables and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder that `lagem bundle` wrote")
    add("--output", type=Path, default=Path("runs/sampling"), metavar="DIR", help="folder (default: runs/sampling)")
    add("--category", nargs="+", metavar="NAME", help="categories to generate (default: all)")
    add("--count", type=int, default=8, metavar="N", help="samples per category (default: 8)")
    add(
        "--steps",
        type=steps_of,
        nargs="+",
        default=[[8], [12], [18], [32]],
        metavar="N",
        help="a number for all levels, or one per level, fine to coarse, as in 8,12,18 (default: 8 12 18 32)",
    )
    add("--bfloat16", action="store_true", help="run the stages in bfloat16 too, to compare")
    add("--guidance", type=float, nargs="+", default=[1.0], metavar="W", help="as in lagem generate (default: 1)")
    add("--batch-size", type=int, default=8, metavar="B", help="samples generated at once (default: 8)")
    add("--resolution", type=int, default=64, metavar="R", help="cells along a side of the grid (default: 64)")
    add("--references", metavar="DATA", help="real shapes, as in lagem evaluate-generation (default: none)")
    add("--split", default="val", metavar="NAME", help="split of the references (default: val)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the samples (default: 0)")
    add("--device", default="cpu", metavar="NAME", help="torch device (default: cpu)")
    args = parser.parse_args()
    precisions = (True, False) if args.bfloat16 else (False,)
    sides = [Side(steps, bfloat16) for bfloat16 in precisions for steps in args.steps]
    if args.references and (old := [side.folder(args.output) for side in sides if side.folder(args.output).exists()]):
        print(f"{old[0]} is from an earlier run. Remove it, or choose another --output.", file=sys.stderr)
        raise SystemExit(2)
    torch.set_num_threads(1)
    generator = load_bundle(args.bundle).to(args.device)
    batches = [
        (category, range(first, min(first + args.batch_size, (number + 1) * args.count)))
        for number, category in enumerate(args.category or generator.category_names or [None])
        for first in range(number * args.count, (number + 1) * args.count, args.batch_size)
    ]
    args.output.mkdir(parents=True, exist_ok=True)
    for category, batch in track(batches, "sampling"):
        for side in sides:
            side.make(generator, args, category, batch)
    distances = [side.distances_to(sides[-1], args.seed) for side in sides]
    summaries = [side.evaluated(args) for side in sides] if args.references else []
    tables = [cost_rows(sides), quality_rows(sides, distances, summaries, args.seed)]
    text = "\n\n".join("\n".join(markdown_table(rows)) for rows in tables) + "\n"
    write_text(args.output / "sampling.md", text)
    content = [
        {
            "steps": side.steps,
            "bfloat16": side.bfloat16,
            "evaluations": side.evaluations,
            "seconds": side.seconds,
            "distances": own,
        }
        for side, own in zip(sides, distances, strict=True)
    ]
    for row, summary in zip(content, summaries, strict=False):
        row["quality"] = asdict(summary.overall)
    write_json(args.output / "sampling.json", content, indent=1, ensure_ascii=True)
    for rows in tables:
        Console(width=160).print(terminal_table(rows))
    print(f"sampling.md and sampling.json are in {args.output}")


if __name__ == "__main__":
    main()
