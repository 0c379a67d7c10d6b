"""Mesh files that a reader could easily misread, and files of a few kilobytes that could keep a reader busy."""

import base64
import json
import os
import struct

import numpy as np
import pytest

import dialects
import gltf_dialects
from lagem.geometry.files import gltf_document
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh, load_points

BOX = dialects.box()
OBJ, OFF = dialects.obj(BOX), dialects.off(BOX)
PLY, TEXT_PLY = dialects.ply(BOX), dialects.ply(BOX, order="")


def with_header(data, change):
    """Return a ply file with its header changed by a function."""
    end = data.index(b"end_header\n") + len(b"end_header\n")
    return change(data[:end]) + data[end:]


def ply_of(rows, *, vertex="", lists="face", index="int"):
    """Return a binary ply file whose faces come before its vertices; `lists` is the name of the faces' element."""
    head = (
        f"ply\nformat binary_little_endian 1.0\nelement {lists} {len(rows)}\n"
        f"property list uchar {index} vertex_indices\nelement vertex 8\n{vertex}"
        "property float x\nproperty float y\nproperty float z\nend_header\n"
    )
    letter = {"int": "i", "uint": "I", "uint64": "Q"}[index]
    body = b"".join(struct.pack(f"<B{len(row)}{letter}", len(row), *row) for row in rows)
    for number, point in enumerate(BOX.vertices.tolist()):
        extra = struct.pack(f"<B{number}i", number, *range(number)) if vertex else b""
        body += extra + struct.pack("<3f", *point)
    return head.encode() + body


def begins_with_line_feed():
    """Return a ply file whose header lines end with CR; its first data byte is LF, as a part of the float 1.4e-44."""
    data = with_header(PLY, lambda head: head.replace(b"\n", b"\r"))
    start = data.index(b"end_header\r") + len(b"end_header\r")
    return data[:start] + b"\n" + data[start + 1 :]


