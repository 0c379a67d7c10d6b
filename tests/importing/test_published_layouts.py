"""Files in each published layout, made from real meshes, are imported, trained on and evaluated."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import small_run
from lagem.cli import main
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.mesh import Mesh
from lagem.importing import furniture, hy3d
from lagem.preparation import pipeline
from preparation_here import run_in_this_process
from releases import npz, piece, sampled, save_catalogue, save_lagem, save_tar, save_vecset

SPLITS = ("train", "train", "val", "test")
FEW = ["--surface", "2500", "--volume", "2000", "--near", "1000", "--inside", "200"]
MAPPING = """
surface: cloud
volume_points: far
near_points: close
frame: sphere
sign: positive_inside
dtype: float32
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def meshes(shared_meshes: Path) -> dict[str, Mesh]:
    """Return four real meshes that are closed."""
    rows = [row for row in rows_of(shared_meshes / "manifest.csv") if row["watertight"] == "True"]
    whole = [row for row in rows if row["n_components"] == "1" and row["split"] != "hard"]
    small = [row for row in whole if 500 < int(row["n_faces"]) < 3000]
    return {row["id"]: load_mesh(shared_meshes / row["file"]) for row in small[:: len(small) // 3][:4]}


def lagem(root: Path, meshes: dict[str, Mesh]) -> list[str]:
    for split, (id, mesh) in zip(SPLITS, meshes.items(), strict=True):
        save_lagem(root, split, "000-000", id, f"a {id}", sampled(mesh))
    return ["lagem", str(root)]


def vecset(root: Path, meshes: dict[str, Mesh]) -> list[str]:
    for split, (id, mesh) in zip(SPLITS, meshes.items(), strict=True):
        save_vecset(root, split, "chair", id, sampled(mesh, box=True))
    return ["vecset", str(root)]


def mapping(root: Path, meshes: dict[str, Mesh]) -> list[str]:
    for split, (id, mesh) in zip(SPLITS, meshes.items(), strict=True):
        points, file = sampled(mesh), root / split / f"{id}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        far = np.column_stack([points.volume, -points.volume_sdf]).astype(np.float32)
        close = np.column_stack([points.near, -points.near_sdf]).astype(np.float32)
        np.savez(file, cloud=points.surface.astype(np.float32), far=far, close=close)
    (root.parent / "mine.yaml").write_text(MAPPING)
    return [str(root.parent / "mine.yaml"), str(root)]


def hy3d_tars(root: Path, meshes: dict[str, Mesh]) -> list[str]:
    for number, (split, (id, mesh)) in enumerate(zip(SPLITS, meshes.items(), strict=True)):
        mesh.save(root.parent / "whole.ply")
        content = npz(full=(root.parent / "whole.ply").read_bytes())
        save_tar(root / split / "water_tight_meshes" / f"{number}.tar.gz", {f"{number}/{id}.npz": content})
    return ["hy3d", str(root)]


def sweethome3d(root: Path, meshes: dict[str, Mesh]) -> list[str]:
    models, properties = {}, "license=CC0\n"
    for number, (id, mesh) in enumerate(meshes.items(), 1):
        mesh.save(root / "model.obj")
        models[f"{id}.obj"] = (root / "model.obj").read_text()
        properties += piece(number, f"Chair {number}", f"/{id}.obj")
    save_catalogue(root / "Some.sh3f", properties, models)
    return ["sweethome3d", str(root)]


@pytest.mark.parametrize("release", [lagem, vecset, mapping, hy3d_tars, sweethome3d])
def test_a_release_made_from_real_meshes_is_imported_trained_on_and_evaluated(
    release: Callable[[Path, dict[str, Mesh]], list[str]],
    meshes: dict[str, Mesh],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for module in (pipeline, hy3d, furniture):
        monkeypatch.setattr(module, "run_in_processes", run_in_this_process)
    output, data, scores = tmp_path / "imported", tmp_path / "data", tmp_path / "scores"
    has_meshes = release in (hy3d_tars, sweethome3d)
    main(["import", *release(tmp_path / "release", meshes), "--output", str(output if has_meshes else data)])
    if has_meshes:
        main(["prepare", str(output / "manifest.csv"), "--up", "y", "--val-share", "0.5", "--output", str(data), *FEW])
    main(small_run.fit_on_prepared(data, tmp_path / "run", steps=1))
    (checkpoint, *_) = (tmp_path / "run").rglob("last.ckpt")
    sizes = ["--resolution", "16", "--points", "500"]
    main(["evaluate", str(checkpoint), str(data), "--split", "val", "--output", str(scores), *sizes])
    splits = {row["id"]: row["split"] for row in rows_of(data / "index.csv")}
    assert len(splits) == 4
    assert {row["id"] for row in rows_of(scores / "scores.csv")} == {id for id in splits if splits[id] == "val"}
