"""Measures the cost of a training step of LaGeM and of VecSet (Table 3 of the paper), for each way to compute it.

    make benchmark NAME=training_step
    make benchmark NAME=training_step ARGS="--settings large --rounds 5"
    make benchmark NAME=training_step ARGS="--device cuda --batch 64 --precision bfloat16"

A step is the forward and the backward pass on random points, without the optimiser. All models and ways to compute them
alternate in one process. Times are medians and quartiles of CPU seconds of this process on a CPU, and of CUDA events on
a GPU. The operations, and the bytes kept for the backward pass, are counted before anything runs, as by
`lagem describe`. Peak memory is what a step takes beyond the network, its gradients and its inputs. On a GPU, the
allocator counts it; on a CPU, it is the growth of the resident memory of a process that computes one step.
"""

import argparse
import multiprocessing
import resource
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import torch
import torch.nn.functional as F
from interleaved import clock_of, in_words, interleaved, quartiles, ratios, write_rows
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lagem.device import named_device
from lagem.levels import LevelSpec
from lagem.models.attention import Step
from lagem.models.autoencoder import Autoencoder
from lagem.models.cost import TrainingCost, training_cost

MODELS = ("LaGeM", "VecSet")


@dataclass(frozen=True)
class Setting:
    """The sizes of LaGeM and VecSet in one setting of Table 3.

    width: Number of feature channels.
    num_surface_points: Number of input points.
    num_queries: Number of query points.
    latents: Number of latents of each level of LaGeM, fine to coarse; VecSet has as many as the finest level.
    channels: Number of channels of a latent, for each level of LaGeM.
    vecset_channels: Number of channels of a latent of VecSet.
    depth: Number of self-attention blocks of each level of LaGeM.
    """

    width: int
    num_surface_points: int
    num_queries: int
    latents: tuple[int, ...]
    channels: tuple[int, ...]
    vecset_channels: int
    depth: int

    def levels(self, model: str) -> list[LevelSpec]:
        """Return the levels of one of the `MODELS`; VecSet has as many blocks as all levels of LaGeM together."""
        if model == "VecSet":
            depth = self.depth * len(self.latents)
            return [LevelSpec(self.latents[0], self.vecset_channels, depth=depth, bottleneck="kl")]
        return [LevelSpec(*sizes, depth=self.depth) for sizes in zip(self.latents, self.channels, strict=True)]


SETTINGS = {
    "512": Setting(512, 2048, 2048, (512, 128, 32), (16, 32, 64), 8, 8),
    "large": Setting(1024, 8192, 2048, (2048, 512, 128), (16, 32, 64), 64, 8),
    "quick": Setting(64, 128, 64, (32, 8, 4), (4, 4, 4), 4, 1),
}


@dataclass(frozen=True)
class Side:
    """One model of one size computed in one way."""

    setting: Setting
    model: str
    step: Step

    @property
    def name(self) -> str:
        """Name of this side in the table."""
        return f"{self.model} {self.step}"

    def network(self, device: torch.device) -> Autoencoder:
        """Return the network with random weights, on a device."""
        torch.manual_seed(0)
        levels = self.setting.levels(self.model)
        return Autoencoder(levels=levels, width=self.setting.width, step=self.step).to(device)

    def cost(self, batch: int, precision: torch.dtype) -> TrainingCost:
        """Return the operations and bytes of a step, counted without running it."""
        setting, bfloat16 = self.setting, precision == torch.bfloat16
        sizes = {name: getattr(setting, name) for name in ("width", "num_surface_points", "num_queries")}
        return training_cost(
            levels=setting.levels(self.model), step=self.step, batch_size=batch, bfloat16=bfloat16, **sizes
        )


class Run:
    """The network of one side (LaGeM or VecSet) and its inputs, on a device."""

    def __init__(self, side: Side, device: torch.device, batch: int, precision: torch.dtype) -> None:
        setting = side.setting
        self.network, self.device, self.precision = side.network(device), device, precision
        self.points = torch.randn(batch, setting.num_surface_points, 3, device=device) * 0.4
        self.queries = torch.rand(batch, setting.num_queries, 3, device=device) * 2 - 1
        self.occupancy = (self.queries.norm(dim=-1) < 0.8).float()
        self.anchors = torch.arange(setting.latents[0], device=device).expand(batch, -1)
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter)

    def step(self) -> Tensor:
        """Compute the forward and the backward pass of one step, and return the loss."""
        is_half = self.precision == torch.bfloat16
        with torch.autocast(self.device.type, torch.bfloat16) if is_half else nullcontext():
            result = self.network(self.points, self.queries, anchor_indices=self.anchors)
        logits = result.logits.float()
        loss = F.binary_cross_entropy_with_logits(logits, self.occupancy) + 1e-3 * result.kl.mean()
        loss.backward()
        return loss.detach()


