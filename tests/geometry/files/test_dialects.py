"""Every dialect of every mesh format gives the same solid. Unsupported or damaged files raise a MeshError."""

import numpy as np
import pytest

import dialects
import gltf_dialects
from lagem.geometry.boundary import open_edges
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh, load_points

SOLIDS = {"box": dialects.box(), "C prism": dialects.c_prism(), "ball": dialects.ball()}
CASES = [(solid, name, files) for solid in SOLIDS for name, files in dialects.dialects(SOLIDS[solid])]


@pytest.mark.parametrize(("solid", "files"), [(s, f) for s, _, f in CASES], ids=[f"{s} - {n}" for s, n, _ in CASES])
def test_a_dialect_gives_the_solid(solid, files, tmp_path):
    expected, mesh = SOLIDS[solid], load_mesh(dialects.write(tmp_path, files))
    rounded = 1e-4 if "normalized" in str(files) else 1e-6  # int16 positions have steps of 1/32767
    np.testing.assert_allclose(mesh.vertices.min(axis=0), expected.vertices.min(axis=0), atol=3 * rounded)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), expected.vertices.max(axis=0), atol=3 * rounded)
    assert mesh.area == pytest.approx(expected.area, rel=rounded)
    assert mesh.signed_volume == pytest.approx(expected.volume, rel=3 * rounded)
    assert open_edges(mesh) == 0 and len(mesh.vertices) == len(expected.vertices)


def test_there_are_forty_dialects():
    assert len(list(dialects.dialects(dialects.box()))) >= 40


