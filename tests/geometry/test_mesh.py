"""Meshes are loaded, or refused with a reason."""

import json
import struct

import numpy as np
import pytest
import trimesh

from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh, load_points
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh

# file in shared/meshes/bad: (vertices, faces) if it loads, else words of the error
BAD = {
    "ok_cube.ply": (8, 12),
    "truncated.ply": "cut off",
    "truncated_header.ply": "inside its header",
    "huge_counts.ply": "28000000000 bytes",
    "negative_count.ply": "`-5`",
    "nan_vertices.ply": "1 of 8 vertices are not finite",
    "inf_vertices.obj": "1 of 8 vertices are not finite",
    "index_out_of_range.obj": "0 to 99, counted from 0, but it has only 8",
    "index_out_of_range.ply": "-7 to 2000000, counted from 0, but it has only 8",
    "index_zero.obj": "line 9, `f 0 2 4`",
    "empty.obj": "is empty",
    "empty.stl": "is empty",
    "comments_only.obj": "no vertices and no faces",
    "points_only.ply": "200 vertices but no faces",
    "single_triangle.obj": (3, 1),
    "planar_sheet.off": (4, 2),
    "zero_area.obj": "total area of zero",
    "all_same_point.ply": "extent are zero",
    "vertices_no_faces.obj": "8 vertices but no faces",
    "latin1.obj": (8, 12),
    "garbage.obj": "not an obj statement",
    "zip_as_stl.stl": "is not a text stl",
    "gzip_as_ply.ply": "does not begin with `ply`",
    "stl_wrong_count.stl": "declares 1000000 triangles",
    "stl_binary_starts_with_solid.stl": (8, 12),
    "stl_ascii_truncated.stl": "0 `endsolid`",
    "off_missing_counts.off": "repair its counts",
    "obj_text_numbers.obj": "line 1, `v 0 0 zero`",
    "overflow_floats.obj": "4 of 8 vertices are not finite",
    "float_max.ply": (8, 12),
    "glb_bad_length.glb": "declares 1000000000 bytes",
    "gltf_cycle.gltf": "cycle",
    "gltf_path_escape.gltf": "outside its folder",
    "unknown.xyz123": "`.xyz123` is unknown; meshes are read from .obj, .ply",
    "folder.obj": "is a folder",
}
HARD_WITHOUT_SURFACE = {
    "hard_as_boxwithinfinites.glb",
    "hard_as_number_formats.obj",  # its one face lies on a line
    "hard_tm_points_emptyface.ply",
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_file_gives_what_its_readme_says(name, bad_meshes):
    expected = BAD[name]
    if isinstance(expected, tuple):
        mesh = load_mesh(bad_meshes / name)
        assert (len(mesh.vertices), len(mesh.faces)) == expected
        return
    with pytest.raises(MeshError) as caught:
        load_mesh(bad_meshes / name)
    text = str(caught.value)
    assert text.startswith(f"{bad_meshes / name}: ") and expected in text and "\n" not in text


def test_every_malformed_file_is_expected_here(bad_meshes):
    assert {path.name for path in bad_meshes.iterdir()} - {"README.md"} == set(BAD)


def test_awkward_files_load_or_say_why(hard_meshes):
    refused = set()
    for path in sorted(hard_meshes.iterdir()):
        if path.suffix == ".bin":
            continue
        try:
            mesh = load_mesh(path)
        except MeshError:
            refused.add(path.name)
        else:
            assert mesh.area > 0 and set(mesh.faces.reshape(-1)) == set(range(len(mesh.vertices)))
    assert refused == HARD_WITHOUT_SURFACE


def test_scene_is_flattened_with_transforms_and_mirrors(cube, tmp_path):
    box = trimesh.Trimesh(cube.vertices, cube.faces, process=False)
    scene = trimesh.Scene()
    scene.add_geometry(box, node_name="moved", transform=trimesh.transformations.translation_matrix([10, 0, 0]))
    scene.add_geometry(box, node_name="mirrored", transform=np.diag([-3.0, 1, 1, 1]))
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-3, -1, -1])
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [11, 1, 1])
    corners = mesh.vertices[mesh.faces]
    volume = np.linalg.det(corners).sum() / 6
    assert volume == pytest.approx(2 * 2 * 2 + 6 * 2 * 2)  # an inside-out box would subtract its volume


def test_vertices_without_a_face_do_not_shape_the_frame(cube, tmp_path):
    path = tmp_path / "stray.obj"
    cube.save(path)
    path.write_text("v 1000 0 0\n" + path.read_text().replace("\nf ", "\n#f "))
    text = path.read_text()
    faces = "".join("f " + " ".join(str(index + 2) for index in face) + "\n" for face in cube.faces)
    path.write_text(text + "\n" + faces)
    np.testing.assert_allclose(load_mesh(path).vertices.max(axis=0), 1)


def test_negative_zero_is_the_same_position(tmp_path):
    path = tmp_path / "zeros.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv -0.0 0 -0.0\nf 1 2 3\nf 4 3 2\n")
    assert len(load_mesh(path).vertices) == 3


def test_faces_that_repeat_a_position_are_dropped(tmp_path):
    path = tmp_path / "repeated.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 0 0\nf 1 2 3\nf 1 1 2\nf 2 3 4\n")
    np.testing.assert_array_equal(load_mesh(path).faces, [[0, 1, 2]])


