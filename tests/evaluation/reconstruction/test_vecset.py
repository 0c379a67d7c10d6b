"""`lagem evaluate --preset vecset` scores as the script of 3DShape2VecSet does; the tests repeat the script's steps."""

import json
from pathlib import Path

import mcubes
import numpy as np
import pytest
import torch

from lagem.cli import main
from lagem.evaluation.reconstruction import vecset
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.truth import LabelledQueries, Truth
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.randomness import sample_generator
from toy_shapes import prepare_toys

CPU = torch.device("cpu")
REFERENCES, QUERIES = 100, 3_000
AXES = np.array([0.9, 0.5, 0.3])  # of the true ellipsoid, in the unit sphere
PLAIN = ["--points", "500", "--resolution", "16"]
FACTOR = 0.99  # from the unit sphere to the box, if a reference point reaches the coordinate 1


def field(points: torch.Tensor) -> torch.Tensor:
    """The field that stands for a reconstruction: a ball around a point near the origin."""
    return 0.55 - torch.linalg.norm(points - torch.tensor([0.1, 0.0, -0.05]), dim=1)


@pytest.fixture
def truth() -> Truth:
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(REFERENCES, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = normals * AXES
    points /= np.abs(points).max()
    queries = rng.uniform(-1.2, 1.2, size=(QUERIES, 3)).astype(np.float32)
    inside = ((queries / AXES) ** 2).sum(axis=1) < 1
    return Truth(
        id="ellipsoid",
        category="solids",
        surface_points=points[:64].astype(np.float32),
        reference_points=points.astype(np.float32),
        reference_normals=normals.astype(np.float32),
        volume=LabelledQueries(queries, inside, np.ones(QUERIES)),
        near=None,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A prepared folder of one validation shape, the ball `again`."""
    return prepare_toys(tmp_path_factory.mktemp("made"), only=["again"])


def scored(truth: Truth) -> ShapeScore:
    return vecset.score_as_vecset(truth, field, seed=3, device=CPU)


def published_mesh() -> Mesh:
    """Extract `field` on 129^3 nodes by marching cubes, as 3DShape2VecSet does; return the mesh in the box frame."""
    side = np.linspace(-1, 1, 129)
    x, y, z = np.meshgrid(side, side, side, indexing="ij")
    nodes = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    volume = field(torch.from_numpy(nodes / np.float32(FACTOR))).numpy().reshape(129, 129, 129)
    vertices, faces = mcubes.marching_cubes(volume.astype(np.float64), 0)
    return Mesh(vertices * (2 / 128) - 1, faces.astype(np.int64))


def test_chamfer_distance_and_f_score_are_those_of_the_script(truth):
    predicted, _ = sample_surface(published_mesh(), 100_000, sample_generator(3, 0, "ellipsoid"))
    surface = truth.reference_points.astype(np.float64) * FACTOR
    to_result, to_truth = np.empty(REFERENCES), np.full(100_000, np.inf)
    for index, point in enumerate(surface):
        distance = np.sqrt(((predicted - point) ** 2).sum(axis=1))
        to_result[index] = distance.min()
        to_truth = np.minimum(to_truth, distance)
    found = scored(truth)
    assert found.chamfer == pytest.approx(to_result.mean() + to_truth.mean(), rel=1e-6)
    for threshold, value in ((0.01, found.fscore_010), (0.02, found.fscore_020), (0.05, found.fscore_050)):
        precision, recall = np.mean(to_result < threshold), np.mean(to_truth < threshold)
        assert value == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-6)
    assert 0 < found.fscore_050 < 1


def test_iou_counts_the_queries_in_the_box(truth):
    points, labels = truth.volume.points * np.float32(FACTOR), truth.volume.occupancy
    in_box = (np.abs(points) <= 1).all(axis=1)
    predicted = (field(torch.from_numpy(points / np.float32(FACTOR))) >= 0).numpy()
    intersection = (predicted & labels & in_box).sum()
    assert scored(truth).iou == pytest.approx(intersection / ((predicted | labels) & in_box).sum(), abs=1e-6)
    assert not in_box.all()


def test_a_logit_of_zero_is_inside(truth):
    found = vecset.score_as_vecset(truth, lambda points: torch.zeros(len(points)), seed=0, device=CPU)
    in_box = (np.abs(truth.volume.points * np.float32(FACTOR)) <= 1).all(axis=1)
    assert found.iou == pytest.approx(truth.volume.occupancy[in_box].mean()) and found.reason


def test_the_input_is_drawn_from_all_true_points_without_replacement(truth):
    many = np.random.default_rng(0).normal(size=(5_000, 3)).astype(np.float32)
    shape = Truth(**{**vars(truth), "reference_points": many, "reference_normals": many})
    drawn, again, other = (vecset.with_drawn_input(shape, 2_048, seed).surface_points for seed in (0, 0, 1))
    np.testing.assert_array_equal(drawn, again)
    assert len(np.unique(drawn, axis=0)) == 2_048 and not np.array_equal(drawn, other)
    index = [int(np.flatnonzero((many == point).all(axis=1))[0]) for point in drawn]
    assert np.abs(np.diff(index)).max() > 2_048  # no window
    with pytest.raises(ValueError, match="ellipsoid: has 100 surface points, but --preset vecset encodes 2048"):
        vecset.with_drawn_input(truth, 2_048, 0)


def test_the_command_scores_the_network_in_the_box_and_the_card_names_the_preset(weights, folder, tmp_path, capsys):
    """The network says "inside" everywhere, so its surface is the cube [-1, 1]^3 of the grid."""
    words = ["evaluate", str(weights), str(folder), "--output", str(tmp_path / "card"), "--preset", "vecset"]
    main(words)
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    about = card["about"]
    assert (about["preset"], about["surface points given"], about["points"], about["resolution"]) == (
        "vecset", 2048, 100_000, 128
    )  # fmt: skip
    text = (tmp_path / "card" / "card.md").read_text()
    assert "Preset vecset: box frame" in text and "Unit-sphere frame" not in text
    capsys.readouterr()
    main([*words, "--status"])
    assert capsys.readouterr().out.endswith("0 missing\n")
    main(["evaluate", str(weights), str(folder), "--output", str(tmp_path / "card"), "--status"])
    assert capsys.readouterr().out.endswith("1 missing\n")
    main(["evaluate", str(weights), str(folder), "--output", str(tmp_path / "plain"), *PLAIN])
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "plain"), str(tmp_path / "card")])
    assert "preset is None in the first and 'vecset' in the second" in capsys.readouterr().err
    (again,) = card["scores"]
    # the ball of radius 0.99 fills this part of the box
    assert again["iou"] == pytest.approx(4 / 3 * np.pi * 0.99**3 / 8, abs=0.05)


@pytest.mark.parametrize("option", ["--points", "--resolution"])
def test_other_settings_than_the_scripts_are_refused(weights, folder, tmp_path, capsys, option):
    words = ["--output", str(tmp_path / "card"), "--preset", "vecset", option, "100"]
    for more in ([], ["--status"]):
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", str(weights), str(folder), *words, *more])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and error.count("\n") == 1 and f"--preset vecset sets {option} to" in error


def test_retrieval_has_no_preset(folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "retrieval", str(folder), "--output", str(tmp_path / "card"), "--preset", "vecset"])
    assert stop.value.code == 2 and "--preset vecset: this preset scores networks" in capsys.readouterr().err