BOX = dialects.box()
REFUSED = {
    "free-form surface": ({"mesh.obj": b"v 0 0 0\ncstype bspline\nsurf 0 1 0 1 1\n"}, "line 2.*free-form"),
    "obj that runs another": ({"mesh.obj": b"call other.obj\n"}, "line 1.*would run another file"),
    "unknown statement": ({"mesh.obj": b"v 0 0 0\nquad 1 1 1 1\n"}, "line 2.*not an obj statement"),
    "obj index 0": ({"mesh.obj": dialects.obj(BOX, face=str).encode()}, "line 9.*nonzero integer"),
    "underscores": ({"mesh.obj": b"v 0 1_0 0\n"}, "line 1.*not a vertex"),
    "two numbers": ({"mesh.obj": b"v 0 1\n"}, "line 1.*not a vertex"),
    "obj index that is no number": ({"mesh.obj": b"v 0 0 0\nf 1 a 1\n"}, "line 2.*names a vertex"),
    "obj index before the first": ({"mesh.obj": b"v 0 0 0\nf -1 -2 -1\n"}, "vertices -1 to 0"),
    "face of two corners": ({"mesh.obj": b"v 0 0 0\nv 1 0 0\nf 1 2\n"}, "face 0 .* has 2 corners"),
    "bow tie": ({"mesh.obj": b"v 0 0 0\nv 2 2 0\nv 2 0 0\nv 0 3 0\nf 1 2 3 4\n"}, "face 0 .* crosses itself"),
    "bow tie of equal halves": ({"mesh.obj": b"v 0 0 0\nv 1 1 0\nv 1 0 0\nv 0 1 0\nf 1 2 3 4\n"}, "face 0 .* crosses"),
    "pentagram": (
        {
            "mesh.obj": "".join(
                f"v {np.cos(4 * np.pi * k / 5)} {np.sin(4 * np.pi * k / 5)} 0\n" for k in range(5)
            ).encode()
            + b"f 1 2 3 4 5\n"
        },
        "face 0 .* crosses itself",
    ),
    "more data than declared": ({"mesh.ply": dialects.ply(BOX) + b"more"}, "4 bytes more than its header"),
    "ply cut off": ({"mesh.ply": dialects.ply(dialects.c_prism())[:-9]}, "cut off"),
    "range scan": (
        {
            "mesh.ply": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty int x\nproperty int y\nproperty int z\n"
            b"element range_grid 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0\n"
        },
        "range scan",
    ),
    "ply without z": (
        {"mesh.ply": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nend_header\n0 0\n"},
        "without x, y and z",
    ),
    "ply of an unknown type": ({"mesh.ply": dialects.ply(BOX).replace(b"float x", b"real x")}, "`property real x`"),
    "ply with two vertex elements": (
        {"mesh.ply": b"ply\nformat ascii 1.0\nelement vertex 0\nelement vertex 0\nend_header\n"},
        "element `vertex` twice",
    ),
    "fraction of a vertex": (
        {"mesh.ply": dialects.ply(BOX, order="").replace(b"4 0 2 3 1", b"4 0.5 2 3 1")},
        "has 0.5 as a vertex",
    ),
    "off of four coordinates": ({"mesh.off": dialects.off(BOX, header="4OFF\n").encode()}, "kind `4OFF`"),
    "binary off": ({"mesh.off": b"OFF BINARY\n\0\0\0\x08"}, "kind `OFF BINARY`"),
    "off with more rows": ({"mesh.off": (dialects.off(BOX) + "3 0 1 2\n").encode()}, "repair its counts"),
    "facet of four vertices": (
        {"mesh.stl": dialects.stl_text(BOX).replace("endloop", "vertex 0 0 0\nendloop", 1).encode()},
        "37 vertices in 12 facets",
    ),
    "facets of four and of two": (
        {
            "mesh.stl": dialects.stl_text(BOX)
            .replace("endloop", "vertex 0 0 0\nendloop", 1)[::-1]
            .replace("vertex 1.0 0.0 0.0\n"[::-1], "", 1)[::-1]
            .encode()
        },
        "facet",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(name, tmp_path):
    files, words = REFUSED[name]
    path = dialects.write(tmp_path, files)
    with pytest.raises(MeshError, match=words) as caught:
        load_mesh(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def changed(**fields):
    """Return a box as glTF, with some fields of its document replaced."""
    scene = gltf_dialects.Scene()
    corners = np.array(BOX.triangles, dtype=np.uint16).reshape(-1)
    parts = [gltf_dialects.primitive(scene, BOX.vertices.astype(np.float32), corners, 4)]
    document = scene.document(uri=None, meshes=[{"primitives": parts}])
    return {"mesh.glb": gltf_dialects.glb(document | fields, scene.data)}


DEEP = [{"children": [k + 1]} for k in range(20_000)] + [{"mesh": 0}]
UNSOUND = {
    "negative child": ({"nodes": [{"mesh": 0, "children": [-1]}]}, "entry `-1` of `nodes`"),
    "child that is its own": ({"nodes": [{"mesh": 0, "children": [0]}]}, "cycle"),
    "child that is not there": ({"nodes": [{"mesh": 0, "children": [5]}]}, "entry `5` of `nodes`"),
    "children that are words": ({"nodes": [{"children": "all"}]}, "`children`, but a list"),
    "true as an index": ({"scenes": [{"nodes": [True]}]}, "entry `True` of `nodes`"),
    "a number too large": ({"nodes": [{"mesh": 0, "scale": [10**400, 1, 1]}]}, "finite numbers"),
    "a root twice": ({"nodes": [{"mesh": 0}, {}], "scenes": [{"nodes": [0, 0]}]}, "names a root twice"),
    "two scenes": ({"scenes": [{"nodes": [0]}] * 2, "scene": None}, "entry `None` of `scenes`"),
    "version 1": ({"asset": {"version": "1.0"}}, "version `1.0`"),
    "draco": ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "requires the extension `KHR_draco"),
    "instances": (
        {"nodes": [{"mesh": 0, "extensions": {"EXT_mesh_gpu_instancing": {}}}]},
        "EXT_mesh_gpu_instancing",
    ),
    "more nodes than are read": ({"nodes": [{"mesh": 0}] * 100_001}, "holds 100001 nodes"),
    "meshes that are none": ({"meshes": [7]}, "`meshes/0`"),
    "no primitives": ({"meshes": [{}]}, "no vertices and no faces"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_scene_is_refused_by_name(name, tmp_path):
    fields, words = UNSOUND[name]
    with pytest.raises(MeshError, match=words):
        load_mesh(dialects.write(tmp_path, changed(**fields)))


def test_copies_of_one_mesh_count_as_often_as_they_are_placed(tmp_path, monkeypatch):
    monkeypatch.setattr("lagem.geometry.files.errors.MOST_ELEMENTS", 1000)
    path = dialects.write(tmp_path, changed(nodes=[{"mesh": 0}] * 100, scenes=[{"nodes": list(range(100))}]))
    with pytest.raises(MeshError, match="holds 1008 faces, more than the limit of 1000"):
        load_mesh(path)


def test_a_scene_may_be_deep(tmp_path):
    assert load_mesh(dialects.write(tmp_path, changed(nodes=DEEP))).area == pytest.approx(22)


def test_deep_json_is_refused(tmp_path):
    (tmp_path / "mesh.gltf").write_text('{"asset": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(MeshError, match="nested too deeply"):
        load_mesh(tmp_path / "mesh.gltf")


def test_a_buffer_is_not_followed_out_of_the_folder_by_a_link(tmp_path):
    files = gltf_dialects.gltf_of(BOX, kind="a buffer in another file")
    (tmp_path / "secret.bin").write_bytes(files.pop("the data.bin"))
    path = dialects.write(tmp_path / "inner", files)
    (tmp_path / "inner" / "the data.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(MeshError, match="outside its folder"):
        load_mesh(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 3000)),
        np.full((9, 3), "1.25"),
        np.zeros((9, 3), dtype=complex),
        np.zeros((9, 3), dtype=bool),
        np.zeros(9, dtype=[("x", float), ("y", float), ("z", float)]),
    ],
    ids=["(3, N)", "text", "complex", "bool", "records"],
)
def test_an_array_that_is_no_cloud_is_refused(array, tmp_path):
    np.save(tmp_path / "cloud.npy", array)
    with pytest.raises(MeshError, match=r"cloud\.npy: .*(cloud|real numbers)"):
        load_points(tmp_path / "cloud.npy")


def test_a_strip_is_not_taken_for_a_cloud(tmp_path):
    path = dialects.write(tmp_path, {"strip.ply": dialects.ply_of_strips(BOX)})
    with pytest.raises(MeshError, match="holds faces"):
        load_points(path)
