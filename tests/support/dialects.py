"""Polyhedra written in every dialect of the mesh formats that lagem reads."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gltf_dialects import GLTF_KINDS, gltf_of
from polyhedra import Solid
from polyhedra import ball as ball
from polyhedra import box as box
from polyhedra import c_prism as c_prism

Written = dict[str, bytes]  # files by name, the mesh first


def obj(solid: Solid, *, face: Callable[[int], str] = lambda corner: f"{corner + 1}", end: str = "\n") -> str:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in solid.vertices.tolist()]
    lines += ["f " + " ".join(map(face, polygon)) for polygon in solid.polygons]
    return end.join([*lines, ""])


def obj_with_comments(solid: Solid) -> str:
    return "# a comment\n\n" + obj(solid).replace("\nf", " # behind data\n  f").replace("v ", "v\t")


def obj_with_everything(solid: Solid) -> str:
    extra = "mtllib none.mtl\no a solid\ng one two\nusemtl red\ns off\nvt 0 0\nvn 0 0 1\nl 1 2\np 1\n"
    return extra + obj(solid, face=lambda corner: f"{corner + 1}/1/1")


def obj_of_two_objects(solid: Solid) -> str:
    """Return the text of an obj file with the solid as two objects, each with its own vertices and negative indices."""
    count, half = len(solid.vertices), len(solid.polygons) // 2
    text = ""
    for polygons in (solid.polygons[:half], solid.polygons[half:]):
        part = Solid(solid.vertices, polygons, 0, 0)
        text += "o part\n" + obj(part, face=lambda corner: f"{corner - count}")
    return text


def ply(solid: Solid, *, kind: str = "float", triangles: bool = False, order: str = "<", count: str = "uchar") -> bytes:
    """Return a ply file: binary with the byte order `order`, or text if `order` is empty."""
    name = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    faces = solid.triangles if triangles else solid.polygons
    head = (
        f"ply\nformat {name} 1.0\ncomment made for a test\nobj_info none\nelement vertex {len(solid.vertices)}\n"
        f"property {kind} x\nproperty {kind} y\nproperty {kind} z\nproperty uchar red\nelement face {len(faces)}\n"
        f"property list {count} int vertex_indices\nproperty float quality\nend_header\n"
    )
    if not order:
        rows = [f"{x!r} {y!r} {z!r} 255" for x, y, z in solid.vertices.tolist()]
        rows += [" ".join(map(str, [len(face), *face, 0.5])) for face in faces]
        return (head + "\n".join(rows) + "\n").encode()
    letter = {"float": "f", "double": "d", "short": "h"}[kind]
    body = b"".join(
        struct.pack(f"{order}3{letter}B", *(map(int, row) if letter == "h" else row), 255)
        for row in solid.vertices.tolist()
    )
    length = {"uchar": "B", "int": "i"}[count]
    body += b"".join(struct.pack(f"{order}{length}{len(face)}if", len(face), *face, 0.5) for face in faces)
    return head.encode() + body


def ply_of_strips(solid: Solid) -> bytes:
    """Return a ply file with every triangle as a strip; all strips are in one list, with -1 between them."""
    items = [corner for triangle in solid.triangles for corner in (*triangle, -1)][:-1]
    head = (
        f"ply\nformat ascii 1.0\nelement vertex {len(solid.vertices)}\nproperty double x\nproperty double y\n"
        "property double z\nelement tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    )
    rows = [f"{x!r} {y!r} {z!r}" for x, y, z in solid.vertices.tolist()]
    return (head + "\n".join([*rows, " ".join(map(str, [len(items), *items]))]) + "\n").encode()


def off(solid: Solid, *, header: str = "OFF\n", behind_vertex: str = "", behind_face: str = "") -> str:
    rows = [f"{x!r} {y!r} {z!r}{behind_vertex}" for x, y, z in solid.vertices.tolist()]
    rows += [" ".join(map(str, [len(face), *face])) + behind_face for face in solid.polygons]
    return f"{header}{len(solid.vertices)} {len(solid.polygons)} 0\n# rows\n\n" + "\n".join(rows) + "\n"


def stl_binary(solid: Solid, *, head: bytes = b"made for a test") -> bytes:
    rows = b"".join(
        struct.pack("<12fH", 0, 0, 0, *solid.vertices[triangle].reshape(-1), 0) for triangle in solid.triangles
    )
    return head.ljust(80, b" ") + struct.pack("<I", len(solid.triangles)) + rows


def stl_text(solid: Solid, *, name: str = "made for a test", end: str = "\n") -> str:
    lines = [f"solid {name}"]
    for triangle in solid.triangles:
        lines += ["facet normal 0 0 0", "outer loop"]
        lines += [f"  vertex {x!r} {y!r} {z!r}" for x, y, z in solid.vertices[triangle].tolist()]
        lines += ["endloop", "endfacet"]
    return end.join([*lines, f"endsolid {name}", ""])


def dialects(solid: Solid) -> Iterator[tuple[str, Written]]:
    """Yield the name of every dialect, and the solid written in it."""
    texts = {
        "obj": obj(solid),
        "obj, CR line ends": obj(solid, end="\r"),
        "obj, CR LF line ends": obj(solid, end="\r\n"),
        "obj, comments, tabs and leading blanks": obj_with_comments(solid),
        "obj, continued lines": obj(solid).replace("\nf ", "\nf \\\n "),
        "obj, every statement": obj_with_everything(solid),
        "obj, normals without texture": obj(solid, face=lambda corner: f"{corner + 1}//7"),
        "obj, vertex colours": obj(solid).replace("\nf", " 0.1 0.2 0.3\nf", 1),
        "obj, negative indices in two objects": obj_of_two_objects(solid),
    }
    for name, text in texts.items():
        yield name, {"mesh.obj": text.encode()}
    yield "obj, UTF-8 byte order mark", {"mesh.obj": b"\xef\xbb\xbf" + obj(solid).encode()}
    yield "obj, UTF-16", {"mesh.obj": obj(solid).encode("utf-16")}
    yield "ply, text", {"mesh.ply": ply(solid, order="")}
    yield "ply, text, CR LF line ends", {"mesh.ply": ply(solid, order="").replace(b"\n", b"\r\n")}
    yield "ply, little endian, float32", {"mesh.ply": ply(solid)}
    yield "ply, little endian, float64, triangles", {"mesh.ply": ply(solid, kind="double", triangles=True)}
    yield "ply, big endian, lists counted by int32", {"mesh.ply": ply(solid, order=">", count="int")}
    if (solid.vertices == np.round(solid.vertices)).all():
        yield "ply, int16 positions", {"mesh.ply": ply(solid, kind="short")}
    yield "ply, triangle strips", {"mesh.ply": ply_of_strips(solid)}
    yield "off", {"mesh.off": off(solid).encode()}
    yield "off, counts in the first line", {"mesh.off": off(solid, header="OFF ").encode()}
    yield "off, colours", {"mesh.off": off(solid, behind_face=" 255 0 0").encode()}
    yield "off, vertex colours", {"mesh.off": off(solid, header="COFF\n", behind_vertex=" 255 0 0 255").encode()}
    yield "off, CR LF line ends", {"mesh.off": off(solid).replace("\n", "\r\n").encode()}
    yield "stl, binary", {"mesh.stl": stl_binary(solid)}
    yield "stl, binary that begins with solid", {"mesh.stl": stl_binary(solid, head=b"solid of bytes")}
    yield "stl, text", {"mesh.stl": stl_text(solid).encode()}
    yield "stl, text, a name of its words", {"mesh.stl": stl_text(solid, name="facet vertex").encode()}
    yield "stl, text in capitals, CR LF line ends", {"mesh.stl": stl_text(solid, end="\r\n").upper().encode()}
    for kind in GLTF_KINDS:
        yield f"gltf, {kind}", gltf_of(solid, kind=kind)


def write(folder: Path, files: Written) -> Path:
    """Write the files of a dialect, and return the path of the mesh."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / next(iter(files))
