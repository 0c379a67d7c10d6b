"""Measures what fraction of a fit's wall time is spent in forward, backward and optimiser, and where the rest goes.

    make benchmark NAME=end_to_end
    make benchmark NAME=end_to_end ARGS="--data DIR --steps 100 --rounds 3"
    make benchmark NAME=end_to_end ARGS="--data DIR --device cuda"

`lagem fit` trains the shipped experiments in turn, each in a separate process. With `--steps`, the trainings are
shorter. The last column of the table then scales the time of the steps to all steps of the experiment, and the time of
one validation to all of its validations. This overestimates the validations, because a network that has hardly trained
has large surfaces; `--weights` starts the experiment `meshes` from trained weights. Times do not include imports. CPU
seconds do not include the processes that load data.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import in_words, quartiles, write_rows
from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sections import INSIDE, OUTSIDE

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = {"toy": "experiments/autoencoder/toy.yaml", "meshes": "experiments/autoencoder/meshes.yaml"}
OF_VALIDATIONS = ("validation loss", "LogGeometryMetrics", "ExportMeshes")
ONCE = (OUTSIDE, "RunRecord", "FinalCheckpoint", "RichModelSummary")
Seconds = dict[str, tuple[float, float]]  # wall-clock and CPU seconds of each section


def seconds_of_fit(config: Path, options: list[str], device: str) -> Seconds:
    """Train in a separate process, and return the seconds of each section."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "sections.json"
        command = [
            *(sys.executable, "-m", "lagem", "fit", f"--config={config}", f"--trainer.default_root_dir={folder}/run"),
            f"--trainer.accelerator={'cpu' if device == 'cpu' else 'gpu'}",
            f"--trainer.profiler={{class_path: sections.Sections, init_args: {{output: {output}}}}}",
            *options,
        ]
        searched = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        run = subprocess.run(command, env={**os.environ, "PYTHONPATH": searched}, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stdout[-2000:] + run.stderr[-2000:])
        return {section: tuple(spent) for section, spent in json.loads(output.read_text()).items()}


def projected(seconds: Seconds, steps: int, all_steps: int, validations: int) -> Seconds:
    """Return the seconds that a whole fit would take, given those of a fit of `steps` steps and one validation.

    Args:
        seconds: Seconds of the short fit.
        steps: Number of steps of the short fit.
        all_steps: Number of steps of the whole fit.
        validations: Number of validations of the whole fit.
    """

    def factor(section: str) -> float:
        if section in OF_VALIDATIONS:
            return validations
        return 1 if section in ONCE else all_steps / steps

    return {section: (wall * factor(section), cpu * factor(section)) for section, (wall, cpu) in seconds.items()}


def shares(seconds: Seconds) -> dict[str, float]:
    """Return each section's fraction of the wall time; `inside` sums those of forward, backward and optimiser."""
    total = sum(wall for wall, _ in seconds.values())
    found = {section: wall / total for section, (wall, _) in seconds.items()}
    return found | {"inside": sum(found[section] for section in INSIDE)}


def row_of(name: str, config: Path, fits: list[Seconds], steps: int | None) -> dict[str, object]:
    """Return the row of results of one experiment, given the seconds of its fits."""
    trainer = OmegaConf.load(config).trainer
    every = trainer.val_check_interval
    whole = [projected(f, steps, trainer.max_steps, trainer.max_steps // every) if steps else f for f in fits]
    return {
        "experiment": name,
        "steps": steps or trainer.max_steps,
        "all_steps": trainer.max_steps,
        "seconds": {section: [fit[section] for fit in fits] for section in fits[0]},
        "share": {section: [shares(fit)[section] for fit in fits] for section in shares(fits[0])},
        "share_at_full_length": {section: [shares(fit)[section] for fit in whole] for section in shares(whole[0])},
    }


def show(row: dict) -> None:
    """Print the table of one experiment, the largest sections first."""
    title = f"{row['experiment']}, {row['steps']} of {row['all_steps']} steps"
    table = Table("section", "wall s", "CPU s", "% of wall time", f"% at {row['all_steps']} steps", title=title)
    for section in sorted(row["share"], key=lambda section: -quartiles(row["share"][section])[1]):
        clocks = list(zip(*row["seconds"][section], strict=True)) if section in row["seconds"] else []
        percents = [[100 * s for s in row[key][section]] for key in ("share", "share_at_full_length")]
        table.add_row(
            section,
            *([in_words(quartiles(clock)) for clock in clocks] or ["", ""]),
            *(in_words(quartiles(values), 1) for values in percents),
        )
    Console(width=120).print(table)


def main() -> None:
    """Measure, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, help="default: toy; with --data, also meshes")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of `lagem prepare`, for experiment `meshes`")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of a training (default: the experiment's)")
    parser.add_argument("--rounds", type=int, default=1, metavar="K", help="trainings of each experiment (default: 1)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="trained weights from which `meshes` starts")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--output", type=Path, default=Path("runs/end_to_end.json"), help="default: %(default)s")
    args = parser.parse_args()
    names = args.experiments or (list(EXPERIMENTS) if args.data else ["toy"])
    if "meshes" in names and args.data is None:
        parser.error("the experiment `meshes` needs a folder of `lagem prepare`; give it by --data.")
    short = [f"--trainer.max_steps={args.steps}", f"--trainer.val_check_interval={args.steps}"] if args.steps else []
    start = [f"--model.init_args.init_from={args.weights.resolve()}"] if args.weights else []
    options = {"toy": short, "meshes": [*short, *start, f"--data.init_args.root={args.data}"]}
    fits: dict[str, list[Seconds]] = {name: [] for name in names}
    for _ in track(range(args.rounds), "measuring", transient=True):
        for name, measured in fits.items():
            measured.append(seconds_of_fit(ROOT / EXPERIMENTS[name], options[name], args.device))
    rows = [row_of(name, ROOT / EXPERIMENTS[name], measured, args.steps) for name, measured in fits.items()]
    for row in rows:
        show(row)
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
