"""Compares LaGeM with VecSet, fairly: at equal measured cost and at equal steps, with intervals over shapes and seeds.

    make benchmark NAME=comparison ARGS="--data data/meshes"
    make benchmark NAME=comparison ARGS="--data data/meshes --codvae .venv-cod-vae/bin/python"
    make benchmark NAME=comparison ARGS="--data data/meshes --adamw --steps 2000"
    make benchmark NAME=comparison ARGS="--data data/meshes --output runs/quick --quick"

The compared models, called sides, are LaGeM, VecSet, and one level with LaGeM's bottleneck. Their experiments are in
`experiments/comparison/` and differ only in the levels. With `--adamw`, the sides are instead LaGeM trained by Muon,
and LaGeM trained by AdamW at several learning rates. First, short trainings of the sides alternate, to measure the cost
of a step; the machine must be otherwise idle. Then every side trains with every seed, by `lagem fit` on one thread:
once at LaGeM's total cost, and once for LaGeM's number of steps. `lagem evaluate` scores the validation shapes; VecSet
is decoded both from the mean of the posterior and, as its authors do, from a sample. `retrieval` is the baseline that
returns the nearest training shape.

With `--codvae`, the table at equal cost has one more side: cod-vae, by other authors. The option names the Python of
the environment that `make cod-vae` makes. cod-vae trains by its own function and recipe, which
`comparison_codvae_worker.py` describes, on the same shapes, with several learning rates. It is scored with the same
points and grid. If the output folder holds a comparison without cod-vae, only cod-vae is trained.

The output folder keeps everything that is finished: the costs, the checkpoints, the scores. To resume after a stop, run
the same command again. It may also be run with more seeds or other steps. Once the costs are measured and `retrieval`
is scored, several calls with different seeds may run at the same time. After each training, the tables of the seeds
that all sides have finished are written to levels.md and levels.json (with `--adamw`: adamw.md and adamw.json). Put
more options of `lagem fit`, for all sides, after --.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import comparison_codvae as codvae
import numpy as np
from comparison_runs import Run, Side, check_settings, evaluate, parsed, run_to_its_end
from comparison_table import DEFINITION, Values, values_of, write_tables
from interleaved import in_words, quartiles, ratios
from rich.console import Console

from lagem.evaluation.tables import terminal_table
from lagem.storage.atomic import write_json
from lagem.storage.checked.description import parse_json

RATES = (0.008, 0.016, 0.032, 0.064, 0.128, 0.256)  # base_lr of AdamW; the experiments train by Muon with base_lr 0.064
LEVELS = (
    Side("LaGeM", "lagem", "LaGeM"),
    Side("VecSet", "vecset", "VecSet", posteriors=("mean", "sample")),
    Side("one level", "one_level", "one level"),
)


def adamw_sides(rates: Sequence[float]) -> tuple[Side, ...]:
    """Return the sides: LaGeM trained by Muon, and LaGeM trained by AdamW at each base learning rate."""
    return LEVELS[0], *(
        Side(
            f"AdamW {rate:g}",
            "lagem",
            "AdamW",
            ("--model.init_args.optimizer=adamw", f"--model.init_args.base_lr={rate:g}"),
        )
        for rate in rates
    )


def step_costs(sides: Sequence[Side], args: argparse.Namespace, name: str) -> dict[str, list[float]]:
    """Return the seconds per training step, one value for each round, and print their quartiles.

    The keys are the `cost` of each side; sides with the same `cost` are measured once. If costs_<name>.json in the
    output folder already holds the seconds, they are read instead of measured.
    """
    path = args.output / f"costs_{name}.json"
    if not path.exists():
        timed: dict[str, Side] = {}
        for side in sides:
            timed.setdefault(side.cost, side)
        seconds: dict[str, list[float]] = {cost: [] for cost in timed}
        for number in range(args.rounds):
            for cost, side in timed.items():
                seconds[cost].append(side.seconds_of_step(args))
                cost_now = f"a step of {cost} costs {seconds[cost][-1]:.3f} s"
                print(f"round {number + 1} of {args.rounds}: {cost_now}", flush=True)
        write_json(path, seconds)
    costs: dict[str, list[float]] = parse_json(path.read_bytes(), str(path), remedy="remove it")
    base = costs[sides[0].cost]
    for cost, measured in costs.items():
        relative = in_words(ratios(measured, base))
        print(f"a step of {cost} costs {in_words(quartiles(measured), 3)} s, {relative} times that of {sides[0].name}")
    return costs


def equal_cost_steps(steps: int, costs: dict[str, list[float]]) -> dict[str, int]:
    """Return, for each name in `costs`, the number of steps that cost as much as `steps` steps of the first name.

    `costs` holds, for each name, the seconds per step in each round.
    """
    base = next(iter(costs.values()))
    return {cost: max(1, round(steps / ratios(seconds, base)[1])) for cost, seconds in costs.items()}


class Progress:
    """Prints the number of finished steps, their rate, and the time left; it knows the cost of each side's steps."""

    def __init__(self, runs: Sequence[Run], costs: dict[str, list[float]]) -> None:
        self._runs, self._start = runs, time.monotonic()
        self._costs = {cost: float(np.median(seconds)) for cost, seconds in costs.items()}
        self._before = self._counts()

    def _counts(self) -> tuple[int, float]:
        done = [(run.done, self._costs[run.side.cost]) for run in self._runs]
        return sum(steps for steps, _ in done), sum(steps * cost for steps, cost in done)

    def show(self, run: Run) -> None:
        """Print one line about the progress of a run and of all trainings together."""
        steps, spent = self._counts()
        total = sum(run.steps for run in self._runs)
        left = sum(run.steps * self._costs[run.side.cost] for run in self._runs) - spent
        elapsed = time.monotonic() - self._start
        newly, work = steps - self._before[0], spent - self._before[1]
        hours, minutes = divmod(round(left * (elapsed / work if work else 1) / 60), 60)
        print(
            f"{run.side.name}, seed {run.seed}: {run.done:,} of {run.steps:,} steps; in all {steps:,} of {total:,}, "
            f"{newly / max(elapsed, 1e-9):.2f}/s, {hours} h {minutes:02} min left",
            flush=True,
        )


