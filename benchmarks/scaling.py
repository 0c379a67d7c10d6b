"""Measures how the cost of a training step depends on its sizes, and how throughput depends on the process count.

    make benchmark NAME=scaling
    make benchmark NAME=scaling ARGS="--axes latents batch --setting large --device cuda --precision bfloat16"
    make benchmark NAME=scaling ARGS="--axes ranks --rounds 3 --steps 15 --batch 4"

The measured step is that of LaGeM in `training_step.py`. Each axis halves and doubles one size, such as the number of
latents, while the other sizes keep the values of the setting. The sizes of an axis alternate in one process.

For the axis `ranks`, `lagem fit` trains the toy autoencoder by turns with one process and, under DDP, with several: two
processes on a CPU, or one for each GPU. Every process has one thread and the same batch size, and generates its own
data. Exports and validation are off. Times are wall-clock times of the steps after the first ten.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from interleaved import clock_of, in_words, interleaved, quartiles, ratios, write_rows
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import track
from rich.table import Table
from training_step import SETTINGS, Run, Setting, Side, peak_bytes

from lagem.device import named_device
from lagem.models.attention import Step

ROOT = Path(__file__).resolve().parents[1]
FACTORS = (0.5, 1.0, 2.0)
WARM_UP = 10  # steps before the timed ones, for the axis `ranks`


def times_latents(setting: Setting, factor: float) -> Setting:
    """Return the setting with `factor` times as many latents on each level."""
    return replace(setting, latents=tuple(int(count * factor) for count in setting.latents))


def times_points(setting: Setting, factor: float) -> Setting:
    """Return the setting with `factor` times as many input points."""
    return replace(setting, num_surface_points=int(setting.num_surface_points * factor))


def times_queries(setting: Setting, factor: float) -> Setting:
    """Return the setting with `factor` times as many queries."""
    return replace(setting, num_queries=int(setting.num_queries * factor))


SIZES: dict[str, Callable[[Setting, float], Setting]] = {
    "latents": times_latents,
    "points": times_points,
    "queries": times_queries,
    "batch": lambda setting, factor: setting,
}


def measure_axis(axis: str, args: argparse.Namespace) -> list[dict[str, object]]:
    """Return a row of results for each size on an axis."""
    device, precision = named_device(args.device), getattr(torch, args.precision)
    sides = {factor: Side(SIZES[axis](SETTINGS[args.setting], factor), "LaGeM", args.step) for factor in FACTORS}
    batches = {factor: int(args.batch * factor) if axis == "batch" else args.batch for factor in FACTORS}
    peaks = {factor: peak_bytes(side, device, batches[factor], precision) for factor, side in sides.items()}
    runs = {str(factor): Run(side, device, batches[factor], precision) for factor, side in sides.items()}
    works = {name: partial(lambda run, _: run.step(), run) for name, run in runs.items()}
    times = interleaved(works, args.rounds, warm=True, clock=clock_of(device))
    return [
        {
            "axis": axis,
            "factor": factor,
            "batch": batches[factor],
            "setting": asdict(side.setting),
            **asdict(side.cost(batches[factor], precision)),
            "peak_bytes": peaks[factor],
            "seconds": times[str(factor)],
            "to_setting": ratios(times[str(factor)], times[str(1.0)]),
        }
        for factor, side in sides.items()
    ]


class StepTimes(Callback):
    """Write the total duration of all steps but the first WARM_UP ones to `seconds.txt` in the run folder."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock after the first WARM_UP steps, and stop it after the last step."""
        if trainer.global_step not in (WARM_UP, trainer.max_steps):
            return
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        if trainer.global_step == WARM_UP:
            self.start = time.perf_counter()
        elif trainer.is_global_zero:
            (Path(trainer.default_root_dir) / "seconds.txt").write_text(str(time.perf_counter() - self.start))


