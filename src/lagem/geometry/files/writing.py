"""Writers that turn a mesh into the bytes of a file, as accurately as the file's format allows."""

import json
import math
import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Up

# V vertices, F faces

Writer = Callable[[NDArray[np.float64], NDArray[np.int64]], bytes]  # turns (V, 3) vertices and (F, 3) faces into bytes
HALF = math.sqrt(0.5)
TURN_Z_UP = [-HALF, 0.0, 0.0, HALF]  # quaternion (x, y, z, w) of a rotation by -90 degrees about x, which turns z to y
STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def as_ply(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> bytes:
    """Return a binary ply file, with float64 vertices: in float32, nearby vertices of a fine surface could coincide."""
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), dtype=[("corners", "u1"), ("vertices", "<i4", 3)])
    rows["corners"], rows["vertices"] = 3, faces
    return header.encode() + vertices.astype("<f8").tobytes() + rows.tobytes()


def as_obj(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> bytes:
    """Return an obj file (text), with enough digits to restore every float64 exactly."""
    rows = [f"v {x!r} {y!r} {z!r}\n" for x, y, z in vertices.tolist()]
    return "".join([*rows, *(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())]).encode()


def as_off(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> bytes:
    """Return an off file (text), with enough digits to restore every float64 exactly."""
    rows = [f"{x!r} {y!r} {z!r}\n" for x, y, z in vertices.tolist()]
    head = f"OFF\n{len(vertices)} {len(faces)} 0\n"
    return "".join([head, *rows, *(f"3 {a} {b} {c}\n" for a, b, c in faces.tolist())]).encode()


def as_stl(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> bytes:
    """Return a binary stl file: float32 triangles with their normals."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    rows = np.zeros(len(faces), dtype=STL_TRIANGLE)
    rows["normal"], rows["corners"] = normals / np.where(lengths > 0, lengths, 1), corners
    return b"\0" * 80 + struct.pack("<I", len(faces)) + rows.tobytes()


def as_glb(vertices: NDArray[np.float64], faces: NDArray[np.int64], up: Up = "z") -> bytes:
    """Return a binary glTF 2.0 file with one node.

    Vertices are float32, relative to their centre. The node's translation adds this centre back, in full precision.
    A glTF scene is y-up, so if z points up in the mesh, the node also rotates the mesh upright. A node rotates before
    it translates.
    """
    around, middle = centred(vertices)
    node = {"mesh": 0, "translation": middle.tolist()}
    if up == "z":
        x, y, z = middle.tolist()
        node |= {"translation": [x, z, -y], "rotation": TURN_Z_UP}
    points, corners = around.astype("<f4"), faces.astype("<u4")
    bounds = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(3), np.zeros(3))
    document = {
        "asset": {"version": "2.0", "generator": "lagem"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [node],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(points), "type": "VEC3"}
            | {"min": bounds[0].tolist(), "max": bounds[1].tolist()},
            {"bufferView": 1, "componentType": 5125, "count": corners.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": points.nbytes, "target": 34962},
            {"buffer": 0, "byteOffset": points.nbytes, "byteLength": corners.nbytes, "target": 34963},
        ],
        "buffers": [{"byteLength": points.nbytes + corners.nbytes}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data = points.tobytes() + corners.tobytes()
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


WRITERS: dict[str, Writer] = {".ply": as_ply, ".glb": as_glb, ".obj": as_obj, ".stl": as_stl, ".off": as_off}


def centred(vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (V, 3) vertices relative to the centre of their bounding box, and this (3,) centre."""
    if len(vertices) == 0:
        return vertices, np.zeros(3)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    middle = low + (high - low) / 2
    return vertices - middle, middle


def lost_in_float32(vertices: NDArray[np.float64]) -> float:
    """Return the largest distance along an axis by which rounding to float32 moves a vertex.

    The distance is given as a fraction of the extent of the (V, 3) vertices. It is infinite if float32 cannot hold
    them.
    """
    extent = float(np.ptp(vertices, axis=0).max()) if len(vertices) else 0.0
    with np.errstate(over="ignore"):
        moved = float(np.abs(vertices.astype(np.float32) - vertices).max(initial=0.0))
    return moved / extent if extent > 0 else 0.0