def finish(run: Run, args: argparse.Namespace, progress: Progress) -> None:
    """Train and evaluate a run, except for what is already done."""
    if run.done < run.steps:
        progress.show(run)
        run.train(args, lambda: progress.show(run))
    run.evaluate(args)


def report(plans: dict[str, list[Run]], args: argparse.Namespace, more: str) -> list[list[list[str]]]:
    """Write the tables of the seeds that all sides have finished, and return their rows.

    `more` is appended to the paragraph above the tables, which says what was scored and how.
    """
    tables: dict[str, dict[str, Values]] = {}
    steps: dict[str, dict[str, int | None]] = {}
    for basis, runs in plans.items():
        seeds = [seed for seed in args.seeds if all(run.is_evaluated for run in runs if run.seed == seed)]
        if not seeds:
            continue
        title = f"{basis}, seeds {' '.join(map(str, seeds))}"
        tables[title], steps[title] = {}, {}
        for side in dict.fromkeys(run.side for run in runs):
            own = [run for run in runs if run.side == side and run.seed in seeds]
            for posterior in side.posteriors:
                name = side.name if len(side.posteriors) == 1 else f"{side.name}, {posterior}"
                tables[title][name] = values_of([run.card(posterior) for run in own])
                steps[title][name] = own[0].steps
        tables[title]["retrieval"] = values_of([args.output / "retrieval"] * len(seeds))
        steps[title]["retrieval"] = None
    about = f"Validation shapes of {args.data}, {args.points:,} points, {args.resolution} cells a side.{more}"
    return write_tables(args.output, args.name, tables, steps, about) if tables else []


def compare(args: argparse.Namespace) -> None:
    """Measure costs, train, evaluate and report, except for what is already done."""
    sides = LEVELS if args.adamw is None else adamw_sides(args.adamw or RATES)
    check_settings(args)
    found = codvae.check_environment(args) if args.codvae else {}
    costs = step_costs(sides, args, args.name)
    equal = equal_cost_steps(args.steps, costs)
    plans: dict[str, list[Run]] = {
        "equal cost": [side.run(seed, equal[side.cost], args.output) for seed in args.seeds for side in sides],
        "equal steps": [side.run(seed, args.steps, args.output) for seed in args.seeds for side in sides],
    }
    others: list[codvae.CodvaeRun] = []
    if args.codvae:
        measured = step_costs((sides[0], *codvae.stages()), args, "cod-vae")
        costs["cod-vae"] = codvae.average_step(measured)
        average = {sides[0].cost: measured[sides[0].cost], "cod-vae": costs["cod-vae"]}
        steps = equal_cost_steps(args.steps, average)["cod-vae"]
        others = [side.run(seed, steps, args.output) for seed in args.seeds for side in codvae.sides(args.codvae_rates)]
        plans["equal cost"] += others
    runs = list(dict.fromkeys(run for plan in plans.values() for run in plan))
    progress = Progress(runs, costs)

    def report_now() -> list[list[list[str]]]:
        return report(plans, args, f" {codvae.description(found, measured, others)}" if others else "")

    evaluate("retrieval", args.output / "retrieval", args)
    for run in runs:
        if not run.is_evaluated:
            finish(run, args, progress)
            report_now()
    for rows in report_now():
        Console(width=400).print(terminal_table(rows))
    print(f"{DEFINITION}\nwritten to {args.output / args.name}.md and .json")


def main() -> None:
    """Run the comparison; on a mistake of the user or a stop signal, print one line and exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    rates = " ".join(map(str, RATES))
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--adamw", type=float, nargs="*", metavar="RATE", help=f"compare AdamW at these base_lr (default: {rates})"
    )
    kinds.add_argument(
        "--codvae", type=Path, metavar="PYTHON", help="also compare cod-vae, in the environment of this interpreter"
    )
    add(
        "--codvae-rates",
        type=float,
        nargs="+",
        default=list(codvae.RATES),
        metavar="RATE",
        help=f"learning rates of cod-vae (default: {' '.join(map(str, codvae.RATES))})",
    )
    add("--rounds", type=int, default=7, metavar="K", help="rounds in which the cost is measured (default: 7)")
    add("--timed-steps", type=int, default=20, metavar="N", help="timed steps of a side in a round (default: 20)")
    args = parsed(parser, output="runs/comparison", steps_of="LaGeM")
    args.name = "levels" if args.adamw is None else "adamw"
    if args.quick:
        args.rounds = args.timed_steps = 2
    run_to_its_end(parser, "comparison", lambda: compare(args))


if __name__ == "__main__":
    main()
