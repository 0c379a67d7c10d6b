"""Compares the full cost of a training step between this checkout and an earlier one.

    git worktree add ../earlier COMMIT && make -C ../earlier setup
    make benchmark NAME=two_checkouts ARGS="../earlier --data DIR"
    make benchmark NAME=two_checkouts ARGS="../earlier --data DIR --experiment experiments/autoencoder/meshes.yaml"

Each checkout trains its own version of the experiment by `lagem fit`, in its own environment, without validation. The
fits alternate. A round runs a short and a long fit of each checkout; the difference of their CPU seconds, divided by
the difference of their steps, is the cost of a step: forward, backward, optimiser, weight average, data and Lightning's
loop. Costs that occur once per fit cancel out.
"""

import argparse
import os
import resource
import subprocess
import tempfile
from pathlib import Path

from interleaved import in_words, quartiles, ratios, write_rows
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = Path("experiments/autoencoder/meshes_more_latents.yaml")


def cpu_seconds_of_fit(checkout: Path, options: list[str]) -> float:
    """Train with the code and the environment of a checkout, and return the CPU seconds of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        # After --config, which would otherwise overwrite it in earlier checkouts
        command = [".venv/bin/python", "-m", "lagem", "fit", *options, f"--trainer.default_root_dir={folder}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        raise SystemExit(f"The fit in {checkout} failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost_of_step(checkout: Path, options: list[str], steps: tuple[int, int]) -> float:
    """Run a short and a long fit, and return the CPU seconds that each further step of the long fit costs."""
    short, long = (cpu_seconds_of_fit(checkout, [*options, f"--trainer.max_steps={number}"]) for number in steps)
    return (long - short) / (steps[1] - steps[0])


def main() -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path, help="the earlier checkout, after `make setup`")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of `lagem prepare`")
    parser.add_argument("--experiment", type=Path, default=EXPERIMENT, help="default: %(default)s")
    parser.add_argument("--steps", type=int, nargs=2, default=[10, 60], metavar="N", help="default: 10 60")
    parser.add_argument("--rounds", type=int, default=5, metavar="K", help="rounds (default: 5)")
    parser.add_argument("--output", type=Path, default=Path("runs/two_checkouts.json"), help="default: %(default)s")
    args = parser.parse_args()
    options = [
        f"--config={args.experiment}",
        f"--data.init_args.root={args.data.resolve()}",
        "--model.init_args.init_from=null",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_progress_bar=false",
    ]
    checkouts = {"earlier": args.earlier.resolve(), "this": ROOT}
    costs: dict[str, list[float]] = {name: [] for name in checkouts}
    for _ in track(range(args.rounds), "measuring", transient=True):
        for name, checkout in checkouts.items():
            costs[name].append(cost_of_step(checkout, options, tuple(args.steps)))
    table = Table("checkout", "CPU ms per step", "relative to the earlier", title=str(args.experiment))
    for name, seconds in costs.items():
        milliseconds = [1e3 * value for value in seconds]
        table.add_row(name, in_words(quartiles(milliseconds), 0), in_words(ratios(seconds, costs["earlier"])))
    Console(width=100).print(table)
    write_rows(args.output, {"experiment": str(args.experiment), "steps": args.steps, "seconds_per_step": costs})


if __name__ == "__main__":
    main()