READ = {
    "ply header of CR LF before bytes": {
        "m.ply": with_header(PLY, lambda head: head.replace(b"\n", b"\r\n")),
    },
    "ply header of CR before bytes": {"m.ply": with_header(PLY, lambda head: head.replace(b"\n", b"\r"))},
    "ply header of CR before a byte that is LF": {"m.ply": begins_with_line_feed()},
    "ply comment that ends in end_header": {"m.ply": PLY.replace(b"made for a test", b"before end_header")},
    "ply comment that begins with end_header": {"m.ply": TEXT_PLY.replace(b"comment made", b"comment\tend_header")},
    "ply comment with a letter that is a line end in Latin-1": {"m.ply": PLY.replace(b"made for", "Å".encode())},
    "ply with lists before x": {"m.ply": ply_of(BOX.polygons, vertex="property list uchar int before\n")},
    "ply with unsigned indices": {"m.ply": ply_of(BOX.polygons, index="uint")},
    "obj, backslash at the end": {"m.obj": (OBJ.rstrip("\n") + " \\").encode()},
    "obj, two continued lines": {"m.obj": OBJ.replace("f 1 3", "f 1 \\\n \\\n3", 1).encode()},
    "obj, backslash behind a comment": {"m.obj": ("# from C:\\\n" + OBJ.replace("\nf", " # C:\\\nf", 1)).encode()},
    "obj, references of several forms": {"m.obj": OBJ.replace("f 1 3", "f 1//9 3/5", 1).encode()},
    "off, comment behind the counts": {"m.off": OFF.replace("8 6 0", "8 6 0 # counts").encode()},
    "off without a count of edges": {"m.off": OFF.replace("8 6 0", "8 6").encode()},
    "stl, a name that holds a vertical tab": {"m.stl": dialects.stl_text(BOX, name="a\x0bsolid b").encode()},
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_right(name, tmp_path):
    mesh = load_mesh(dialects.write(tmp_path, READ[name]))
    assert (mesh.area, mesh.signed_volume) == (pytest.approx(22), pytest.approx(6))


REFUSED = {
    "ply index 2^32 - 1": ({"m.ply": ply_of([[0, 2, 2**32 - 1]], index="uint")}, "0 to 4294967295"),
    "ply index 2^64 - 1 in a strip": (
        {"m.ply": ply_of([[0, 2, 3, 2**64 - 1]], index="uint64", lists="tristrips")},
        "has 18446744073709551615 as a vertex",
    ),
    "ply with a long name": (
        {"m.ply": b"ply\nformat ascii 1.0\nelement " + b"9" * 5000 + b" 1\nproperty list uchar int a\nend_header\n7\n"},
        "element `9{60}`",
    ),
    "obj corner without a vertex": ({"m.obj": OBJ.replace("f 1 3", "f 1 /7 3", 1).encode()}, "line 9, `f 1 /7 3"),
    "obj index after continued lines": ({"m.obj": (b"v \\\n0 0 0\nf 1 \\\n a 1\n")}, "line 4, `f 1"),
    "stl with bytes behind": ({"m.stl": dialects.stl_binary(BOX) + b"\0\0"}, "12 triangles .* has 686 bytes"),
    "stl, a name over two lines": (
        {"m.stl": dialects.stl_text(BOX).replace("solid", "solid a\nfacet normal", 1).encode()},
        "13 `facet`",
    ),
    "a path that is too long": ({}, "is not a valid path"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name, tmp_path):
    files, words = REFUSED[name]
    path = dialects.write(tmp_path, files) if files else tmp_path / ("a" * 300 + ".ply")
    with pytest.raises(MeshError, match=words) as caught:
        load_mesh(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.isprintable() and len(text) < len(str(path)) + 600


def box_document(**changes):
    """Return a box as (glTF document, data); each change computes the new value of a field from the document."""
    scene = gltf_dialects.Scene()
    corners = np.array(BOX.triangles, dtype=np.uint16).reshape(-1)
    parts = [gltf_dialects.primitive(scene, BOX.vertices.astype(np.float32), corners, 4)]
    document = scene.document(uri=None, meshes=[{"primitives": parts}])
    return document | {name: change(document) for name, change in changes.items()}, scene.data


def box_glb(**changes):
    return {"m.glb": gltf_dialects.glb(*box_document(**changes))}


def node(**fields):
    return box_glb(nodes=lambda _: [{"mesh": 0} | fields])


def without_data(document):
    positions, corners = document["accessors"]
    return [{name: value for name, value in positions.items() if name != "bufferView"}, corners]


def buffer_at(uri):
    return {"m.gltf": json.dumps(box_document()[0] | {"buffers": [{"byteLength": 10, "uri": uri}]}).encode()}


UNSOUND = {
    "perspective": (node(matrix=[1, 0, 0, 0.5, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), "a perspective transform"),
    "homogeneous scale": (node(matrix=[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2]), "a perspective transform"),
    "rotation of zeros": (node(rotation=[0, 0, 0, 0]), "length 0, which is not a unit quaternion"),
    "rotation beyond float64": (node(rotation=[0, 0, 1e200, 1e200]), "length inf"),
    "skin that is a list": (node(skin=[0]), "of `skins`"),
    "mesh that is a list": (box_glb(nodes=lambda _: [{"mesh": [0]}]), "of `meshes`"),
    "primitive that is a number": (box_glb(meshes=lambda _: [{"primitives": [7]}]), "as `mode`"),
    "positions without data": (box_glb(accessors=without_data), "accessor 0, which has no bufferView"),
    "roots without end": (box_glb(scenes=lambda _: [{"nodes": [0] * 1000}]), "1000 roots, but only 1 nodes"),
    "buffer under a long name": (buffer_at("a" * 5000), "which is not a valid path"),
    "buffer under a null byte": (buffer_at("a%00b"), "which is not a valid path"),
    "buffer under half a letter": (buffer_at("\ud800"), "which is not a valid path"),
    "buffer that is a folder": (buffer_at("."), "missing"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_document_is_refused_by_name(name, tmp_path):
    files, words = UNSOUND[name]
    path = dialects.write(tmp_path, files)
    with pytest.raises(MeshError, match=words) as caught:
        load_mesh(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).isprintable()


@pytest.mark.parametrize("head", ["data:;base64,", "DATA:a/b;charset=utf-8;Base64,"])
def test_a_data_uri_may_be_percent_encoded(head, tmp_path):
    document, data = box_document()
    body = base64.b64encode(data).decode().replace("A", "%41").replace("=", "%3D")
    document["buffers"] = [{"byteLength": len(data), "uri": head + body}]
    assert load_mesh(dialects.write(tmp_path, {"m.gltf": json.dumps(document).encode()})).area == pytest.approx(22)


def test_chunks_after_the_binary_one_are_skipped(tmp_path):
    whole = gltf_dialects.glb(*box_document()) + struct.pack("<I4s", 4, b"MORE") + b"abcd"
    whole = whole[:8] + struct.pack("<I", len(whole)) + whole[12:]
    assert load_mesh(dialects.write(tmp_path, {"m.glb": whole})).area == pytest.approx(22)


def test_mirrors_in_mirrors_face_outward(tmp_path):
    nodes = [{"children": [1], "scale": [-1, 1, 1]}, {"mesh": 0, "scale": [1, -1e-3, 1]}]
    mesh = load_mesh(dialects.write(tmp_path, box_glb(nodes=lambda _: nodes)))
    assert mesh.signed_volume == pytest.approx(6e-3)


@pytest.mark.parametrize("number", [8_000, 40_000])
def test_a_mesh_of_many_primitives_takes_a_moment(number, tmp_path):
    """All primitives use the same corners. The file is refused if it exceeds the limit on repeated data."""
    files = box_glb(meshes=lambda document: [{"primitives": document["meshes"][0]["primitives"] * number}])
    path = dialects.write(tmp_path, files)
    if number == 8_000:
        assert len(load_mesh(path).faces) == 96_000
    else:
        with pytest.raises(MeshError, match="far more numbers|counted once for each place|values in its JSON"):
            load_mesh(path)


def test_a_small_document_cannot_place_millions(tmp_path):
    """20,000 nodes each place a mesh of 240 faces."""
    files = box_glb(
        meshes=lambda document: [{"primitives": document["meshes"][0]["primitives"] * 20}],
        nodes=lambda _: [{"mesh": 0}] * 20_000,
        scenes=lambda _: [{"nodes": list(range(20_000))}],
    )
    with pytest.raises(MeshError, match="has at least .* counted once for each place"):
        load_mesh(dialects.write(tmp_path, files))


def test_morph_targets_cannot_repeat_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(gltf_document, "MOST_REPEATED", 100_000)

    def morphed(document):
        primitive = document["meshes"][0]["primitives"][0]
        return [{"primitives": [primitive | {"targets": [{"POSITION": 0}] * 5000}], "weights": [1] * 5000}]

    with pytest.raises(MeshError, match="far more numbers than the file holds"):
        load_mesh(dialects.write(tmp_path, box_glb(meshes=morphed)))


def test_an_accessor_without_data_cannot_fill_the_memory(tmp_path):
    """A file of one kilobyte declares 20 million matrices of zeros."""
    many = {"componentType": 5126, "count": 20_000_000, "type": "MAT4"}
    files = box_glb(
        accessors=lambda document: [*document["accessors"], many],
        nodes=lambda _: [{"mesh": 0, "skin": 0}],
        skins=lambda _: [{"joints": [0], "inverseBindMatrices": 2}],
    )
    with pytest.raises(MeshError, match="far more numbers than the file holds"):
        load_mesh(dialects.write(tmp_path, files))


def test_a_document_of_very_many_values_is_refused(tmp_path):
    text = json.dumps(box_document()[0])[:-1] + ', "extras": [' + "[]," * 5_000_000 + "0]}"
    with pytest.raises(MeshError, match="values in its JSON"):
        load_mesh(dialects.write(tmp_path, {"m.gltf": text.encode()}))


def test_special_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.ply")
    (tmp_path / "device.ply").symlink_to("/dev/zero")
    (tmp_path / "loop.ply").symlink_to(tmp_path / "loop.ply")
    for name in ("pipe.ply", "device.ply", "loop.ply"):
        with pytest.raises(MeshError, match=f"{name}: (is not a regular file|does not exist)"):
            load_mesh(tmp_path / name)
    fifo = buffer_at("pipe.ply")["m.gltf"]
    with pytest.raises(MeshError, match="missing"):
        load_mesh(dialects.write(tmp_path, {"m.gltf": fifo}))


def test_a_damaged_array_is_refused_in_one_line(tmp_path):
    def file(header):
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header

    headers = [b"{'descr': (", b"(" * 5000, b"{'a': 1}" + b" " * 20_000, b"{'descr': '<f8', 'shape': (-1, 3)}", b"\xff"]
    for header in headers:
        path = dialects.write(tmp_path, {"cloud.npy": file(header)})
        with pytest.raises(MeshError) as caught:
            load_points(path)
        assert str(caught.value).startswith(f"{path}: is damaged") and str(caught.value).isprintable()


def test_a_letter_of_a_comment_ends_no_line_of_a_cloud(tmp_path):
    path = dialects.write(tmp_path, {"cloud.xyz": "1 2 3 # Å 5\n4 5 6\n".encode()})
    np.testing.assert_array_equal(load_points(path), [[1, 2, 3], [4, 5, 6]])
