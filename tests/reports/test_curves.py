"""Curves of a run show what its metrics.csv files hold; unusual values in the files do no harm."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lagem.reports.curves import charts_of, metrics_files, shortened
from lagem.reports.page.chart import svg_of
from lagem.reports.page.content import Chart
from lagem.reports.page.html import escaped


def write(run: Path, version: int, text: str) -> Path:
    path = run / "logs" / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def curves_of(run: Path) -> dict[str, dict[str, list]]:
    return {chart.title: chart.curves for chart in charts_of(metrics_files(run))}


def test_training_and_validation_share_the_chart_of_a_measure(tmp_path):
    write(tmp_path, 0, "epoch,step,train/loss,val/loss,val/iou\n0,1,0.5,,\n0,2,0.25,,\n0,2,,0.375,0.75\n")
    assert curves_of(tmp_path) == {
        "loss": {"train": [(2, 0.5), (3, 0.25)], "val": [(3, 0.375)]},
        "iou": {"val": [(3, 0.75)]},
    }


def test_a_resumed_run_gives_one_curve_and_its_last_start_counts(tmp_path):
    write(tmp_path, 0, "step,train/loss\n1,4\n2,3\n3,9\n")
    write(tmp_path, 10, "step,train/loss\n3,2\n4,1\n")
    write(tmp_path, 9, "step,train/loss\n3,8\n4,8\n5,8\n")
    assert curves_of(tmp_path)["loss"]["train"] == [(2, 4), (3, 3), (4, 2), (5, 1)]


def test_values_that_are_not_finite_numbers_are_left_out(tmp_path):
    write(tmp_path, 0, "step,train/loss\n1,nan\n2,inf\n3,text\n4,1e99\n5,7\nx,3\nnan,3\n,3\n")
    assert curves_of(tmp_path) == {"loss": {"train": [(6, 7)]}}


def test_a_table_without_steps_is_refused_by_its_name(tmp_path):
    path = write(tmp_path, 0, "loss\n1\n")
    with pytest.raises(ValueError, match=f"{path}: needs the columns step"):
        charts_of([path])


def test_a_long_curve_keeps_its_mean_and_its_end():
    curve = [(float(step), step % 7.0) for step in range(10_000)]
    short = shortened(curve)
    assert len(short) <= 300 and short[-1][0] == 9_999
    assert sum(value for _, value in short) / len(short) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [5.0, 5.0],
        [1e-29, 1e29],
        [-1e29, 1e29],
        [0.0, 1e-29],
        [-3.0, -3.0 - 1e-13],
        [1.0, 1.0 + 2e-12],
        [2.0, 1.0],
    ],
)
def test_every_point_of_a_chart_lies_inside(values):
    svg = svg_of(Chart("a < b", {"<i>": list(enumerate(values, 1))}), escaped)
    figure = ElementTree.fromstring(svg)
    points = [
        tuple(map(float, pair.split(","))) for line in figure.iter("polyline") for pair in line.get("points").split()
    ]
    points += [(float(circle.get("cx")), float(circle.get("cy"))) for circle in figure.iter("circle")]
    assert len(points) >= len(values) and all(44 <= x <= 350 and 12 <= y <= 178 for x, y in points)


def tick_texts(values: list[float], *, first: int = 1) -> tuple[list[str], list[str]]:
    """Return the texts of the ticks of the vertical and of the horizontal axis of a chart of one curve."""
    figure = ElementTree.fromstring(svg_of(Chart("loss", {"train": list(enumerate(values, first))}), escaped))
    found: dict[str, list[str]] = {"end": [], "middle": []}
    for element in figure.iter("text"):
        found[element.get("text-anchor")].append(element.text)
        x, width = float(element.get("x")), 5.5 * len(element.text)
        assert width <= x if element.get("text-anchor") == "end" else width / 2 <= min(x, 360 - x)  # nothing is cut
    return found["end"], found["middle"]


@pytest.mark.parametrize("first", [1, 999, 1_999_990])
@pytest.mark.parametrize(
    "values",
    [
        [0.8021, 0.8034],
        [0.02855, 0.02862],
        [-100.4, -100.9],
        [1.0, 1.0 + 1e-6],
        [1.0, 1.0 + 2e-12],
        [1e-29, 1e29],
        [-1e29, 1e29],
        [2_000_000.0, 2_000_003.0],
    ],
)
def test_the_ticks_of_an_axis_differ_as_printed(values, first):
    for texts in tick_texts(values * 20, first=first):
        assert len(texts) > 1 and len(set(texts)) == len(texts)
        printed = [float(text.replace(",", "")) for text in texts]
        steps = [after - before for before, after in zip(printed, printed[1:], strict=False)]
        assert values[0] == 1e-29 or steps == pytest.approx([steps[0]] * len(steps), rel=1e-3)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (-0.25, "-0.25"), (7.0, "7"), (1e-9, "1e-09")])
def test_the_axis_of_a_constant_curve_shows_its_value_once(value, text):
    assert tick_texts([value] * 5)[0] == [text]
    assert tick_texts([value])[1] == ["1"]


def test_the_legend_names_the_last_step_of_each_curve():
    svg = svg_of(Chart("loss", {"train": [(1, 3.0), (100, 0.5)], "val": [(75, 0.875)]}), escaped)
    legend = "".join(ElementTree.fromstring(svg).find(".//span").itertext())
    assert legend == "train 0.5 at step 100 · val 0.875 at step 75"
