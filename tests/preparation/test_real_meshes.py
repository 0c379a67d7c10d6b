"""A handful of real meshes: prepared, and labelled as the exact winding number says."""

from pathlib import Path

import igl
import numpy as np
import pytest

from lagem.geometry.mesh import load_mesh
from lagem.preparation import Settings, Shards, prepare

MESHES = Path(__file__).resolve().parents[2].parent / "shared" / "meshes"
CLOSED = ("animal_figure/objsim_duck", "human_body/objsim_hand", "primitive/objsim_toruslarge")

pytestmark = pytest.mark.skipif(not MESHES.is_dir(), reason="needs ../shared/meshes")


@pytest.fixture
def shards(tmp_path, in_this_process) -> Shards:
    files = [MESHES / "train" / f"{name}.ply" for name in CLOSED]
    prepare(files, tmp_path / "out", Settings(surface=1_000, volume=20_000, near=1_000, inside=0))
    return Shards(tmp_path / "out")


def test_real_meshes_are_labelled_as_the_exact_winding_number_says(shards):
    assert shards.ids == sorted(Path(name).name for name in CLOSED)
    for index, name in enumerate(sorted(CLOSED, key=lambda name: Path(name).name)):
        mesh = load_mesh(MESHES / "train" / f"{name}.ply").in_frame(shards.frame(index))
        for pool in ("volume_inside", "volume_outside", "near_inside", "near_outside"):
            points = shards.read(index, pool, 0, min(300, shards.count(index, pool))).astype(np.float64)
            exact = np.abs(igl.winding_number(mesh.vertices, mesh.faces, points)) > 0.5
            wrong = points[exact != pool.endswith("inside")]
            squared = (
                igl.point_mesh_squared_distance(wrong, mesh.vertices, mesh.faces)[0] if len(wrong) else np.zeros(0)
            )
            assert (squared < 1e-8).all(), (name, pool)


def test_manifest_of_the_meshes_is_understood(tmp_path, small, in_this_process):
    header, *rows = (MESHES / "manifest.csv").read_text().splitlines()
    closed = [row for row in rows if any(name in row for name in CLOSED)]
    manifest = tmp_path / "few.csv"
    manifest.write_text("\n".join([header, *(row.replace("train/", f"{MESHES}/train/", 1) for row in closed)]))
    records = prepare([manifest], tmp_path / "out", small)
    assert {record.status for record in records} == {"prepared"}
    assert {record.category for record in records} == {"animal_figure", "human_body", "primitive"}
