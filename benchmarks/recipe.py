"""Changes to the autoencoder's training, each alone, against the published recipe at equal CPU time.

    make benchmark NAME=recipe ARGS="--data data/meshes --output runs/recipe"

Every side trains with every seed for the same process CPU time (a learning rate that falls as a cosine in that time),
each in a process of its own, seeds outermost. Then it answers the queries of the validation shapes, also with each
level replaced by noise, or reconstructs the shapes (`--reconstruct`, minutes a run). The table has each side's means
and its differences to `published`, or to another side (`--against`), paired by shape after averaging over the seeds,
with 95% bootstrap intervals, and the seeds' differences one by one. Runs that are done are kept in the output and not
repeated. LaGeM against VecSet:

    make benchmark NAME=recipe ARGS="--data data/meshes --reconstruct --against 'ours, VecSet' --sides ours"
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from recipe_measures import ANSWERS, RECONSTRUCTION, answers_of, scores_of, table
from rich.console import Console
from rich.progress import track

from lagem.data_modules import Augmentation, OccupancyDataModule
from lagem.evaluation.tables import terminal_table
from lagem.levels import LevelSpec
from lagem.modules import AutoencoderModule
from lagem.preparation.atomic import write_atomically

LEVELS = [LevelSpec(256, 8, depth=2), LevelSpec(64, 16, depth=2), LevelSpec(16, 32, depth=2)]
VECSET = [LevelSpec(256, 8, depth=6, bottleneck="kl")]
ONE_LEVEL = [LevelSpec(256, 8, depth=6)]  # VecSet with LaGeM's bottleneck
WIDTH = 128
PEAK = 1e-3  # learning rate at any batch size
WARM_UP = 0.02  # of the CPU time
OURS = {"optimizer": "muon", "near_weight": 2.0, "start": "anchored"}  # for VecSet's bottleneck, anchored is local
MODEL: dict[str, dict[str, Any]] = {
    "published": {},
    "muon": {"optimizer": "muon"},
    "near weight 1": {"near_weight": 1.0},
    "near weight 2": {"near_weight": 2.0},
    "local start": {"start": "local"},
    "anchored start": {"start": "anchored"},
    "level dropout": {"level_dropout": 0.25},
    "4 shapes a step": {},
    "VecSet": {"levels": VECSET},
    "ours": OURS,
    "ours, local start": {**OURS, "start": "local"},
    "ours, level dropout": {**OURS, "level_dropout": 0.25},
    "ours, wider": {**OURS, "width": 192},
    "ours, more latents": {
        **OURS,
        "levels": [LevelSpec(1024, 8, depth=1), LevelSpec(256, 16, depth=1), LevelSpec(64, 32, depth=1)],
    },
    "ours, VecSet": {**OURS, "levels": VECSET},
    "ours, one level": {**OURS, "levels": ONE_LEVEL},
}
FEW_SHAPES = ("4 shapes a step", *(side for side in MODEL if side.startswith("ours")))  # 4 a step; 16 elsewhere


class CPUBudget(Callback):
    """Lower the learning rate as a cosine in the CPU time of this process, and stop when that is spent."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._start = seconds, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._start = time.process_time()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of the coming step."""
        spent = (time.process_time() - self._start) / self.seconds
        trainer.should_stop = spent >= 1
        factor = min(spent / WARM_UP, 0.5 * (1 + math.cos(math.pi * min(spent, 1))))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = PEAK * max(factor, 1e-3)


def train(side: str, seed: int, data: Path, minutes: float) -> tuple[AutoencoderModule, OccupancyDataModule]:
    """One side trained on one thread; the module in evaluation mode, and its data."""
    seed_everything(seed, verbose=False)
    batch_size = 4 if side in FEW_SHAPES else 16
    settings = {"levels": LEVELS, "width": WIDTH, "base_lr": PEAK * 256 / batch_size, "warmup_steps": 0, **MODEL[side]}
    module = AutoencoderModule(**settings)
    source = OccupancyDataModule(
        root=str(data),
        seed=seed,
        batch_size=batch_size,
        num_surface_points=2048,
        num_volume_queries=512,
        num_near_queries=512,
        num_workers=0,
        augment=Augmentation(rotation="none"),
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        precision="bf16-mixed",
        max_steps=1_000_000,
        gradient_clip_val=1.0,
        use_distributed_sampler=False,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[CPUBudget(60 * minutes)],
    )
    trainer.fit(module, source)
    return module.eval(), source


def main() -> None:
    """Run what is not done yet, each in its own process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder of `lagem prepare`")
    add("--output", type=Path, default=Path("runs/recipe"), metavar="DIR", help="folder that keeps the runs")
    add("--minutes", type=float, default=20, metavar="M", help="CPU time of a training (default: 20)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="seeds (default: 0 1 2)")
    add("--sides", nargs="+", default=list(MODEL), choices=list(MODEL), metavar="SIDE", help=", ".join(MODEL))
    add("--against", default="published", choices=list(MODEL), metavar="SIDE", help="what to subtract")
    add("--reconstruct", action="store_true", help="reconstruct the shapes (default: answer their queries)")
    add("--one", action="store_true", help=argparse.SUPPRESS)  # train one side with one seed in this process
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    def kept(side: str, seed: int) -> Path:
        name = f"{side.replace(' ', '_').replace(',', '')}_{seed}_{args.minutes:g}min"
        return args.output / f"{name}{'_reconstructed' if args.reconstruct else ''}.json"

    if args.one:
        (side,), (seed,) = args.sides, args.seeds
        module, source = train(side, seed, args.data, args.minutes)
        rows = scores_of(module, args.data) if args.reconstruct else answers_of(module, source)
        write_atomically(kept(side, seed), json.dumps(rows).encode())
        return
    sides = [args.against, *(side for side in args.sides if side != args.against)]
    runs = [(side, seed) for seed in args.seeds for side in sides if not kept(side, seed).exists()]
    for side, seed in track(runs, "training"):
        own = ["--sides", side, "--seeds", str(seed), "--one", *(["--reconstruct"] if args.reconstruct else [])]
        shared = ["--data", str(args.data), "--output", str(args.output), "--minutes", str(args.minutes)]
        subprocess.run([sys.executable, __file__, *shared, *own], check=True)
    results = {side: {seed: json.loads(kept(side, seed).read_text()) for seed in args.seeds} for side in sides}
    measures = RECONSTRUCTION if args.reconstruct else ANSWERS
    Console(width=400).print(terminal_table(table(results, args.against, measures)))


if __name__ == "__main__":
    main()
