"""Small closed meshes with a known inside, and a way to prepare them fast."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.geometry.mesh import Mesh
from lagem.preparation import pipeline
from lagem.preparation.settings import Settings
from preparation_here import prepare, run_in_this_process

SMALL = Settings(surface=60, volume=400, near=50, inside=0, watertight="none", shapes_per_shard=3)


@pytest.fixture
def small() -> Settings:
    return SMALL


@pytest.fixture(scope="session")
def box() -> Mesh:
    """A box with sides 5, 10 and 15, turned and far from the origin."""
    mesh = trimesh.creation.box((1, 2, 3))
    turn = trimesh.transformations.random_rotation_matrix(np.array([0.1, 0.5, 0.8]))[:3, :3]
    return Mesh(mesh.vertices @ turn.T * 5 + [100, -40, 7], np.asarray(mesh.faces))


@pytest.fixture(scope="session")
def sphere() -> Mesh:
    mesh = trimesh.creation.icosphere(subdivisions=3)
    return Mesh(np.asarray(mesh.vertices) * 0.01, np.asarray(mesh.faces))


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory, box: Mesh, sphere: Mesh) -> Path:
    """A folder with the meshes of `folder` in `meshes`, prepared into `prepared`; no test may change it."""
    root = tmp_path_factory.mktemp("once") / "meshes"
    for number in range(4):
        stretch = np.array([1, 1 + number / 2, 1])
        Mesh(box.vertices * stretch, box.faces).save(root / "boxes" / f"box_{number}.ply")
    for number in range(3):
        Mesh(sphere.vertices + number, sphere.faces).save(root / "balls" / f"ball_{number}.off")
    Mesh(box.vertices, box.faces[:-1]).save(root / "boxes" / "open.ply")
    (root / "boxes" / "empty.obj").write_bytes(b"")
    (root / "boxes" / "words.stl").write_text("solid of words, not of facets")
    prepare([root], root.parent / "prepared", SMALL)
    return root.parent


@pytest.fixture
def folder(prepared_once: Path, tmp_path: Path) -> Path:
    """A folder with seven closed meshes in two categories, an open mesh, an empty file, and a text that is no mesh."""
    return shutil.copytree(prepared_once / "meshes", tmp_path / "meshes")


@pytest.fixture
def prepared_in(prepared_once: Path, folder: Path) -> Callable[[Path], Path]:
    """A function that makes a folder such as the preparation of `folder` makes, from a copy."""

    def copied(target: Path) -> Path:
        shutil.copytree(prepared_once / "prepared", target)
        table = (target / "table.csv").read_bytes()  # it names each mesh by its path
        (target / "table.csv").write_bytes(table.replace(bytes(prepared_once / "meshes"), bytes(folder)))
        return target

    return copied


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare meshes without child processes, because starting these takes longer than preparing the meshes."""
    monkeypatch.setattr(pipeline, "run_in_processes", run_in_this_process)


@pytest.fixture
def root(prepared_in: Callable[[Path], Path], tmp_path: Path, in_this_process: None) -> Path:
    """The folder into which the meshes of `folder` were prepared."""
    return prepared_in(tmp_path / "prepared")


@pytest.fixture
def payload() -> Callable[[Path], dict[str, bytes]]:
    """A function that reads all files of a prepared folder, without the column `seconds` of table.csv."""

    def read(root: Path) -> dict[str, bytes]:
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        files.pop(".lock", None)
        rows = files["table.csv"].splitlines()
        return {**files, "table.csv": b"\n".join(row.rpartition(b",")[0] for row in rows)}

    return read
