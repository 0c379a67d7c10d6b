"""Trains and scores cod-vae, an autoencoder by other authors, in an environment that has it.

This script has four commands: `about`, `measure`, `train_both` and `evaluate`. `comparison_codvae.py` runs them.

The model is the largest of cod-vae's tiny models (https://github.com/TimSchneider42/cod-vae, MIT licence). It is
trained by cod-vae's own training function and data reader. The two stages, the losses, the optimiser and the numbers of
points and queries are those of cod-vae's recipe (its TRAINING.md). Stage 1 trains the autoencoder. Stage 2 freezes it
and trains only the modules that compress its latents and restore them. As in the recipe, stage 1 sees twice as many
shapes as stage 2, which has twice the batch and twice the learning rate. The batches are smaller than in the recipe,
and the training is shorter; an option sets the learning rate.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparison_codvae_scores import CodvaeMethod, score

from lagem.export.layouts import POINT
from lagem.randomness import sample_generator
from lagem.storage.atomic import write_json

TINY = {
    **{"num_latents": 64, "latent_dim": 32, "num_latent_layers": 6, "embed_dim": 128, "num_heads": 4, "query_dim": 8},
    **{"encoder_num_blocks": 2, "encoder_num_layers_per_block": 2, "encoder_num_patches": 256},
    **{"encoder_mlp_ratio": 2.0, "decoder_num_layers": 4, "decoder_output_patch_size": 32},
    "decoder_output_resolution": 96,
}
QUICK_TINY = {
    **{"num_latents": 8, "latent_dim": 4, "num_latent_layers": 1, "embed_dim": 32, "num_heads": 2, "query_dim": 4},
    **{"encoder_num_blocks": 1, "encoder_num_layers_per_block": 1, "encoder_num_patches": 16},
    **{"encoder_mlp_ratio": 2.0, "decoder_num_layers": 1, "decoder_output_patch_size": 8},
    "decoder_output_resolution": 32,
}
POINTS = {"pc_size": 2048, "num_vol_queries": 4096, "num_near_queries": 4096}  # the defaults of cod-vae
QUICK_POINTS = {"pc_size": 256, "num_vol_queries": 32, "num_near_queries": 32}
EPOCHS = 10  # number of epochs in each stage; cod-vae saves after each epoch
MILESTONES = (6, 7, 8, 9)  # epochs after which stage 2 halves its learning rate: after 60, 70, 80 and 90% of its steps


@dataclass(frozen=True)
class Stage:
    """One stage of the recipe.

    share: How many of every five training steps belong to this stage.
    batch: Number of shapes in a step.
    """

    number: int
    share: int
    batch: int


STAGES = (Stage(1, share=4, batch=4), Stage(2, share=1, batch=8))
SHARES = sum(stage.share for stage in STAGES)


class Windows:
    """Cuts a data set of cod-vae into epochs of a given length.

    The epochs together run through all shapes again and again, each time in a new random order.

    Args:
        dataset: Data set whose item i holds newly drawn points of the shape `i % count`.
        count: Number of shapes.
        length: Number of items in an epoch.
        seed: Seed of the random orders.
        on_epoch: Called when an epoch starts.
    """

    def __init__(
        self, dataset: Any, count: int, length: int, seed: int, on_epoch: Callable[[], None] = lambda: None
    ) -> None:
        self.num_vol_queries = dataset.num_vol_queries
        self._dataset, self._count, self._length, self._seed, self._on_epoch = dataset, count, length, seed, on_epoch
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the items of the given epoch."""
        self._epoch = epoch
        self._dataset.set_epoch(epoch)
        self._on_epoch()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, place = divmod(self._epoch * self._length + index, self._count)
        order = sample_generator(self._seed, number, "order of the shapes").permutation(self._count)
        return self._dataset[number * self._count + int(order[place])]


def check_pools(shapes: Path, items: Sequence[tuple[str, str]], points: Mapping[str, int]) -> None:
    """Raise ValueError if a shape has fewer queries than cod-vae draws at once.

    Args:
        shapes: The exported shapes.
        items: Category and id of the shapes.
        points: Numbers of points and queries that cod-vae draws.
    """
    for category, id in items:
        with np.load(shapes / POINT / category / f"{id}.npz") as pools:
            for kind, option in (("vol", "--volume"), ("near", "--near")):
                found, needed = len(pools[f"{kind}_label"]), points[f"num_{kind}_queries"]
                if found < needed:
                    raise ValueError(
                        f"{id}: cod-vae draws {needed:,} queries, but the box around the shape holds {found:,}; "
                        f"prepare the shapes with a larger {option}."
                    )


