"""What the comparisons share: their command line, and the commands of `lagem` that they run."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison_clock import WARM_UP
from omegaconf import OmegaConf

from lagem.signals import kept_on_stop, stop_behind, stop_message, stop_on_signals, stops_no_more
from lagem.storage.atomic import write_json
from lagem.storage.checked.description import parse_json
from lagem.storage.checked.digest import sha256_of
from lagem.training.checkpoints import steps_of

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments" / "comparison"
REPORT_EVERY = 60.0  # seconds
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "IGL_NUM_THREADS")}
QUICK = (
    *("--model.init_args.width=64", "--model.init_args.warmup_steps=2", "--data.init_args.batch_size=2"),
    *("--data.init_args.num_surface_points=256", "--data.init_args.num_volume_queries=32"),
    "--data.init_args.num_near_queries=32",
)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: an experiment, and options of `lagem fit` that change it.

    cost: Name under which the cost of a step is stored; sides with equally expensive steps share one name.
    posteriors: Values of `--posterior` with which the side is evaluated.
    """

    name: str
    experiment: str
    cost: str
    options: tuple[str, ...] = ()
    posteriors: tuple[str, ...] = ("mean",)

    def run(self, seed: int, steps: int, output: Path) -> "Run":
        """Return the `Run` of this side with this seed and number of steps, without starting its training."""
        return Run(self, seed, steps, output)

    def seconds_of_step(self, args: argparse.Namespace) -> float:
        """Train for a few steps, and return the seconds of one step."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "seconds.txt"
            clock = f"{{class_path: comparison_clock.StepClock, init_args: {{output: {output}}}}}"
            steps = [f"--trainer.max_steps={WARM_UP + args.timed_steps}", f"--trainer.callbacks+={clock}"]
            words = fit_words(self, args, f"--trainer.default_root_dir={folder}/run", *steps)
            run_lagem(words, args.output / "costs.log")
            return float(output.read_text())


@dataclass(frozen=True)
class Run:
    """The training of one side with one seed and a number of steps; its folder is in the output folder."""

    side: Side
    seed: int
    steps: int
    output: Path

    @property
    def folder(self) -> Path:
        """The run folder of the training."""
        return self.output / self.side.name.lower().replace(" ", "_") / f"{self.steps}_steps_seed_{self.seed}"

    @property
    def checkpoint(self) -> Path:
        """Path of the last checkpoint."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def done(self) -> int:
        """Number of steps of the last checkpoint."""
        return (steps_of(self.checkpoint) or 0) if self.checkpoint.is_file() else 0

    def card(self, posterior: str) -> Path:
        """Folder of the evaluation with one value of `--posterior`."""
        return self.folder / f"evaluation_{posterior}"

    @property
    def is_evaluated(self) -> bool:
        """Whether the run is trained and scored."""
        return all((self.card(posterior) / "card.json").is_file() for posterior in self.side.posteriors)

    def train(self, args: argparse.Namespace, watch: Callable[[], None]) -> None:
        """Train to the end, from the last checkpoint if there is one."""
        more = [f"--seed_everything={self.seed}", f"--trainer.max_steps={self.steps}", "--ckpt_path=last"]
        words = fit_words(self.side, args, f"--trainer.default_root_dir={self.folder}", *more)
        run_lagem(words, self.folder / "fit.log", watch)

    def evaluate(self, args: argparse.Namespace) -> None:
        """Score the last checkpoint with each value of `--posterior`, unless these scores exist."""
        for posterior in self.side.posteriors:
            evaluate(str(self.checkpoint), self.card(posterior), args, f"--posterior={posterior}")


def run_lagem(words: Sequence[str], log: Path, watch: Callable[[], None] = lambda: None) -> None:
    """Run a command of `lagem` in a process with one thread; `log` and `watch` are those of `run_logged`."""
    searched = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])  # for `comparison_clock`
    variables = {**os.environ, **ONE_THREAD, "PYTHONPATH": searched}
    run_logged([sys.executable, "-m", "lagem", *words], variables, log, watch, name=f"lagem {words[0]}")


