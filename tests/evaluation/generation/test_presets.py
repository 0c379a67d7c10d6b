"""Presets give the same scores as the scripts of LION and OctFusion; here, simple loops do what these scripts do."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lagem.cli import main
from lagem.evaluation.generation import sets
from lagem.evaluation.generation.presets import (
    PRESETS,
    ApproximateEarthMoversDistances,
    Preset,
    grid_occupancy,
    in_half_box,
    in_sphere,
    jensen_shannon,
)
from lagem.evaluation.generation.run import evaluate_generation
from lagem.evaluation.generation.sets import ComparedSets
from lagem.generation.generator import GeneratedShape
from lagem.generation.report import GenerationReport
from lagem.geometry.mesh import Mesh
from lagem.sources.surfaces import MeshSurfaces

POINTS, SHAPES = 24, 5
CLOUDS = [
    scale * np.random.default_rng(number).normal(size=(POINTS, 3)) * [1, 2, 0.5] + number
    for number, scale in enumerate((1.0, 1.2, 0.8, 1.5, 1.1, 1.0, 0.9, 1.3, 0.7, 1.0))
]


@pytest.fixture(autouse=True)
def _cheap_intervals(monkeypatch) -> None:
    monkeypatch.setattr(sets, "HALVES", 10)


# The independent implementation: one number at a time, from the text of the scripts.


def published_frame(cloud: np.ndarray, preset: str) -> list[list[float]]:
    low, high = [min(p[axis] for p in cloud) for axis in range(3)], [max(p[axis] for p in cloud) for axis in range(3)]
    centred = [[p[axis] - (low[axis] + high[axis]) / 2 for axis in range(3)] for p in cloud]
    if preset == "lion":  # normalize_point_clouds: the longest side becomes 2; compute_score then halves it
        side = max(high[axis] - low[axis] for axis in range(3)) / 2
        return [[0.5 * value / side for value in p] for p in centred]
    farthest = max(math.hypot(*p) for p in centred)
    return [[value / farthest for value in p] for p in centred]


def squared(p: list[float], q: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(p, q, strict=True))


def published_chamfer(a: list, b: list) -> float:
    there = sum(min(squared(p, q) for q in b) for p in a) / len(a)
    return there + sum(min(squared(p, q) for p in a) for q in b) / len(b)


def published_emd(first: list, second: list, preset: str) -> float:
    count = len(first)
    match = [[0.0] * count for _ in range(count)]
    remain_first, remain_second = [1.0] * count, [1.0] * count
    for power in range(7, -3, -1):
        level = 0.0 if power == -2 else -(4.0**power)
        weight = [[math.exp(level * squared(p, q)) for q in second] for p in first]
        ratio_first = [
            remain_first[k] / (1e-9 + sum(weight[k][m] * remain_second[m] for m in range(count))) for k in range(count)
        ]
        ratio_second = []
        for m in range(count):
            consumed = sum(weight[k][m] * ratio_first[k] for k in range(count)) * remain_second[m]
            ratio_second.append(min(remain_second[m] / (consumed + 1e-9), 1.0) * remain_second[m])
            remain_second[m] = max(0.0, remain_second[m] - consumed)
        for k in range(count):
            given = [weight[k][m] * ratio_first[k] * ratio_second[m] for m in range(count)]
            remain_first[k] = max(0.0, remain_first[k] - sum(given))
            match[k] = [old + new for old, new in zip(match[k], given, strict=True)]
    cost = squared if preset == "lion" else lambda p, q: math.sqrt(squared(p, q))
    return sum(match[k][m] * cost(first[k], second[m]) for k in range(count) for m in range(count)) / count


def published_scores(generated: list, references: list, distance) -> tuple[float, float, float]:
    """Return MMD, COV and 1-NNA as the scripts' functions `lgan_mmd_cov` and `knn` compute them.

    The arguments of each distance have the order that the scripts use.
    """
    to_samples = torch.tensor([[distance(r, s) for s in generated] for r in references], dtype=torch.float64)
    among = [
        torch.tensor([[distance(a, b) for b in members] for a in members], dtype=torch.float64)
        for members in (references, generated)
    ]
    mmd = to_samples.min(dim=1).values.mean()
    cov = len(to_samples.argmin(dim=0).unique()) / len(references)
    both = torch.cat([torch.cat([among[0], to_samples], 1), torch.cat([to_samples.T, among[1]], 1)])
    both.fill_diagonal_(torch.inf)
    is_reference = torch.arange(len(both)) < len(references)
    right = is_reference[both.argmin(dim=0)] == is_reference
    return float(mmd), cov, float(right.double().mean())


def published_jsd(generated: list, references: list) -> float:
    nodes = [
        node
        for node in (
            [i / 27 - 0.5, j / 27 - 0.5, k / 27 - 0.5] for i in range(28) for j in range(28) for k in range(28)
        )
        if math.hypot(*node) <= 0.5
    ]
    grid = np.array(nodes)
    counted = []
    for clouds in (generated, references):
        counts = np.zeros(len(nodes))
        for cloud in clouds:
            for point in cloud:
                counts[((grid - point) ** 2).sum(axis=1).argmin()] += 1
        counted.append(counts / counts.sum())
    middle = (counted[0] + counted[1]) / 2
    parts = [sum(p * math.log2(p / m) for p, m in zip(one, middle, strict=True) if p > 0) for one in counted]
    return sum(parts) / 2


@pytest.mark.parametrize(("preset", "framed"), [("lion", in_half_box), ("octfusion", in_sphere)])
def test_the_frame_of_a_cloud_is_that_of_the_script(preset, framed):
    for cloud in CLOUDS:
        np.testing.assert_allclose(framed(cloud), published_frame(cloud, preset), rtol=0, atol=1e-12)
        np.testing.assert_allclose(framed(3 * cloud - 7), framed(cloud), rtol=0, atol=1e-12)


@pytest.mark.parametrize("preset", ["lion", "octfusion"])
def test_the_approximate_assignment_is_that_of_the_kernel(preset):
    clouds = [PRESETS[preset].framed(cloud) for cloud in CLOUDS[:4]]
    measure = ApproximateEarthMoversDistances(clouds, references=2, squared=PRESETS[preset].squared_emd)
    for first in range(4):
        for second in range(first):
            a, b = clouds[first].tolist(), clouds[second].tolist()
            forward, backward = measure(first, second)
            assert forward == pytest.approx(published_emd(b, a, preset), rel=1e-6)
            crosses = first >= 2 > second
            assert backward == pytest.approx(published_emd(*((b, a) if crosses else (a, b)), preset), rel=1e-6)


def test_the_jsd_is_that_of_the_script():
    clouds = [in_half_box(cloud) for cloud in CLOUDS]
    histograms = [np.sum([grid_occupancy(c) for c in half], axis=0) for half in (clouds[:SHAPES], clouds[SHAPES:])]
    assert jensen_shannon(*histograms) == pytest.approx(published_jsd(clouds[:SHAPES], clouds[SHAPES:]), abs=1e-6)
    assert jensen_shannon(histograms[0], histograms[0]) == pytest.approx(0, abs=1e-12)


def tetrahedra(folder: Path, seed: int) -> list[Mesh]:
    """Return random tetrahedra, and write them to the folder if its name is "real"."""
    rng = np.random.default_rng(seed)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    made = [Mesh(np.vstack([np.zeros(3), np.diag(rng.uniform(0.2, 1, 3))]), faces) for _ in range(SHAPES + 2)]
    for number, mesh in enumerate(made if folder.name == "real" else []):
        mesh.save(folder / f"{number}.ply")
    return made


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """A folder of eight samples, of which the first has no surface, and a folder of seven references."""
    tetrahedra(tmp_path / "real", 0)
    meshes = [None, *tetrahedra(tmp_path / "made", 1)]
    report = GenerationReport(tmp_path / "made", len(meshes), "ply", "z", about={})
    report.take(
        GeneratedShape(index, index, [torch.zeros(2, 2)], mesh, "" if mesh else "no node is inside", None)
        for index, mesh in enumerate(meshes)
    )
    return tmp_path / "made", tmp_path / "real"


@pytest.mark.parametrize("preset", ["lion", "octfusion"])
def test_every_score_of_a_preset_equals_that_of_the_script(folders, tmp_path, preset, monkeypatch):
    few = Preset(**{**vars(PRESETS[preset]), "points": POINTS})
    monkeypatch.setitem(PRESETS, preset, few)
    seen: list[ComparedSets] = []
    clouds: dict[str, list] = {"reference": [], "generated": []}
    from lagem.evaluation.generation import run

    def kept(shapes, summary_sets, *rest):
        seen.append(summary_sets)
        for shape in shapes:
            if shape.compared:
                clouds[shape.set].append(shape.points.tolist())
        return original(shapes, summary_sets, *rest)

    original = run.summarise_generation
    monkeypatch.setattr(run, "summarise_generation", kept)
    out = tmp_path / "out"
    summary = evaluate_generation(
        folders[0], MeshSurfaces(folders[1]), out, points=POINTS, emd_points=POINTS, preset=preset
    )
    generated, references = clouds["generated"], clouds["reference"]
    assert len(generated) == len(references) == 7
    expected = {
        f"{measure}_{name}": value
        for name, distance in (("chamfer", published_chamfer), ("emd", lambda a, b: published_emd(a, b, preset)))
        for measure, value in zip(
            ("mmd", "coverage", "one_nna"), published_scores(generated, references, distance), strict=True
        )
    }
    if preset == "lion":
        expected["jsd"] = published_jsd(generated, references)
    found = {name: mean.value for name, mean in summary.overall.means.items()}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert ("jsd" in found) == (preset == "lion")
    for cloud in [*generated, *references]:
        np.testing.assert_allclose(published_frame(np.array(cloud), preset), cloud, rtol=0, atol=1e-6)
    assert json.loads((out / "generation.json").read_text())["about"]["preset"] == preset
    assert (
        f"Preset {preset}. Sets: in every category of the samples, all references"
        in (out / "generation.md").read_text()
    )


def test_a_preset_takes_all_references_and_the_first_samples_whatever_the_seed(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "lion", Preset(**{**vars(PRESETS["lion"]), "points": POINTS}))
    (folders[1] / "6.ply").unlink()
    for seed in (0, 1):
        out = tmp_path / str(seed)
        evaluate_generation(folders[0], MeshSurfaces(folders[1]), out, points=POINTS, preset="lion", seed=seed)
        shapes = json.loads((out / "generation.json").read_text())["shapes"]
        compared = {
            of: [s["id"] for s in shapes if s["set"] == of and s["compared"]] for of in ("generated", "reference")
        }
        assert compared == {"generated": [f"{n:04d}" for n in range(1, 7)], "reference": [str(n) for n in range(6)]}


def test_fewer_samples_than_references_are_refused(folders, tmp_path, capsys):
    table = folders[0] / "samples.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate-generation", *map(str, folders), "--preset", "lion", "--output", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert "all 7 references with as many generated shapes, but only 2 have a surface" in error


@pytest.mark.parametrize("words", [["--points", "100"], ["--emd-points", "512"]])
def test_other_numbers_of_points_are_refused(folders, tmp_path, capsys, words):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate-generation", *map(str, folders), "--preset", "lion", "--output", str(tmp_path / "out"), *words])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and "--preset lion needs --points 2048" in error