def peak_bytes(side: Side, device: torch.device, batch: int, precision: torch.dtype) -> int:
    """Return the peak memory in bytes that one step takes beyond the network, its gradients and its inputs."""
    if device.type != "cuda":  # in a new process, because the peak of a process never falls
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["lagem.models.autoencoder"])
        with context.Pool(1) as pool:
            return pool.apply(_resident_peak, (side, device, batch, precision))
    run = Run(side, device, batch, precision)
    run.step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run.step()
    peak = torch.cuda.max_memory_allocated() - before
    del run
    torch.cuda.empty_cache()
    return peak


def _resident_peak(side: Side, device: torch.device, batch: int, precision: torch.dtype) -> int:
    torch.set_num_threads(1)
    run = Run(side, device, batch, precision)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run.step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def measure(setting: str, args: argparse.Namespace) -> list[dict[str, object]]:
    """Return one row of results for each model and each way to compute it, in one setting."""
    device, precision = named_device(args.device), getattr(torch, args.precision)
    sides = [Side(SETTINGS[setting], model, step) for model in args.models for step in args.steps]
    costs = [side.cost(args.batch, precision) for side in sides]
    peaks = [peak_bytes(side, device, args.batch, precision) for side in sides]
    runs = {side.name: Run(side, device, args.batch, precision) for side in sides}
    losses = {name: float(run.step()) for name, run in runs.items()}
    works = {name: partial(lambda run, _: run.step(), run) for name, run in runs.items()}
    times = interleaved(works, args.rounds, warm=False, clock=clock_of(device))
    rows = []
    for side, cost, peak in zip(sides, costs, peaks, strict=True):
        seconds = times[side.name]
        row = {"setting": setting, "model": side.model, "step": side.step, "loss": losses[side.name]}
        row |= {**asdict(cost), "peak_bytes": peak, "seconds": seconds}
        row["to_first_step"] = ratios(seconds, times[f"{side.model} {args.steps[0]}"])
        if side.model == "LaGeM" and f"VecSet {side.step}" in times:
            row["to_vecset"] = ratios(seconds, times[f"VecSet {side.step}"])
        rows.append(row)
    return rows


def show(rows: Sequence[dict[str, object]], args: argparse.Namespace) -> None:
    """Print one table for each setting."""
    for setting in args.settings:
        title = f"{setting}: a step of {args.batch} shapes, {args.precision}, {args.device}"
        columns = ("side", "GFLOP", "kept MiB", "peak MiB", "seconds", f"/ {args.steps[0]}", "/ VecSet", "loss")
        table = Table(*columns, title=title)
        for row in rows:
            if row["setting"] == setting:
                vecset = in_words(row["to_vecset"]) if "to_vecset" in row else ""
                table.add_row(
                    f"{row['model']} {row['step']}",
                    f"{row['operations'] / 1e9:,.1f}",
                    f"{row['saved_bytes'] / 2**20:,.0f}",
                    f"{row['peak_bytes'] / 2**20:,.0f}",
                    in_words(quartiles(row["seconds"]), 3),
                    in_words(row["to_first_step"]),
                    vecset,
                    f"{row['loss']:.6f}",
                )
        Console(width=140).print(table)


def main() -> None:
    """Measure, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--settings", nargs="+", choices=SETTINGS, default=["512"], help="sizes of Table 3 (default: 512)"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="default: both")
    parser.add_argument("--steps", nargs="+", choices=get_args(Step), default=list(get_args(Step)), help="default: all")
    parser.add_argument("--batch", type=int, default=1, metavar="B", help="shapes per step (default: 1)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default: float32")
    parser.add_argument("--rounds", type=int, default=9, metavar="K", help="measured rounds (default: 9)")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and two rounds, to check that it runs")
    parser.add_argument("--output", type=Path, default=Path("runs/training_step.json"), help="default: %(default)s")
    args = parser.parse_args()
    if args.quick:
        args.settings, args.rounds = ["quick"], 2
    torch.set_num_threads(1)
    rows = [row for setting in args.settings for row in measure(setting, args)]
    show(rows, args)
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
