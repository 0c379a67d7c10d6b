"""Compares changes to the training of the autoencoder, one at a time, with the published recipe at equal CPU time.

    make benchmark NAME=recipe ARGS="--data data/meshes --output runs/recipe"

A side is a recipe: the published one, or one with changes. Every side trains with every seed for the same CPU time, in
a separate process each time. After a warm-up, the learning rate falls as a cosine over that time. The trained network
then answers the queries of the validation shapes: once with all its latents, and once for each level with that level's
latents replaced by noise. With `--reconstruct`, which takes minutes per run, it reconstructs the shapes instead. The
table shows the means of each side and their differences from `published`, or from the side given by `--against`.
Differences are paired by shape and seed, with 95% intervals over shapes and seeds. The last column has the
differences for each seed. The results of finished runs are stored in the output folder and not computed again, so use
one output folder for each data folder. To compare LaGeM with VecSet:

    make benchmark NAME=recipe ARGS="--data data/meshes --reconstruct --against 'ours, VecSet' --sides ours"

The sides `going on, ...` continue from weights trained by `experiments/autoencoder/meshes_more_latents.yaml`:

    make benchmark NAME=recipe ARGS="--data data/meshes --reconstruct --minutes 5 --init-from CKPT"
"""

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from recipe_measures import ANSWERS, RECONSTRUCTION, answers_of, scores_of, table
from recipe_samples import Change, RecipeData
from rich.console import Console
from rich.progress import track

from lagem.evaluation.tables import terminal_table
from lagem.levels import LevelSpec
from lagem.modules.autoencoder import AutoencoderModule
from lagem.randomness import sample_generator
from lagem.sources.augmentation import Augmentation
from lagem.storage.atomic import write_text
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.fingerprint import fingerprint_of

LEVELS = [LevelSpec(256, 8, depth=2), LevelSpec(64, 16, depth=2), LevelSpec(16, 32, depth=2)]
MORE = [LevelSpec(256, 8, depth=2), LevelSpec(128, 16, depth=2), LevelSpec(32, 32, depth=2)]
VECSET = [LevelSpec(256, 8, depth=6, bottleneck="kl")]
ONE_LEVEL = [LevelSpec(256, 8, depth=6)]  # VecSet with LaGeM's bottleneck
WIDTH = 128
PEAK = 1e-3  # highest learning rate, at any batch size
LATER_PEAK = 3e-4  # highest learning rate if training starts from trained weights
WARM_UP = 0.02  # fraction of the CPU time
OURS = {"optimizer": "muon", "near_weight": 2.0, "start": "anchored"}
LATER = {**OURS, "level_dropout": 0.05, "levels": MORE}
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
    "ours, VecSet": {**OURS, "levels": VECSET, "start": "local"},
    "ours, VecSet, anchored start": {**OURS, "levels": VECSET},
    "ours, one level": {**OURS, "levels": ONE_LEVEL},
    "ours, AdamW": {**OURS, "optimizer": "adamw"},
    "ours, near weight 0.1": {**OURS, "near_weight": 0.1},
    "ours, 5 octaves and outside queries in the unit ball": {**OURS, "octaves": 5},
    "going on": LATER,
    "going on, 5 octaves": {**LATER, "octaves": 5},
    "going on, numbers of latents drawn": LATER,
    "going on, 8192 points": LATER,
    "going on, outside queries in the unit ball": LATER,
    **{f"going on, {change}": LATER for change in get_args(Change)},
}
DATA: dict[str, dict[str, Any]] = {
    "ours, 5 octaves and outside queries in the unit ball": {"outside_within": 1.0},
    "going on, 8192 points": {"num_surface_points": 8192},
    "going on, outside queries in the unit ball": {"outside_within": 1.0},
}
FEW_SHAPES = ("4 shapes a step", *(side for side in MODEL if side.startswith(("ours", "going on"))))  # all others: 16


class CPUBudget(Callback):
    """Warm up the learning rate, lower it as a cosine over the given CPU time, and stop when that time is used up."""

    def __init__(self, seconds: float, peak: float) -> None:
        self.seconds, self.peak, self._start = seconds, peak, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to count CPU time."""
        self._start = time.process_time()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of the next step, or stop."""
        spent = (time.process_time() - self._start) / self.seconds
        trainer.should_stop = spent >= 1
        factor = min(spent / WARM_UP, 0.5 * (1 + math.cos(math.pi * min(spent, 1))))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.peak * max(factor, 1e-3)


class DrawnNumbersOfLatents(Callback):
    """Multiply the numbers of latents of all levels by one factor between 1/2 and 2, drawn for every step."""

    def __init__(self, levels: list[LevelSpec], seed: int) -> None:
        self.levels, self.seed = levels, seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Draw the factor, and set the numbers of latents of the next step."""
        factor = 2 ** sample_generator(self.seed, trainer.global_step, "numbers of latents").uniform(-1, 1)
        self._set(pl_module, [replace(level, num_latents=round(factor * level.num_latents)) for level in self.levels])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the original numbers of latents."""
        self._set(pl_module, self.levels)

    def _set(self, module: LightningModule, levels: list[LevelSpec]) -> None:
        cast(AutoencoderModule, module).autoencoder.levels = levels


