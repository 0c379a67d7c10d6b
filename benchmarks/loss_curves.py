"""Measures how much the losses of a training depend on the way its steps are computed.

All ways compute the same steps, apart from rounding.

    make benchmark NAME=loss_curves
    make benchmark NAME=loss_curves ARGS="--steps 200 --experiment experiments/autoencoder/toy.yaml"

`lagem fit` runs trainings with the same seed and in float32, one after the other. Validation and exports are off. The
table shows the largest difference from the losses of the plain training within the first 1, 10, 50, … steps, and the
picture shows the difference at each step. `plain again` is a second plain training, whose differences must be 0.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from interleaved import write_rows
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lagem.geometry.picture import save_picture

ROOT = Path(__file__).resolve().parents[1]
SIDES = {"plain": "plain", "plain again": "plain", "lean": "lean", "leanest": "leanest"}
SIZE, DECADES = (800, 400), (-9, 0)  # of the picture: (width, height) in pixels, powers of ten on its axis
COLOURS = {"lean": (200, 60, 40), "leanest": (40, 90, 200)}


def losses_of(step: str, args: argparse.Namespace) -> list[float]:
    """Train with one way to compute steps, and return the loss of each step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "lagem", "fit", f"--config={args.experiment}", *args.options),
            f"--trainer.default_root_dir={folder}",
            f"--trainer.max_steps={args.steps}",
            "--trainer.log_every_n_steps=1",
            "--trainer.limit_val_batches=0",
            "--trainer.precision=32-true",
            "--trainer.enable_progress_bar=false",
            f"--model.init_args.step={step}",
        ]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stdout[-2000:] + run.stderr[-2000:])
        (log,) = Path(folder).glob("logs/version_*/metrics.csv")
        with log.open() as file:
            return [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]


def drawn(differences: dict[str, np.ndarray]) -> np.ndarray:
    """Return a picture of the differences at each step: a logarithmic scale, with a line for each power of ten."""
    width, height = SIZE
    low, high = DECADES
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    for decade in range(low, high):
        level = height * (high - decade) / (high - low)
        pen.line([(0, level), (width, level)], fill=(225, 225, 225))
        pen.text((4, level - 12), f"1e{decade}", fill=(120, 120, 120))
    for number, (name, colour) in enumerate(COLOURS.items()):
        log = np.log10(np.maximum(differences[name], 10.0**low))
        points = zip(np.linspace(40, width, len(log)), (height - 1) * (high - log) / (high - low), strict=True)
        pen.line(list(points), fill=colour, width=2)
        pen.text((60, 8 + 14 * number), f"{name} - plain", fill=colour)
    return np.asarray(image)


def main() -> None:
    """Run the trainings, print the table, and write the JSON and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    toy = ROOT / "experiments/autoencoder/toy.yaml"
    parser.add_argument("--experiment", type=Path, default=toy, help="default: the toy autoencoder")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="steps of a training (default: 200)")
    parser.add_argument("--output", type=Path, default=Path("runs/loss_curves.json"), help="default: %(default)s")
    parser.add_argument("options", nargs="*", help="more options of `lagem fit`, after --")
    args = parser.parse_args()
    losses = {name: losses_of(step, args) for name, step in track(SIDES.items(), "training", transient=True)}
    differences = {name: np.abs(np.array(curve) - losses["plain"]) for name, curve in losses.items()}
    marks = sorted({step for step in (1, 10, 50, 100, args.steps) if step <= args.steps})
    table = Table("side", *(f"up to step {mark}" for mark in marks), "last loss", title="largest difference to plain")
    for name, curve in losses.items():
        largest = [f"{differences[name][:mark].max():.1e}" for mark in marks]
        table.add_row(name, *largest, f"{curve[-1]:.6f}")
    Console(width=120).print(table)
    write_rows(args.output, [{"side": name, "losses": curve} for name, curve in losses.items()])
    save_picture(drawn(differences), args.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
