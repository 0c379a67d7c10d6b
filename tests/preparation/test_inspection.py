"""`lagem inspect` summarises good folders, and notices each fault that is put into one."""

import argparse
import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from rich.console import Console

from lagem.commands.data import inspect as command
from lagem.geometry.mesh import Mesh
from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings
from lagem.prepared import inspection_report
from lagem.prepared.inspection import Inspection, inspect_folder
from lagem.prepared.quantisation import encode
from lagem.prepared.shard_file import ShapeArrays, ShardFile, write_shard
from lagem.prepared.shards import Shards

COUNTS = Settings(surface=4_000, volume=4_000, near=2_000, inside=500, watertight="flood", resolution=64, val_share=0)


def save(folder: Path, name: str, made: trimesh.Trimesh) -> None:
    Mesh(made.vertices, made.faces).save(folder / f"{name}.ply")


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    folder = tmp_path / "meshes"
    folder.mkdir()
    save(folder, "ball", trimesh.creation.icosphere(4))
    save(folder, "box", trimesh.creation.box((1, 1.5, 2)))
    save(folder, "torus", trimesh.creation.torus(1, 0.4))
    return folder


@pytest.fixture
def inspected(meshes, tmp_path, in_this_process) -> Callable[[], Inspection]:
    def run() -> Inspection:
        prepare([meshes], tmp_path / "out", COUNTS)
        return inspect_folder(tmp_path / "out")

    return run


def rewritten(root: Path, id: str, change: Callable[[ShapeArrays], ShapeArrays]) -> None:
    """Change one stored shape of a prepared folder."""
    (path,) = (root / "shards").iterdir()
    file = ShardFile(path)
    shapes = [file.shape(row) for row in range(len(file.ids))]
    write_shard(path, [change(shape) if shape.id == id else shape for shape in shapes])


def suspicions(inspection: Inspection) -> dict[str, str]:
    return {shape.id: "; ".join(shape.suspicions) for shape in inspection.shapes if shape.suspicions}


def test_plain_shapes_are_not_suspicious(inspected):
    inspection = inspected()
    assert suspicions(inspection) == {} and inspection.copies == []
    assert all(shape.agreement > 0.98 for shape in inspection.shapes)


def test_shares_and_thickness_are_those_of_the_solids(inspected):
    ball = inspected().shapes[0]
    assert ball.inside_share == pytest.approx(3**-1.5, rel=0.05)
    assert ball.thickness == pytest.approx(2 / 3, rel=0.05)  # 2 V / A of the unit ball


def test_labels_turned_over_are_noticed(inspected, tmp_path):
    inspected()

    def turn(shape: ShapeArrays) -> ShapeArrays:
        pools = {**shape.pools, "near_inside": shape.pools["near_outside"], "near_outside": shape.pools["near_inside"]}
        return replace(shape, pools=pools)

    rewritten(tmp_path / "out", "box", turn)
    found = suspicions(inspect_folder(tmp_path / "out"))
    assert list(found) == ["box"] and "labels and normals agree for" in found["box"]


@pytest.mark.parametrize(("scale", "shift", "words"), [(0.7, 0, "largest norm 0.7"), (0.8, 0.2, "off centre")])
def test_a_shape_in_another_frame_is_noticed(scale, shift, words, inspected, tmp_path):
    inspected()
    moved = np.random.default_rng(0).normal(size=(4_000, 3))
    moved = scale * moved / np.linalg.norm(moved, axis=1, keepdims=True) + [shift, 0, 0]
    rewritten(
        tmp_path / "out",
        "ball",
        lambda shape: replace(shape, pools={**shape.pools, "surface_points": encode("surface_points", moved)}),
    )
    assert words in suspicions(inspect_folder(tmp_path / "out"))["ball"]


def test_thin_shapes_and_sheets_are_noticed(meshes, inspected):
    save(meshes, "plate", trimesh.creation.box((2, 2, 0.01)))
    sheet = trimesh.creation.box((2, 2, 1))
    save(meshes, "sheet", trimesh.Trimesh(sheet.vertices, sheet.faces[sheet.face_normals[:, 2] > 0.5]))
    found = suspicions(inspected())
    assert "mean thickness 0.00" in found["plate"]
    assert "thicken open sheets" in found["sheet"]


