"""cod-vae as a side of the comparison. `comparison_codvae_worker.py` trains and scores it, in another environment."""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comparison_codvae_worker import EPOCHS, SHARES, STAGES
from comparison_runs import ONE_THREAD, Run, Side, keep_settings, run_lagem, run_logged

from lagem.export.layouts import OTHER_SURFACE
from lagem.storage.checked.description import parse_json, read_json

WORKER = Path(__file__).with_name("comparison_codvae_worker.py")
RATES = (1e-4, 3e-4, 1e-3)  # learning rates of stage 1; the first is that of cod-vae's own recipe
WHOLE = EPOCHS * SHARES  # steps come in multiples of this, so that all epochs have the same number of steps


@dataclass(frozen=True)
class CodvaeSide(Side):
    """cod-vae, trained with one learning rate."""

    rate: float = RATES[0]

    def run(self, seed: int, steps: int, output: Path) -> "CodvaeRun":
        """Return the run, without starting its training; both stages together have about `steps` steps."""
        return CodvaeRun(self, seed, max(1, round(steps / WHOLE)) * WHOLE, output)


@dataclass(frozen=True)
class CodvaeStage(Side):
    """One stage of cod-vae, to measure the cost of its steps."""

    number: int = 1

    def seconds_of_step(self, args: argparse.Namespace) -> float:
        """Train for a few steps, and return the cost of one."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "seconds.json"
            words = [f"--shapes={exported(args)}", f"--stage={self.number}", f"--steps={args.timed_steps}"]
            run_worker(["measure", *words, f"--output={output}"], args, args.output / "costs.log")
            return float(parse_json(output.read_bytes(), str(output), remedy="measure again"))


@dataclass(frozen=True)
class CodvaeRun(Run):
    """The training of cod-vae with one seed, over both stages."""

    side: CodvaeSide

    @property
    def checkpoint(self) -> Path:
        """Path of the trained weights."""
        return self.folder / "weights.npz"

    @property
    def done(self) -> int:
        """Number of steps in the epochs that are saved."""
        if self.checkpoint.is_file():
            return self.steps
        saved = [len([*(self.folder / f"stage_{stage.number}").glob("checkpoint_epoch_*.npz")]) for stage in STAGES]
        return sum(count * self.steps * stage.share // WHOLE for count, stage in zip(saved, STAGES, strict=True))

    def train(self, args: argparse.Namespace, watch: Callable[[], None]) -> None:
        """Train both stages to their end, from the last saved epoch if there is one."""
        words = [f"--shapes={exported(args)}", f"--output={self.folder}", f"--seed={self.seed}"]
        more = [f"--rate={self.side.rate}", f"--steps={self.steps}"]
        run_worker(["train_both", *words, *more], args, self.folder / "fit.log", watch)

    def evaluate(self, args: argparse.Namespace) -> None:
        """Score the trained weights, unless the result file card.json exists."""
        card = self.card("mean")
        if not (card / "card.json").is_file():
            words = [f"--weights={self.checkpoint}", f"--data={args.data}", f"--output={card}"]
            scored = [f"--points={args.points}", f"--resolution={args.resolution}"]
            run_worker(["evaluate", *words, *scored], args, card / "evaluate.log")

    @property
    def memory(self) -> int:
        """Peak memory of the training in bytes."""
        return int(read_json(self.folder / "memory.json", remedy=f"remove {self.folder} and train again"))


def sides(rates: Sequence[float]) -> tuple[CodvaeSide, ...]:
    """Return one side for each learning rate of cod-vae."""
    return tuple(CodvaeSide(f"cod-vae {rate:g}", "cod-vae", "cod-vae", rate=rate) for rate in rates)


def stages() -> tuple[CodvaeStage, ...]:
    """Return the two stages of cod-vae, each as a side of the comparison, to measure the cost of their steps."""
    names = {stage.number: cost_of(stage.number) for stage in STAGES}
    return tuple(CodvaeStage(name, "cod-vae", name, number=number) for number, name in names.items())


def cost_of(stage: int) -> str:
    """Return the name under which the cost of a step of a stage is stored."""
    return f"cod-vae, stage {stage}"


def average_step(costs: dict[str, list[float]]) -> list[float]:
    """Return, for each round of measurement, the seconds per step of a training, averaged over both stages."""
    total = sum(stage.share * np.array(costs[cost_of(stage.number)]) for stage in STAGES)
    return list(total / SHARES)


def check_environment(args: argparse.Namespace) -> dict[str, Any]:
    """Return cod-vae's version, settings and size, as the worker prints them, and store them in the output folder.

    Raises:
        ValueError: If the interpreter does not run or lacks cod-vae, or if the output folder holds other settings.
    """
    remedy = "make an environment with `make cod-vae` and give its bin/python, or leave --codvae out."
    command = [str(args.codvae), str(WORKER), "about", *(["--quick"] if args.quick else [])]
    try:
        ran = subprocess.run(command, env=worker_variables(), capture_output=True, text=True)
    except OSError as error:
        raise ValueError(f"--codvae {args.codvae}: cannot be run ({error.strerror}); {remedy}") from None
    if ran.returncode:
        last = ran.stderr.strip().rpartition("\n")[2]
        raise ValueError(f"--codvae {args.codvae}: cannot run cod-vae ({last}); {remedy}")
    found: dict[str, Any] = parse_json(ran.stdout, "what cod-vae says of itself", remedy=remedy)
    keep_settings(args.output / "settings_cod-vae.json", found)
    return found


def exported(args: argparse.Namespace) -> Path:
    """Return the folder of the shapes in the format that cod-vae reads; export them if they are not there yet."""
    folder: Path = args.output / "shapes_cod-vae"
    if not (folder / OTHER_SURFACE).exists():  # the file that an export writes last
        words = ["export", str(args.data), "--layout=vecset", f"--output={folder}"]
        run_lagem(words, args.output / "export.log")
    return folder


def worker_variables() -> dict[str, str]:
    """Return the environment variables of the worker, which must not find the packages of this process."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ONE_THREAD


def run_worker(
    words: Sequence[str], args: argparse.Namespace, log: Path, watch: Callable[[], None] = lambda: None
) -> None:
    """Run a command of the worker in a process with one thread; raises ValueError if the command fails."""
    more = [f"--device={args.device}", *(["--quick"] if args.quick else [])]
    command = [str(args.codvae), str(WORKER), *words, *more]
    run_logged(command, worker_variables(), log, watch, name=f"{WORKER.name} {words[0]}")


def description(found: dict[str, Any], costs: dict[str, list[float]], runs: Sequence[CodvaeRun]) -> str:
    """Return sentences about cod-vae for the report."""
    seconds = [float(np.median(costs[cost_of(stage.number)])) for stage in STAGES]
    sizes = f"{found['parameters']:,} parameters and {found['values']:,} values a shape"
    of_stages = " and ".join(
        f"{of:.3f} s in stage {stage.number} ({stage.batch} shapes)" for of, stage in zip(seconds, STAGES, strict=True)
    )
    memory = [run.memory for run in runs if run.is_evaluated]
    peak = f" Its training takes at most {max(memory) / 2**30:.2f} GiB of memory." if memory else ""
    return (
        f"cod-vae {found['version']}: its tiny model with {sizes}, trained with the learning rate in its name. A step "
        f"costs {of_stages}; a step of LaGeM, {np.median(costs['LaGeM']):.3f} s.{peak}"
    )
