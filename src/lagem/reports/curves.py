"""The curves of a training, from the metrics.csv files that it logged."""

import math
from collections.abc import Iterator
from pathlib import Path

from lagem.reports.page.content import Chart
from lagem.storage.csv_table import read_csv
from lagem.storage.names import inside

MOST_POINTS = 300  # largest number of points of a curve
MOST_CHARTS = 48
LARGEST = 1e30  # largest value shown; a training that exceeds it has failed, so its last values say little
FIRST = ("loss", "near_loss", "fscore", "chamfer", "iou")  # the charts that matter most
STAGES = ("train", "val", "test")


def metrics_files(run: Path) -> list[Path]:
    """Return the paths of a run's metrics.csv files, one for each start of the run, the first start first."""
    found = [path for path in (run / "logs").glob("version_*/metrics.csv") if _number(path).isdecimal()]
    return [inside(run, str(path.relative_to(run))) for path in sorted(found, key=lambda path: int(_number(path)))]


def charts_of(files: list[Path]) -> list[Chart]:
    """Return a chart for each measure, such as the loss, with a curve for each stage, such as training.

    If a resumed training repeated some steps, the earlier values of these steps are left out. So are values that are
    not finite. A long curve is shortened by averaging neighbouring values.

    Raises:
        ValueError: If a file is not a table with the column `step`.
    """
    found: dict[str, dict[float, float]] = {}
    for path in files:
        of_start: dict[str, dict[float, float]] = {}
        for row in read_csv(path, ["step"]):
            for name, step, value in _values(row):
                of_start.setdefault(name, {})[step] = value
        for name, values in of_start.items():
            earlier = {step: value for step, value in found.get(name, {}).items() if step < min(values)}
            found[name] = earlier | values
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name in sorted(found, key=lambda name: (_rank(name), name)):
        stage, _, measure = name.partition("/")
        title, curve = (measure, stage) if measure and stage in STAGES else (name, "")
        charts.setdefault(title, {})[curve or "value"] = shortened(sorted(found[name].items()))
    return [Chart(title, curves) for title, curves in charts.items()][:MOST_CHARTS]


def shortened(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a curve shortened to at most 300 points.

    Each point stands for a group of neighbouring points: it has their mean value, and the step of the last of them.
    """
    size = -(-len(curve) // MOST_POINTS)
    groups = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(group[-1][0], math.fsum(value for _, value in group) / len(group)) for group in groups]


def _values(row: dict[str, str]) -> Iterator[tuple[str, float, float]]:
    """Yield (name, step, value) for each finite value in a row of metrics.csv, whose steps count from 0, not from 1."""
    step = _finite(row["step"])
    if step is None:
        return
    for name, text in row.items():
        if name not in ("step", "epoch") and text and (value := _finite(text)) is not None:
            yield name, step + 1, value


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not abs(value) < LARGEST:
        return None
    return value if abs(value) > 1 / LARGEST else 0.0


def _number(path: Path) -> str:
    return path.parent.name.removeprefix("version_")


def _rank(name: str) -> int:
    measure = name.partition("/")[2]
    return FIRST.index(measure) if measure in FIRST else len(FIRST)