def run_stage(
    stage: Stage,
    args: argparse.Namespace,
    *,
    steps: int,
    epochs: int,
    params: Any = None,
    folder: Path | None = None,
    on_epoch: Callable[[], None] = lambda: None,
) -> Any:
    """Train one stage by cod-vae's own function, from its last saved epoch if there is one.

    Args:
        stage: The stage.
        args: Arguments of the command: shapes, seed, rate, device, quick.
        steps: Number of steps in an epoch.
        epochs: Number of epochs.
        params: Parameters to start from; None for new ones.
        folder: Where the epochs are saved; None saves nothing.
        on_epoch: Called when an epoch starts.

    Returns:
        The parameters.
    """
    from cod_vae import CODVAEConfig
    from cod_vae.torch.training import train
    from cod_vae.training import ShapeNetVecSetDataset, TrainingConfig

    points = QUICK_POINTS if args.quick else POINTS
    dataset = ShapeNetVecSetDataset(args.shapes, split="train", seed=args.seed, **points)
    check_pools(args.shapes, dataset.items, points)
    config = TrainingConfig(
        stage=stage.number,
        epochs=epochs,
        batch_size=stage.batch,
        lr=args.rate * TrainingConfig.base_batch_size / STAGES[0].batch,  # cod-vae multiplies it by batch / base
        lr_milestones=MILESTONES,
        seed=args.seed,
    )
    return train(
        CODVAEConfig(**(QUICK_TINY if args.quick else TINY)),
        config,
        Windows(dataset, len(dataset.items), steps * stage.batch, args.seed, on_epoch),
        params=params,
        out_dir=folder,
        device=args.device,
        resume=folder is not None,
    )


def about(args: argparse.Namespace) -> None:
    """Print cod-vae's version, and the settings and the size of the model that it trains, as JSON."""
    from cod_vae import CODVAEConfig, init_params
    from cod_vae.training import TrainingConfig

    model = QUICK_TINY if args.quick else TINY
    described = {
        "version": version("cod-vae"),
        "torch": torch.__version__,
        "model": model,
        "points": QUICK_POINTS if args.quick else POINTS,
        "batches": [stage.batch for stage in STAGES],
        "base batch": TrainingConfig.base_batch_size,
        "parameters": sum(array.size for array in init_params(CODVAEConfig(**model), seed=0).values()),
        "values": model["num_latents"] * model["latent_dim"],
    }
    print(json.dumps(described))


def clock(device: str) -> float:
    """Return CPU seconds of this process, or wall seconds on a GPU."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory(device: str) -> int:
    """Return the peak memory of this process in bytes: main memory if the device is a CPU, else GPU memory."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    # not ru_maxrss, which starts at the memory of the parent process
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measure(args: argparse.Namespace) -> None:
    """Write the seconds of a step of one stage: one epoch warms up, the next is timed."""
    starts: list[float] = []
    (stage,) = (stage for stage in STAGES if stage.number == args.stage)
    run_stage(stage, args, steps=args.steps, epochs=2, on_epoch=lambda: starts.append(clock(args.device)))
    write_json(args.output, (clock(args.device) - starts[1]) / args.steps)


def train_both(args: argparse.Namespace) -> None:
    """Train both stages; write weights.npz, and the peak memory in bytes to memory.json."""
    params = None
    folders = [args.output / f"stage_{stage.number}" for stage in STAGES]
    for stage, folder in zip(STAGES, folders, strict=True):
        steps = args.steps * stage.share // (SHARES * EPOCHS)
        params = run_stage(stage, args, steps=steps, epochs=EPOCHS, params=params, folder=folder)
    write_json(args.output / "memory.json", peak_memory(args.device))
    os.replace(folders[-1] / "checkpoint_last.npz", args.output / "weights.npz")
    for folder in folders:
        shutil.rmtree(folder)


def evaluate(args: argparse.Namespace) -> None:
    """Score trained weights."""
    from cod_vae import CODVAE

    method = CodvaeMethod(
        CODVAE.load(args.weights, backend="torch", device=args.device),
        args.weights,
        num_surface_points=(QUICK_POINTS if args.quick else POINTS)["pc_size"],
        points=args.points,
        resolution=args.resolution,
    )
    score(method, args.data, args.output, args.points)


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(run: Callable[[argparse.Namespace], None], *names: str) -> Callable[..., argparse.Action]:
        of_command = commands.add_parser(run.__name__, help=run.__doc__)
        of_command.set_defaults(run=run)
        of_command.add_argument("--quick", action="store_true")
        for name in names:
            of_command.add_argument(name, type=Path, required=True)
        of_command.add_argument("--device", default="cpu")
        return of_command.add_argument

    command(about)
    for run in (measure, train_both):
        add = command(run, "--shapes", "--output")
        add("--steps", type=int, required=True)
        add("--seed", type=int, default=0)
        add("--rate", type=float, default=1e-4)
        add("--stage", type=int, default=1)
    add = command(evaluate, "--weights", "--data", "--output")
    add("--points", type=int, required=True)
    add("--resolution", type=int, required=True)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