def samples_a_second(ranks: int, args: argparse.Namespace) -> float:
    """Train with `ranks` processes, and return the samples per second of all processes together."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "lagem", "fit", f"--config={ROOT / 'experiments/autoencoder/toy.yaml'}"),
            f"--trainer.default_root_dir={folder}",
            f"--trainer.accelerator={'cpu' if args.device == 'cpu' else 'gpu'}",
            f"--trainer.devices={ranks}",
            *(["--trainer.strategy=ddp"] if ranks > 1 else []),
            f"--trainer.max_steps={WARM_UP + args.steps}",
            "--trainer.precision=32-true",
            "--trainer.limit_val_batches=0",
            "--trainer.enable_progress_bar=false",
            "--trainer.callbacks=[{class_path: scaling.StepTimes}]",
            f"--data.init_args.batch_size={args.batch}",
            "--data.init_args.num_workers=0",
        ]
        searched = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        variables = {"PYTHONPATH": searched, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        run = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stdout[-2000:] + run.stderr[-2000:])
        return ranks * args.batch * args.steps / float((Path(folder) / "seconds.txt").read_text())


def measure_ranks(args: argparse.Namespace) -> list[dict[str, object]]:
    """Return a row of results for one process, and one for two processes on CPUs or a process per GPU, if several."""
    most = 2 if args.device == "cpu" else torch.cuda.device_count()
    rates: dict[int, list[float]] = {ranks: [] for ranks in sorted({1, most})}
    for _ in track(range(args.rounds), "measuring", transient=True):
        for ranks, measured in rates.items():
            measured.append(samples_a_second(ranks, args))
    return [
        {"axis": "ranks", "ranks": ranks, "batch": args.batch, "samples_a_second": measured}
        | {"to_one": ratios(measured, rates[1])}
        for ranks, measured in rates.items()
    ]


def show_axis(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Print the table of an axis other than `ranks`."""
    title = f"{args.setting}, {args.step}, {rows[0]['axis']}, {args.precision}, {args.device}"
    table = Table("size", "seconds", "/ 1.0", "GFLOP", "kept MiB", "peak MiB", title=title)
    for row in rows:
        operations, kept, peak = row["operations"] / 1e9, row["saved_bytes"] / 2**20, row["peak_bytes"] / 2**20
        times = in_words(quartiles(row["seconds"]), 3), in_words(row["to_setting"])
        table.add_row(f"x {row['factor']}", *times, f"{operations:,.1f}", f"{kept:,.0f}", f"{peak:,.0f}")
    Console(width=120).print(table)


def show_ranks(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    """Print the table of the axis `ranks`."""
    title = f"toy autoencoder, {args.batch} shapes a process, {os.cpu_count()} cores, {args.device}"
    table = Table("ranks", "samples per second", "relative to one", title=title)
    for row in rows:
        table.add_row(str(row["ranks"]), in_words(quartiles(row["samples_a_second"])), in_words(row["to_one"]))
    Console(width=120).print(table)


def main() -> None:
    """Measure, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    axes = [*SIZES, "ranks"]
    parser.add_argument("--axes", nargs="+", choices=axes, default=axes, help="default: all")
    parser.add_argument("--setting", choices=SETTINGS, default="512", help="sizes of Table 3 (default: 512)")
    parser.add_argument("--step", choices=get_args(Step), default="lean", help="default: lean")
    parser.add_argument("--batch", type=int, default=2, metavar="B", help="shapes per step and process (default: 2)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default: float32")
    parser.add_argument("--rounds", type=int, default=5, metavar="K", help="measured rounds (default: 5)")
    parser.add_argument("--steps", type=int, default=30, help="timed steps for the axis ranks (default: 30)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--output", type=Path, default=Path("runs/scaling.json"), help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for axis in args.axes:
        found = measure_ranks(args) if axis == "ranks" else measure_axis(axis, args)
        (show_ranks if axis == "ranks" else show_axis)(found, args)
        rows += found
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
