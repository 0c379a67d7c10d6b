"""Files that lagem once misread: each has the geometry that the README in its folder states, or is refused."""

from pathlib import Path

import numpy as np
import pytest

from lagem.geometry.boundary import open_edges
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh, load_points
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber

CASES = Path(__file__).resolve().parents[2] / "data" / "cases"
# file: area, volume, upper corner of the bounds or None
SOLIDS = {
    "concave-polygons/c_prism.obj": (30, 7, None),
    "concave-polygons/c_prism.ply": (30, 7, None),
    "concave-polygons/c_prism_triangulated.obj": (30, 7, None),
    "concave-polygons/star.obj": (40.318, 8.8168, None),
    "far-coordinates-out/box_utm.obj": (22, 6, None),
    "far-coordinates-out/box_micrometres.obj": (22e-12, 6e-18, (1e-6, 2e-6, 3e-6)),
    "gltf-normalized-integers/one_part.gltf": (22, 6, (1, 2, 3)),
    "gltf-normalized-integers/two_parts.gltf": (44, 12, (6, 2, 3)),
    "gltf-sparse-accessor/sparse.gltf": (22, 6, (1, 2, 3)),
    "gltf-sparse-accessor/sparse_without_base.gltf": (22, 6, (1, 2, 3)),
    "gltf-triangle-fan/fans.gltf": (22, 6, (1, 2, 3)),
    "gltf-triangle-fan/triangles_and_fans.gltf": (22, 6, (1, 2, 3)),
    "obj-byte-order-mark/bom.obj": (22, 6, None),
    "obj-byte-order-mark/bom_spare_vertex.obj": (22, 6, None),
    "obj-dialects/comment_behind_data.obj": (22, 6, None),
    "obj-dialects/cr_lines.obj": (22, 6, None),
    "obj-dialects/negative_indices_per_object.obj": (44, 12, None),
    "off-polygons/c_prism.off": (30, 7, None),
}
REFUSED = {
    "hostile/idx_oob.gltf": "its faces use vertices up to",
    "hostile/neg_child.gltf": "entry `-1` of `nodes`",
    "hostile/self.gltf": "cycle",
    "npy-not-a-cloud/mask.npy": "holds bool",
    "npy-not-a-cloud/transposed_3xN.npy": r"shape \(3, 3000\)",
    "off-polygons/binary.off": "kind `OFF BINARY`",
}
CLOSED = {"off-polygons/pentagon_prism.off": 10}  # file: vertices


def test_every_case_is_expected_here():
    files = {str(path.relative_to(CASES)) for path in CASES.rglob("*") if path.is_file()}
    assert {name for name in files if not name.endswith("README.md")} == {*SOLIDS, *REFUSED, *CLOSED}


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_has_its_area_and_volume(name):
    area, volume, upper = SOLIDS[name]
    mesh = load_mesh(CASES / name)
    rounded = 1e-3 if "normalized" in name else 1e-4  # 16 bits a coordinate; the READMEs give five digits
    assert mesh.area == pytest.approx(area, rel=rounded)
    assert mesh.signed_volume == pytest.approx(volume, rel=rounded)
    if upper is not None:
        np.testing.assert_allclose(mesh.vertices.max(axis=0), upper, rtol=rounded)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mesh_or_cloud_is_refused(name):
    with pytest.raises(MeshError, match=REFUSED[name]):
        (load_points if name.endswith(".npy") else load_mesh)(CASES / name)


@pytest.mark.parametrize("name", CLOSED)
def test_a_solid_of_pentagons_is_closed(name):
    mesh = load_mesh(CASES / name)
    assert len(mesh.vertices) == CLOSED[name] and open_edges(mesh) == 0


@pytest.mark.parametrize("name", [name for name in SOLIDS if "c_prism" in name])
def test_the_notch_of_a_concave_prism_is_outside(name):
    points = np.random.default_rng(0).uniform((1.01, 1.01, 0), (3, 1.99, 1), (200, 3))
    inside = WindingNumber(load_mesh(CASES / name))(points)
    assert not inside.any()


@pytest.mark.parametrize("name", ["box_utm", "box_micrometres"])
@pytest.mark.parametrize("ending", [".ply", ".glb", ".obj", ".off"])
def test_far_and_small_boxes_are_written_right(name, ending, tmp_path):
    mesh = load_mesh(CASES / "far-coordinates-out" / f"{name}.obj")
    Mesh(mesh.vertices, mesh.faces).save(tmp_path / f"box{ending}")
    back = load_mesh(tmp_path / f"box{ending}").turned("z")
    extent = np.ptp(mesh.vertices, axis=0).max()
    np.testing.assert_allclose(back.vertices.min(axis=0), mesh.vertices.min(axis=0), rtol=0, atol=1e-6 * extent)
    np.testing.assert_allclose(back.vertices.max(axis=0), mesh.vertices.max(axis=0), rtol=0, atol=1e-6 * extent)
    assert len(back.vertices) == len(mesh.vertices)
