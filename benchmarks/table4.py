"""Table 4 of the paper in miniature: an autoencoder trained on one group of categories, and one trained on all.

    make benchmark NAME=table4 ARGS="--data data/meshes"
    make benchmark NAME=table4 ARGS="--data data/meshes --output runs/quick --quick"

The paper trains VecSet and LaGeM on ShapeNet, and LaGeM also on all of Objaverse. It compares these models on the test
shapes of ShapeNet. Here a group of categories stands for ShapeNet, and all categories stand for Objaverse. The compared
models are the experiments in `experiments/comparison/`, all trained for the same number of steps. `lagem evaluate`
scores only the validation shapes of the group. The first table has the form of Table 4: means of each category, and the
mean of these. The second has the means over shapes and their differences, all with 95% intervals. Differences are
paired by shape and seed.

The output folder keeps everything that is finished. To resume after a stop, run the same command again. It may also be
run with more seeds. Put more options of `lagem fit` after --; they apply to the trainings of all models.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from comparison_runs import Run, Side, check_settings, evaluate, parsed, run_to_its_end
from comparison_table import DEFINITION, values_of, write_tables
from rich.console import Console

from lagem.evaluation.reconstruction.card import read_card
from lagem.evaluation.tables import TITLES, formatted_value, markdown_table, terminal_table
from lagem.storage.atomic import write_text

GROUP = ("container", "furniture", "vessel")  # the three largest categories of experiments/meshes/manifest.csv
MEASURES = ("chamfer", "fscore_020")
TITLE = "Table 4 in miniature"


def sides_of(group: Sequence[str]) -> tuple[Side, ...]:
    """Return the sides: VecSet and LaGeM trained on the group, and LaGeM trained on all categories, as in Table 4."""
    on_group = (f"--data.init_args.categories=[{','.join(group)}]",)
    return (
        Side("VecSet on the group", "vecset", "VecSet", on_group),
        Side("LaGeM on the group", "lagem", "LaGeM", on_group),
        Side("LaGeM on all", "lagem", "LaGeM"),
    )


def category_rows(cards: dict[str, list[Path]]) -> list[list[str]]:
    """Return the rows of Table 4, header first: the mean of each category over shapes and seeds, and the mean of these.

    Args:
        cards: For the name of each side (a compared model), the folders of its evaluations, one for each seed. The
            other sides are compared with the first.
    """
    scores = {side: [list(read_card(card).scores.values()) for card in folders] for side, folders in cards.items()}
    categories = sorted({score.category for seeds in scores.values() for of_seed in seeds for score in of_seed})
    sides = list(scores)
    header = [f"{TITLES[measure][0]}: {name}" for measure in MEASURES for name in _with_differences(sides)]
    rows = [["", *header]]
    found = {}
    for measure in MEASURES:
        for side, seeds in scores.items():
            for category in categories:
                values = [
                    value
                    for of_seed in seeds
                    for score in of_seed
                    if score.category == category and (value := getattr(score, measure)) is not None
                ]
                found[measure, side, category] = float(np.mean(values)) if values else np.nan
            found[measure, side, "mean"] = float(np.mean([found[measure, side, category] for category in categories]))
    for category in (*categories, "mean"):
        cells = [category]
        for measure in MEASURES:
            first = found[measure, sides[0], category]
            cells.append(formatted_value(measure, first))
            for side in sides[1:]:
                value = found[measure, side, category]
                cells += [formatted_value(measure, value), formatted_value(measure, value - first, sign=True)]
        rows.append(cells)
    return rows


def _with_differences(sides: Sequence[str]) -> list[str]:
    return [sides[0], *(title for side in sides[1:] for title in (side, "Δ"))]


def report(runs: Sequence[Run], sides: Sequence[Side], args: argparse.Namespace) -> list[list[list[str]]]:
    """Write the tables of the seeds that all sides have finished, and return their rows."""
    seeds = [seed for seed in args.seeds if all(run.is_evaluated for run in runs if run.seed == seed)]
    if not seeds:
        return []
    cards = {
        side.name: [run.card("mean") for run in runs if run.side == side and run.seed in seeds]
        for side in reversed(sides)
    }
    about = (
        f"Validation shapes of {', '.join(args.group)} in {args.data}, {args.points:,} points, {args.resolution} cells "
        f"a side, {args.steps:,} steps, seeds {' '.join(map(str, seeds))}."
    )
    over_shapes = write_tables(
        args.output,
        "table4",
        {TITLE: {name: values_of(folders) for name, folders in cards.items()}},
        {TITLE: dict.fromkeys(cards, args.steps)},
        about,
    )
    of_categories = category_rows(dict(reversed(cards.items())))
    path = args.output / "table4.md"
    text = path.read_text()
    write_text(path, "\n".join([f"# {TITLE}", "", *markdown_table(of_categories), "", text]))
    return [of_categories, *over_shapes]


def run_table(args: argparse.Namespace) -> None:
    """Train, evaluate and report, except for what is already done."""
    check_settings(args, group=args.group)
    sides = sides_of(args.group)
    runs = [Run(side, seed, args.steps, args.output) for seed in args.seeds for side in sides]
    for run in runs:
        if run.done < run.steps:
            run.train(args, lambda run=run: print(f"{run.side.name}, seed {run.seed}: {run.done:,} steps", flush=True))
        evaluate(str(run.checkpoint), run.card("mean"), args, "--category", *args.group)
        report(runs, sides, args)
    for rows in report(runs, sides, args):
        Console(width=400).print(terminal_table(rows))
    print(f"{DEFINITION}\nwritten to {args.output / 'table4.md'} and .json")


def main() -> None:
    """Make the table; on a mistake of the user or a stop signal, print one line and exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--group", nargs="+", default=list(GROUP), metavar="NAME", help=f"categories (default: {' '.join(GROUP)})"
    )
    args = parsed(parser, output="runs/table4", steps_of="every side")
    run_to_its_end(parser, "table4", lambda: run_table(args))


if __name__ == "__main__":
    main()
