"""Write a solid in the glTF dialects that `dialects.py` lists."""

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dialects import Solid, Written


class Scene:
    """Builds a glTF document from arrays."""

    def __init__(self) -> None:
        self.data = b""
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, array: NDArray[Any], *, stride: int | None = None) -> int:
        """Add a view of an array's bytes, with rows `stride` bytes apart, and return its index."""
        rows = array.reshape(len(array), -1)
        raw = rows.tobytes()
        if stride is not None:
            width = len(raw) // len(rows)
            raw = b"".join(raw[k * width : (k + 1) * width].ljust(stride, b"\xff") for k in range(len(rows)))
        self.data += b"\0" * (-len(self.data) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw)}
        self.views.append(entry | ({"byteStride": stride} if stride else {}))
        self.data += raw
        return len(self.views) - 1

    def accessor(self, array: NDArray[Any], kind: str, *, stride: int | None = None, **fields: Any) -> int:
        """Add an accessor of an array, and return its index."""
        component = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}[array.dtype.str[1:]]
        self.accessors.append(
            {"bufferView": self.view(array, stride=stride), "componentType": component, "count": len(array)}
            | {"type": kind}
            | fields
        )
        return len(self.accessors) - 1

    def document(self, *, uri: str | None, **fields: Any) -> dict[str, Any]:
        """Return the whole document; its one buffer is in a file `uri`, or in the binary chunk if `uri` is None."""
        buffer = {"byteLength": len(self.data)} | ({} if uri is None else {"uri": uri})
        return {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [buffer],
        } | fields


def glb(document: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def primitive(scene: Scene, vertices: NDArray[Any], indices: NDArray[Any] | None, mode: int, **fields: Any) -> Any:
    attributes = {"POSITION": scene.accessor(vertices, "VEC3", **fields)}
    made = {"attributes": attributes, "mode": mode}
    return made if indices is None else made | {"indices": scene.accessor(indices, "SCALAR")}


def gltf_of(solid: "Solid", *, kind: str) -> "Written":
    """Return the files of the solid in the glTF dialect called `kind`."""
    scene, corners = Scene(), np.array(solid.triangles, dtype=np.uint16)
    vertices = solid.vertices.astype(np.float32)
    nodes: list[dict[str, Any]] = [{"mesh": 0}]
    fields: dict[str, Any] = {}
    if kind == "no indices":
        parts = [primitive(scene, vertices[corners.reshape(-1)], None, 4)]
    elif kind in ("strips", "fans"):
        parts = [primitive(scene, vertices, triangle, 5 if kind == "strips" else 6) for triangle in corners]
    elif kind == "byte indices, interleaved":
        assert len(vertices) < 256
        parts = [primitive(scene, vertices, corners.reshape(-1).astype(np.uint8), 4, stride=20)]
    elif kind == "normalised integers":
        largest = float(vertices.max())
        whole = np.round(vertices / largest * 32767).astype(np.int16)
        padded = {"stride": 8, "normalized": True}
        parts = [primitive(scene, whole, corners.reshape(-1), 4, **padded)]
        nodes = [{"mesh": 0, "scale": [largest] * 3}]
        fields = {"extensionsUsed": ["KHR_mesh_quantization"], "extensionsRequired": ["KHR_mesh_quantization"]}
    elif kind == "sparse":
        wrong = vertices.copy()
        wrong[::2] += 7
        rows = np.arange(0, len(vertices), 2, dtype=np.uint16)
        parts = [primitive(scene, wrong, corners.reshape(-1), 4)]
        scene.accessors[parts[0]["attributes"]["POSITION"]]["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": scene.view(rows), "componentType": 5123},
            "values": {"bufferView": scene.view(vertices[::2])},
        }
    elif kind == "morph target":
        parts = [primitive(scene, vertices * 0.5, corners.reshape(-1), 4)]
        parts[0]["targets"] = [{"POSITION": scene.accessor(vertices, "VEC3")}]
        fields = {"meshes": [{"primitives": parts, "weights": [0.5]}]}
    elif kind == "skin":
        parts = [primitive(scene, vertices, corners.reshape(-1), 4)]
        joints = np.tile(np.array([0, 1, 0, 0], dtype=np.uint8), (len(vertices), 1))
        weights = np.tile(np.array([0.25, 0.75, 0, 0], dtype=np.float32), (len(vertices), 1))
        parts[0]["attributes"] |= {
            "JOINTS_0": scene.accessor(joints, "VEC4"),
            "WEIGHTS_0": scene.accessor(weights, "VEC4"),
        }
        inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
        inverse[:, 3, :3] = -10  # column-major: the translation
        nodes = [{"mesh": 0, "skin": 0, "translation": [99, 0, 0]}, {"children": [2, 3]}]
        nodes += [{"translation": [10, 10, 10]}, {"translation": [10, 10, 10]}]
        matrices = scene.accessor(inverse.reshape(2, 16), "MAT4")
        fields = {"skins": [{"joints": [2, 3], "inverseBindMatrices": matrices}], "scenes": [{"nodes": [0, 1]}]}
    elif kind == "nodes that mirror and turn":
        mirrored = vertices * np.array([-1, 1, 1], dtype=np.float32)
        turned = np.stack([mirrored[:, 0], mirrored[:, 2], -mirrored[:, 1]], axis=1)
        parts = [primitive(scene, turned, corners[:, ::-1].reshape(-1), 4)]
        half = 0.5**0.5
        nodes = [{"children": [1], "scale": [-1, 1, 1]}, {"mesh": 0, "rotation": [half, 0, 0, half]}]
    else:
        parts = [primitive(scene, vertices, corners.reshape(-1).astype(np.uint32), 4)]
    document = scene.document(uri=None, **{"nodes": nodes, "meshes": [{"primitives": parts}], **fields})
    if kind == "a buffer in another file":
        document["buffers"][0]["uri"] = "the%20data.bin"
        return {"mesh.gltf": json.dumps(document).encode(), "the data.bin": scene.data}
    if kind == "a data URI":
        encoded = base64.b64encode(scene.data).decode()
        document["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{encoded}"
        return {"mesh.gltf": json.dumps(document).encode()}
    return {"mesh.glb": glb(document, scene.data)}


GLTF_KINDS = (
    "indices of four bytes",
    "no indices",
    "strips",
    "fans",
    "byte indices, interleaved",
    "normalised integers",
    "sparse",
    "morph target",
    "skin",
    "nodes that mirror and turn",
    "a buffer in another file",
    "a data URI",
)
