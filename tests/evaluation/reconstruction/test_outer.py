"""`lagem evaluate --outer`: faces that cannot be seen from outside are left out of the scores, and listed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.cli import main
from lagem.evaluation.reconstruction.run import evaluate
from lagem.evaluation.reconstruction.truth import truths_of_meshes
from lagem.geometry.distance import outer_faces
from lagem.geometry.mesh import Mesh

SMALL = {"points": 500, "resolution": 16}


def joined(*parts: trimesh.Trimesh) -> Mesh:
    whole = trimesh.util.concatenate(parts)
    return Mesh(whole.vertices, whole.faces)


def ball(radius: float) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(3, radius=radius)


BALL = len(ball(1).faces)


@pytest.fixture
def meshes(tmp_path) -> Path:
    joined(ball(1), ball(0.5)).save(tmp_path / "meshes" / "nested.ply")
    joined(ball(1)).save(tmp_path / "meshes" / "plain.ply")
    return tmp_path / "meshes"


def test_a_ball_within_a_ball_is_inner_and_one_beside_it_is_not():
    found = outer_faces(joined(ball(0.5), ball(0.25)), np.random.default_rng(0))
    assert found[:BALL].all() and not found[BALL:].any()
    beside = ball(0.25)
    beside.apply_translation([0.7, 0, 0])
    assert outer_faces(joined(ball(0.4), beside), np.random.default_rng(0)).all()


def test_both_sides_of_an_open_sheet_and_the_inside_of_a_cup_are_seen():
    sheet = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2], [2, 1, 0]]))
    assert outer_faces(sheet, np.random.default_rng(0)).all()
    box = trimesh.creation.box((1, 1, 1))
    cup = Mesh(box.vertices, box.faces[box.face_normals[:, 2] < 0.5])
    assert len(cup.faces) == 10 and outer_faces(cup, np.random.default_rng(0)).all()


def test_faces_without_area_are_kept():
    flat = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0]]), np.array([[0, 1, 2], [0, 1, 3]]))
    assert outer_faces(flat, np.random.default_rng(0)).all()


@pytest.mark.parametrize("outer", [True, False])
def test_points_lie_on_outer_faces_only(meshes, outer):
    nested, plain = truths_of_meshes([meshes], num_surface_points=200, num_reference_points=1_000, seed=0, outer=outer)
    for points in (nested.surface_points, nested.reference_points):
        radius = np.linalg.norm(points, axis=1)
        assert (radius.min() > 0.9) == outer and radius.max() < 1.001
    assert (plain.inner is not None) == outer


def test_inner_faces_are_listed_and_the_card_names_what_was_scored(meshes, weights, tmp_path):
    main(["evaluate", str(weights), str(meshes), "--output", str(tmp_path / "card"), "--outer", "--points", "500",
          "--resolution", "16"])  # fmt: skip
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "card" / "inner_faces.csv").open())}
    assert rows["nested"]["indices"].split() == [str(n) for n in range(BALL, 2 * BALL)]
    assert (rows["nested"]["faces"], rows["nested"]["inner faces"]) == (str(2 * BALL), str(BALL))
    assert float(rows["nested"]["inner fraction of the area"]) == pytest.approx(0.2, rel=1e-4)
    assert rows["plain"]["inner faces"] == "0" and rows["plain"]["indices"] == ""
    about = json.loads((tmp_path / "card" / "card.json").read_text())["about"]
    assert "without the faces that cannot be seen from outside, which inner_faces.csv lists" in about["truth"]
    assert "without the faces" in (tmp_path / "card" / "card.md").read_text()


def test_scores_of_all_faces_are_not_taken_for_those_of_outer_faces(meshes, weights, tmp_path, capsys):
    evaluate(weights, meshes, tmp_path / "all", **SMALL)
    evaluate(weights, meshes, tmp_path / "outer", **SMALL, outer=True)
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "all"), str(tmp_path / "outer")])
    assert "truth is" in capsys.readouterr().err
    words = ["--points", "500", "--resolution", "16", "--status"]
    for name, more, missing in (("all", [], 0), ("all", ["--outer"], 2), ("outer", ["--outer"], 0), ("outer", [], 2)):
        capsys.readouterr()
        main(["evaluate", str(weights), str(meshes), "--output", str(tmp_path / name), *words, *more])
        assert capsys.readouterr().out.endswith(f"{missing} missing\n")


def test_a_prepared_folder_is_refused(weights, folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(weights), str(folder), "--output", str(tmp_path / "card"), "--outer"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and "--outer needs raw meshes" in error
