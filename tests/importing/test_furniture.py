"""Catalogues of Sweet Home 3D become meshes with a manifest, and no path in a catalogue leads out of the folder."""

import csv
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.geometry.files.loading import load_mesh
from lagem.importing import furniture
from lagem.importing.catalogue import category_of, parse_properties
from lagem.importing.furniture import import_furniture
from preparation_here import run_in_this_process
from releases import piece, save_catalogue

CUBE = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 2) for z in (0, 3)) + "".join(
    f"f {face}\n" for face in ("1 2 4 3", "5 7 8 6", "1 5 6 2", "3 4 8 7", "1 3 7 5", "2 6 8 4")
)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(furniture, "run_in_processes", run_in_this_process)


def manifest_of(output: Path) -> list[dict[str, str]]:
    with (output / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_models_names_sizes_and_creators_are_in_the_manifest(tmp_path: Path):
    properties = (
        "license=CC-BY 3.0 \\u00a9 Ann\n"
        + piece(1, "Office armchair", "/a/seat.obj")
        + piece(2, "Desk lamp with table", "/a/lamp.obj", creator="Bob")
    )
    save_catalogue(tmp_path / "Some.sh3f", properties, {"a/seat.obj": CUBE, "a/lamp.obj": CUBE})
    import_furniture(tmp_path, tmp_path / "out")
    lamp, seat = manifest_of(tmp_path / "out")
    assert (lamp["id"], lamp["category"], lamp["creator"]) == ("Some__lamp", "lamp", "Bob")
    assert (seat["category"], seat["width"], seat["depth"], seat["licence"]) == (
        "armchair",
        "100.0",
        "50.5",
        "CC-BY 3.0 © Ann",
    )
    assert np.ptp(load_mesh(tmp_path / "out" / seat["file"]).vertices, axis=0).tolist() == [1, 2, 3]
    attribution = (tmp_path / "out" / "ATTRIBUTION.md").read_text()
    assert "Bob: Desk lamp with table" in attribution and "CC-BY 3.0 © Ann" in attribution


def test_a_model_is_turned_upright(tmp_path: Path):
    upright = "1 0 0 0 0 1 0 -1 0"
    save_catalogue(tmp_path / "a.sh3f", piece(1, "Chair", "/c.obj", modelRotation=upright), {"c.obj": CUBE})
    import_furniture(tmp_path / "a.sh3f", tmp_path / "out")
    (row,) = manifest_of(tmp_path / "out")
    assert np.ptp(load_mesh(tmp_path / "out" / row["file"]).vertices, axis=0).tolist() == [1, 3, 2]


def test_unusable_models_are_refused_and_the_others_imported(tmp_path: Path):
    properties = "".join(
        piece(number, f"Chair {number}", model, **more)
        for number, (model, more) in enumerate(
            [
                ("/good.obj", {}),
                ("/missing.obj", {}),
                ("/words.obj", {}),
                ("/room.dae", {}),
                ("/beyond.obj", {}),
                ("../../etc/passwd.obj", {}),
                ("/good2.obj", {"modelRotation": "2 0 0 0 2 0 0 0 2"}),
            ]
        )
    )
    models = {"good.obj": CUBE, "good2.obj": CUBE, "words.obj": "v one two three\n", "room.dae": "<a/>"}
    models["beyond.obj"] = CUBE + "f 1 2 3 9\n"
    save_catalogue(tmp_path / "a.sh3f", properties, models)
    import_furniture(tmp_path / "a.sh3f", tmp_path / "out")
    assert [row["id"] for row in manifest_of(tmp_path / "out")] == ["a__good"]
    with (tmp_path / "out" / "refused.csv").open(newline="") as file:
        refused = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert set(refused) == {"a__missing", "a__words", "a__room", "a__beyond", "a__passwd", "a__good2"}
    assert "it has only 8 vertices" in refused["a__beyond"]
    assert "not a rotation" in refused["a__good2"] and "OBJ" in refused["a__room"]
    assert sorted(path.name for path in (tmp_path / "out" / "meshes").iterdir()) == ["a__good.ply"]


def test_a_few_faces_without_inside_are_left_out(tmp_path: Path):
    ball = trimesh.creation.icosphere(2)
    sphere = "".join(f"v {x} {y} {z}\n" for x, y, z in ball.vertices)
    sphere += "".join(f"f {a} {b} {c}\n" for a, b, c in ball.faces + 1)
    crossing = "v 0 0 2\nv 1 1 2\nv 1 0 2\nv 0 1 2\nf -4 -3 -2 -1\nf 1 2\n"
    properties = piece(1, "Ball", "/ball.obj") + piece(2, "Net", "/net.obj")
    save_catalogue(tmp_path / "a.sh3f", properties, {"ball.obj": sphere + crossing, "net.obj": CUBE + 9 * crossing})
    import_furniture(tmp_path / "a.sh3f", tmp_path / "out")
    (row,) = manifest_of(tmp_path / "out")
    mesh = load_mesh(tmp_path / "out" / row["file"])
    assert len(mesh.faces) == len(ball.faces)
    assert mesh.area == pytest.approx(ball.area)


def test_a_second_call_gives_the_same_files(tmp_path: Path):
    save_catalogue(
        tmp_path / "a.sh3f", piece(1, "Chair", "/c.obj") + piece(2, "Bed", "/b.obj"), {"c.obj": CUBE, "b.obj": CUBE}
    )
    import_furniture(tmp_path / "a.sh3f", tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    (tmp_path / "out" / "meshes" / "a__b.ply").unlink()
    (tmp_path / "out" / "manifest.csv").unlink()
    import_furniture(tmp_path / "a.sh3f", tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("Armchair", "armchair"),
        ("Office chair", "chair"),
        ("Corner sofa", "sofa"),
        ("Coffee table", "table"),
        ("Desk lamp", "lamp"),
        ("Bed with nightstand", "bed"),
        ("Desk, white", "desk"),
        ("Kitchen cabinets", "cabinet"),
        ("Trash can", "other"),
        ("", "other"),
    ],
)
def test_the_category_is_that_of_the_head_noun(name: str, category: str):
    assert category_of(name) == category


def test_ids_are_unique_and_short_whatever_the_models_are_called(tmp_path: Path):
    names = ["a-3", "a", "a", f"{'椅' * 100}", f"{'椅' * 100}"]
    properties = "".join(piece(n, "Chair", f"/{n}/{name}.obj") for n, name in enumerate(names, 1))
    properties = properties.encode("ascii", "backslashreplace").decode()
    models = {f"{n}/{name}.obj": CUBE for n, name in enumerate(names, 1)}
    import_furniture(save_catalogue(tmp_path / "a.sh3f", properties, models), tmp_path / "out")
    ids = [row["id"] for row in manifest_of(tmp_path / "out")]
    assert len(set(ids)) == len(names)
    assert {"a__a-3", "a__a", "a__a-3-3"} < set(ids)
    assert all(len(id.encode()) <= 200 for id in ids)


def test_a_number_that_java_would_not_write_is_no_piece(tmp_path: Path):
    properties = piece(1, "Chair", "/c.obj") + "model#01=/c.obj\nmodel#\\u0663=/c.obj\n"
    import_furniture(save_catalogue(tmp_path / "a.sh3f", properties, {"c.obj": CUBE}), tmp_path / "out")
    assert [row["id"] for row in manifest_of(tmp_path / "out")] == ["a__c"]


def test_the_end_of_a_very_long_property_is_left_out():
    continued = "a\\\n" * 200_000
    assert parse_properties(f"x={'b' * 10**6}\ny={continued}\nz=1\n") == {"x": "b" * 1998, "y": "a" * 1998, "z": "1"}


def test_properties_are_read_as_java_reads_them():
    text = "# no\n! no\na=1\n b : two words \nc\\=d=x\\\n   y\ne f\nu=\\u00e9\\t.\nempty=\n"
    assert parse_properties(text) == {"a": "1", "b": "two words ", "c=d": "xy", "e": "f", "u": "é\t.", "empty": ""}
