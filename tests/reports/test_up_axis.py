"""A mesh of a report has the axis of its file, or else the given one."""

from lagem.geometry.mesh import Mesh
from lagem.sources.surfaces import MeshSurfaces
from toy_shapes import TRAINING


def test_a_mesh_of_a_report_has_the_axis_of_its_file_or_else_the_given_one(tmp_path):
    brick = TRAINING["brick"]
    for ending in ("glb", "ply"):
        Mesh(brick.vertices, brick.faces, up="y").save(tmp_path / f"{ending}.{ending}")
    source = MeshSurfaces(tmp_path)
    assert source.ids == ["glb", "ply"]
    assert [source.unit_mesh(0, up="z").up, source.unit_mesh(1, up="z").up, source.unit_mesh(1, up="y").up] == [
        "y", "z", "y",
    ]  # fmt: skip