def test_copies_are_found_and_said_to_be_in_another_split(meshes, tmp_path, in_this_process):
    ball = trimesh.creation.icosphere(4)
    save(meshes, "again", trimesh.Trimesh(ball.vertices * 7 + 3, ball.faces))
    ball.vertices[:, 2] *= 0.99
    save(meshes, "nearly", ball)
    manifest = tmp_path / "list.csv"
    rows = [f"{path},{path.stem},{'val' if path.stem == 'again' else 'train'}" for path in meshes.iterdir()]
    manifest.write_text("\n".join(["file,id,split", *rows]))
    prepare([manifest], tmp_path / "out", COUNTS)
    inspection = inspect_folder(tmp_path / "out")
    found = suspicions(inspection)
    assert set(found) == {"again", "ball", "nearly"}
    assert "the same as ball, in another split" in found["again"]
    assert "the same as again, in another split" in found["ball"]
    assert len(inspection.copies) == 3


def test_a_second_opinion_is_given_on_as_many_shapes_as_asked(inspected, tmp_path):
    inspected()
    judged = [shape.agreement is not None for shape in inspect_folder(tmp_path / "out", judged=2).shapes]
    assert judged.count(True) == 2


def test_a_lost_table_leaves_what_the_shards_tell(inspected, tmp_path):
    inspected()
    (tmp_path / "out" / "table.csv").unlink()
    inspection = inspect_folder(tmp_path / "out")
    assert [shape.measures for shape in inspection.shapes] == [None] * 3 and suspicions(inspection) == {}


def test_an_empty_folder_is_an_error(inspected, tmp_path):
    inspected()
    index = tmp_path / "out" / "index.csv"
    index.write_text(index.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="holds no prepared shape"):
        inspect_folder(tmp_path / "out")


def test_the_report_names_refused_and_suspicious(meshes, inspected):
    save(meshes, "plate", trimesh.creation.box((2, 2, 0.01)))
    (meshes / "empty.obj").touch()
    console = Console(width=140, file=io.StringIO())
    inspection_report.show(inspected(), console)
    text = console.file.getvalue()
    assert "4 (4 train), 1 refused" in text and "4 own" in text
    assert "suspicious shapes: 1 of 4:" in text and "  plate (" in text and "close shapes: 0" in text


def test_a_shortened_list_of_suspicious_shapes_says_where_all_are(inspected, monkeypatch):
    inspection = inspected()
    shapes = [replace(shape, suspicions=["odd"] * n) for n, shape in enumerate(inspection.shapes, 1)]
    monkeypatch.setattr(inspection_report, "LISTED", 2)
    console = Console(width=140, file=io.StringIO())
    inspection_report.show(replace(inspection, shapes=shapes), console)
    text = " ".join(console.file.getvalue().split())
    assert "suspicious shapes: 3 of 3; the first 2, all are in inspection.csv" in text
    assert "odd; odd; odd" in text and text.count("odd") == 5  # those with most suspicions


def test_a_suspicious_shape_is_one_line_also_in_a_narrow_file(inspected):
    """Neither a long id nor its reason is cut or broken, so that both can be searched for."""
    id = "furniture__" + "-".join(map(str, range(40)))
    inspection = inspected()
    first = replace(inspection.shapes[0], id=id, category="chair\x1b[2J", suspicions=[f"the same as {id}", "[odd]"])
    console = Console(width=80, file=io.StringIO())
    inspection_report.show(replace(inspection, shapes=[first, *inspection.shapes[1:]]), console)
    lines = console.file.getvalue().splitlines()
    assert f"  {id} (chair\\x1b[2J, {first.split}): the same as {id}; [odd]" in lines


def test_the_command_writes_tables_and_pictures(meshes, tmp_path, in_this_process, capsys):
    save(meshes, "plate", trimesh.creation.box((2, 2, 0.01)))
    prepare([meshes], tmp_path / "out", COUNTS)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(tmp_path / "out")]))
    folder = tmp_path / "out" / "inspection"
    lines = capsys.readouterr().out.splitlines()
    assert str(folder) in "".join(lines)
    for work in ("verifying", "inspecting", "describing"):
        assert len([line for line in lines if line.startswith(f"{work} 4/4 ")]) == 1
    assert "" not in lines
    rows = {row["id"]: row for row in csv.DictReader((folder / "inspection.csv").open())}
    assert len(rows) == 4 and rows["plate"]["suspicions"] and not rows["ball"]["suspicions"]
    for name in ("suspicious", "random"):
        assert len(np.unique(np.asarray(Image.open(folder / f"{name}.png")))) > 20
    prepare([meshes], tmp_path / "out", COUNTS)  # the folder can still be resumed
    assert len(Shards(tmp_path / "out")) == 4