@pytest.mark.parametrize("size", ["1e308", "1e-320"])
def test_extent_beyond_double_arithmetic_is_refused(size, tmp_path):
    path = tmp_path / "vast.obj"
    path.write_text(f"v -{size} 0 0\nv {size} 0 0\nv 0 {size} 0\nf 1 2 3\n")
    with pytest.raises(MeshError, match=r"vast\.obj: its extent of .* is outside"):
        load_mesh(path)


def test_cut_off_ascii_ply_is_refused(cube, tmp_path):
    path = tmp_path / "cut.ply"
    trimesh.Trimesh(cube.vertices, cube.faces, process=False).export(path, encoding="ascii")
    lines = path.read_text().splitlines()
    assert len(load_mesh(path).faces) == 12
    path.write_text("\n".join(lines[:-3]) + "\n")
    with pytest.raises(MeshError, match="declares 20 rows, but 17 follow"):
        load_mesh(path)


def test_cut_off_off_file_is_refused(cube, tmp_path):
    path = tmp_path / "cut.off"
    cube.save(path)
    path.write_text("\n".join(path.read_text().splitlines()[:-2]))
    with pytest.raises(MeshError, match="declares 20 vertices and faces, but 18 lines follow"):
        load_mesh(path)


def test_textured_obj_face_of_index_zero_is_refused(tmp_path):
    path = tmp_path / "zero.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nf 1/1 2/2 0/1\n")
    with pytest.raises(MeshError, match="line 6, .*nonzero integer"):
        load_mesh(path)


GLTF = {
    "asset": {"version": "2.0"},
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
    "bufferViews": [{"buffer": 0, "byteLength": 36}],
    "buffers": [{"uri": "my%20data.bin", "byteLength": 36}],
}


def written_gltf(folder, **changes):
    (folder / "my data.bin").write_bytes(struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0))
    (folder / "shape.gltf").write_text(json.dumps(GLTF | changes))
    return folder / "shape.gltf"


def test_gltf_reads_a_buffer_beside_it(tmp_path):
    assert load_mesh(written_gltf(tmp_path)).area == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": [{"mesh": 0, "children": [1]}, {"children": [2]}, {"children": [1]}]}, "two parents"),
        ({"nodes": [{"mesh": 0, "children": [1]}, {"children": [0]}]}, "cycle"),
        ({"buffers": [{"uri": "/etc/hostname", "byteLength": 36}]}, "outside its folder"),
        ({"buffers": [{"uri": "%2e%2e/other.bin", "byteLength": 36}]}, "outside its folder"),
        ({"buffers": [{"uri": "http://host/x.bin", "byteLength": 36}]}, "outside its folder"),
        ({"buffers": [{"uri": "gone.bin", "byteLength": 36}]}, "missing"),
        (
            {"accessors": [{"bufferView": 0, "componentType": 5126, "count": 4_000_000_000, "type": "VEC3"}]},
            "4000000000 items",
        ),
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "requires the extension `KHR_draco"),
    ],
)
def test_gltf_that_promises_too_much_is_refused(changes, words, tmp_path):
    with pytest.raises(MeshError, match=words):
        load_mesh(written_gltf(tmp_path, **changes))


def test_frame_round_trip(sphere, rng):
    source = Mesh(sphere.vertices * [3, 1, 0.5] + [100, -20, 7], sphere.faces)
    frame = Frame.of(source.vertices)
    unit = source.in_frame(frame)
    assert np.linalg.norm(unit.vertices, axis=1).max() == pytest.approx(1)
    np.testing.assert_allclose(unit.in_source(frame).vertices, source.vertices, rtol=1e-12)


def test_frame_round_trip_of_a_huge_cube(bad_meshes):
    mesh = load_mesh(bad_meshes / "float_max.ply")
    frame = Frame.of(mesh.vertices)
    unit = mesh.in_frame(frame)
    np.testing.assert_allclose(np.linalg.norm(unit.vertices, axis=1), 1)
    np.testing.assert_allclose(unit.in_source(frame).vertices, mesh.vertices, atol=1e25)


def test_points_are_read_from_ply_xyz_and_npy(bad_meshes, tmp_path, rng):
    points = rng.random((20, 3))
    np.save(tmp_path / "cloud.npy", points)
    np.savetxt(tmp_path / "cloud.xyz", np.hstack([points, points]))
    np.testing.assert_array_equal(load_points(tmp_path / "cloud.npy"), points)
    np.testing.assert_allclose(load_points(tmp_path / "cloud.xyz"), points)
    cloud = load_points(bad_meshes / "points_only.ply")
    assert cloud.shape == (200, 3)
    np.testing.assert_allclose(cloud[1], [0.37, 0.61, 0.17])


def test_points_that_are_no_cloud_are_refused(cube, tmp_path):
    cube.save(tmp_path / "cube.ply")
    (tmp_path / "words.xyz").write_text("one two three\n")
    (tmp_path / "nan.xyz").write_text("1 2 nan\n")
    np.save(tmp_path / "flat.npy", np.zeros((5, 2)))
    np.save(tmp_path / "pickled.npy", np.ones((5, 3), dtype=object), allow_pickle=True)
    whole = (tmp_path / "flat.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-20])
    for name in ("cube.ply", "words.xyz", "nan.xyz", "flat.npy", "pickled.npy", "cut.npy", "gone.xyz", "cloud.las"):
        with pytest.raises(MeshError, match=name):
            load_points(tmp_path / name)


def test_volume_is_the_same_far_from_the_origin(sphere):
    assert Mesh(sphere.vertices + 5e6, sphere.faces).signed_volume == pytest.approx(sphere.signed_volume, rel=1e-8)
