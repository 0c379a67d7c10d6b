"""Gain from a second process: samples per second of one process, and of two under DDP with gloo, one thread each.

    make benchmark NAME=ddp_scaling

Complete trainings of the toy autoencoder through `lagem fit`, alternating: every process has the same batch size and
generates its own data; exports and validation are off. Times are wall-clock, for the steps after the first ten.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 10  # steps


class StepTimes(Callback):
    """Write the duration of the steps after the warm-up to `seconds.txt` in the run folder."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock after the warm-up, and stop it at the last step."""
        if trainer.global_step == WARM_UP:
            self.start = time.perf_counter()
        if trainer.global_step == trainer.max_steps and trainer.is_global_zero:
            (Path(trainer.default_root_dir) / "seconds.txt").write_text(str(time.perf_counter() - self.start))


def samples_a_second(processes: int, batch_size: int, steps: int) -> float:
    """Rate of one training, summed over its processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "lagem", "fit", f"--config={ROOT / 'experiments/autoencoder/toy.yaml'}"),
            f"--trainer.default_root_dir={folder}",
            f"--trainer.devices={processes}",
            *(["--trainer.strategy=ddp"] if processes > 1 else []),
            f"--trainer.max_steps={WARM_UP + steps}",
            "--trainer.precision=32-true",
            "--trainer.limit_val_batches=0",
            "--trainer.enable_progress_bar=false",
            "--trainer.callbacks=[{class_path: ddp_scaling.StepTimes}]",
            f"--data.init_args.batch_size={batch_size}",
            "--data.init_args.num_workers=0",
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stdout[-2000:] + run.stderr[-2000:])
        return processes * batch_size * steps / float((Path(folder) / "seconds.txt").read_text())


def main() -> None:
    """Measure, and print medians, their spread, and the ratios of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=16, help="shapes per step of each process")
    arguments = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in track(range(arguments.rounds), "measuring", transient=True):
        for processes, measured in rates.items():
            measured.append(samples_a_second(processes, arguments.batch_size, arguments.steps))
    title = f"toy autoencoder, {arguments.batch_size} shapes per process, {os.cpu_count()} cores"
    table = Table("processes", "samples per second", "min to max", "relative to one process", "min to max", title=title)
    for processes, measured in rates.items():
        ratios = [rate / one for rate, one in zip(measured, rates[1], strict=True)]
        table.add_row(
            str(processes),
            f"{statistics.median(measured):.2f}",
            f"{min(measured):.2f} to {max(measured):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