def train(
    side: str, seed: int, data: Path, minutes: float, init_from: Path | None, facts: Path
) -> tuple[AutoencoderModule, RecipeData]:
    """Train one side on one thread; return the module in evaluation mode, and its data."""
    seed_everything(seed, verbose=False)
    batch_size = 4 if side in FEW_SHAPES else 16
    goes_on = init_from is not None
    peak = LATER_PEAK if goes_on else PEAK
    network = {"levels": LEVELS, "width": WIDTH, "base_lr": peak * 256 / batch_size, "warmup_steps": 0, **MODEL[side]}
    module = AutoencoderModule(**network, init_from=init_from)
    samples = {"num_surface_points": 2048, "num_near_queries": 1024 if goes_on else 512, **DATA.get(side, {})}
    source = RecipeData(
        root=str(data),
        seed=seed,
        batch_size=batch_size,
        num_volume_queries=512,
        num_workers=0,
        augment=Augmentation(rotation="none", flips="signs" if goes_on else "none"),
        **samples,
    )
    if (change := side.removeprefix("going on, ")) in get_args(Change):
        source.change, source.facts = cast(Change, change), facts
    callbacks: list[Callback] = [CPUBudget(60 * minutes, peak)]
    if side == "going on, numbers of latents drawn":
        callbacks.append(DrawnNumbersOfLatents(module.autoencoder.levels, seed))
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
        callbacks=callbacks,
    )
    trainer.fit(module, source)
    print(f"{side}, seed {seed}: {trainer.global_step:,} steps")
    return module.eval(), source


def main() -> None:
    """Run the missing trainings, each in a separate process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder of `lagem prepare`")
    add("--output", type=Path, default=Path("runs/recipe"), metavar="DIR", help="folder for the results of the runs")
    add("--minutes", type=float, default=20, metavar="M", help="CPU time of each training (default: 20)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="seeds (default: 0 1 2)")
    add(
        "--sides",
        nargs="+",
        choices=list(MODEL),
        metavar="SIDE",
        help=f"{', '.join(MODEL)} (default: with --init-from, `going on, ...`; else all others)",
    )
    add("--against", choices=list(MODEL), metavar="SIDE", help="side to subtract (default: `published`, or `going on`)")
    add("--reconstruct", action="store_true", help="reconstruct the shapes (default: answer their queries)")
    add("--init-from", type=Path, metavar="CKPT", help="weights from which the sides `going on, ...` start")
    add("--one", action="store_true", help=argparse.SUPPRESS)  # train one side with one seed in this process
    args = parser.parse_args()
    possible = [side for side in MODEL if side.startswith("going on") == (args.init_from is not None)]
    args.sides, args.against = args.sides or possible, args.against or possible[0]
    if impossible := {*args.sides, args.against} - set(possible):
        named = ", ".join(sorted(impossible))
        parser.error(f"{named}: the sides `going on, ...` need --init-from; run all other sides without it.")
    args.output.mkdir(parents=True, exist_ok=True)
    start = "" if args.init_from is None else f"_{fingerprint_of(load_autoencoder(args.init_from)[0])}"

    def kept(side: str, seed: int) -> Path:
        name = f"{side.replace(' ', '_').replace(',', '')}{start}_{seed}_{args.minutes:g}min"
        return args.output / f"{name}{'_reconstructed' if args.reconstruct else ''}.json"

    if args.one:
        (side,), (seed,) = args.sides, args.seeds
        module, source = train(side, seed, args.data, args.minutes, args.init_from, args.output / "facts")
        rows = scores_of(module, source) if args.reconstruct else answers_of(module, source)
        write_text(kept(side, seed), json.dumps(rows))
        return
    sides = [args.against, *(side for side in args.sides if side != args.against)]
    runs = [(side, seed) for seed in args.seeds for side in sides if not kept(side, seed).exists()]
    for side, seed in track(runs, "training"):
        own = ["--sides", side, "--seeds", str(seed), "--one", *(["--reconstruct"] if args.reconstruct else [])]
        shared = ["--data", str(args.data), "--output", str(args.output), "--minutes", str(args.minutes)]
        if args.init_from is not None:
            shared += ["--init-from", str(args.init_from)]
        subprocess.run([sys.executable, __file__, *shared, *own], check=True)
    results = {side: {seed: json.loads(kept(side, seed).read_text()) for seed in args.seeds} for side in sides}
    measures = RECONSTRUCTION if args.reconstruct else ANSWERS
    Console(width=400).print(terminal_table(table(results, args.against, measures)))


if __name__ == "__main__":
    main()