def run_logged(
    command: Sequence[str], variables: Mapping[str, str], log: Path, watch: Callable[[], None], *, name: str
) -> None:
    """Run a command in a process, and wait for its end.

    Args:
        command: The command line.
        variables: Environment variables.
        log: File to which the output is appended.
        watch: Called now and then while the command runs.
        name: Name of the command in the error.

    Raises:
        ValueError: If the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                try:
                    process.wait(REPORT_EVERY)
                except subprocess.TimeoutExpired:
                    watch()
        finally:
            process.terminate()  # a fit saves before it exits
            process.wait()
    if process.returncode:
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(f"`{name}` failed with exit code {process.returncode}; see {log}. It ends: {last}")


def fit_words(side: Side, args: argparse.Namespace, *more: str) -> list[str]:
    """Return the command line of a training without validation; later options override earlier ones."""
    return [
        *("fit", f"--config={EXPERIMENTS / side.experiment}.yaml", f"--data.init_args.root={args.data}"),
        *(f"--trainer.accelerator={'cpu' if args.device == 'cpu' else 'gpu'}", "--trainer.limit_val_batches=0"),
        *("--trainer.enable_progress_bar=false", *(QUICK if args.quick else ()), *args.options, *side.options, *more),
    ]


def evaluate(weights: str, card: Path, args: argparse.Namespace, *more: str) -> None:
    """Score weights by `lagem evaluate` into the folder `card`, unless it already holds the scores."""
    if not (card / "card.json").is_file():
        scored = [f"--points={args.points}", f"--resolution={args.resolution}", f"--device={args.device}"]
        run_lagem(["evaluate", weights, str(args.data), f"--output={card}", *scored, *more], card / "evaluate.log")


def check_settings(args: argparse.Namespace, **more: Any) -> None:
    """Store the settings that all runs in the output folder share; raises ValueError if the stored ones differ.

    Args:
        args: The arguments of the benchmark.
        more: Settings that only this benchmark has, in types that JSON can hold.
    """
    settings = {
        "index.csv": sha256_of(args.data / "index.csv"),
        "experiments": {
            path.name: OmegaConf.to_container(OmegaConf.load(path)) for path in sorted(EXPERIMENTS.glob("*.yaml"))
        },
        **{name: getattr(args, name) for name in ("options", "quick", "device", "points", "resolution")},
        **more,
    }
    keep_settings(args.output / "settings.json", settings)


def keep_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write settings to a file in the output folder; raises ValueError if the file exists and its settings differ."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, settings, indent=1)
    kept = parse_json(path.read_bytes(), str(path), remedy="choose another --output")
    if differing := [name for name, value in settings.items() if kept.get(name) != value]:
        raise ValueError(
            f"{path.parent} holds a comparison with other settings ({', '.join(differing)}); choose another --output."
        )


def parsed(parser: argparse.ArgumentParser, *, output: str, steps_of: str) -> argparse.Namespace:
    """Add the arguments that the comparisons share, parse the command line, and apply --quick.

    Args:
        parser: Parser that already has the calling script's own arguments.
        output: Default of --output.
        steps_of: Says in the help text which of the compared models are trained for --steps.
    """
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder of `lagem prepare`")
    add("--output", type=Path, default=Path(output), metavar="DIR", help="default: %(default)s")
    add("--steps", type=int, default=6600, metavar="N", help=f"steps of {steps_of} (default: %(default)s)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    add("--points", type=int, default=20_000, metavar="N", help="points on a surface, to score it (default: 20000)")
    add("--resolution", type=int, default=128, metavar="R", help="cells along a side of the grid (default: 128)")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    add("--quick", action="store_true", help="tiny sizes and few steps, to check that it runs")
    add("options", nargs="*", help="more options for every run of `lagem fit`, after --")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.points, args.resolution = 4, 300, 16
    return args


def run_to_its_end(parser: argparse.ArgumentParser, name: str, compare: Callable[[], None]) -> None:
    """Call `compare`; on a mistake of the user or a stop signal, print one line and exit."""
    stop_on_signals()
    try:
        with kept_on_stop(lambda: "finished work is kept; run the same command to resume."):
            compare()
    except (KeyboardInterrupt, ValueError, OSError) as error:
        line, code = (f"error: {error}", 2) if (stop := stop_behind(error)) is None else stop_message(stop)
        parser.exit(code, f"{name}: {line}\n")
    finally:
        stops_no_more()
