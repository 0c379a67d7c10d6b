"""Reader of glTF 2.0 scenes: the triangles of all meshes that are placed in the scene, without animation.

Morph targets are applied with the weights in the file, and skins with the pose of their joints. Points and lines
(modes 0 to 3) are skipped, since they have no surface. Animations, cameras and materials are skipped, since they do not
change the surface.
"""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.gltf_document import Document
from lagem.geometry.files.polygons import Polygons, strips_to_triangles

TRIANGLES, STRIP, FAN = 4, 5, 6
MOST_JOINTS = 8  # groups of joints per vertex, JOINTS_0 to JOINTS_7; each has four joints
MOST_NODES = 100_000

LARGEST_TURN = 1e6  # a quaternion should have length 1; lengths between 1 / LARGEST_TURN and LARGEST_TURN are accepted

Primitive = tuple[NDArray[np.float64], NDArray[np.int64]]  # (V, 3) vertices and (T, 3) triangles


def read_gltf(path: Path) -> Polygons:
    """Read the triangles of a file's default scene, in the scene's coordinates, in which +Y points up.

    Raises:
        ValueError: If the file cannot be read; the message says what is wrong.
    """
    document = Document(path)
    places = _placed(document)
    vertices, triangles, count, faces = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0, 0
    made: dict[tuple[Any, ...], Primitive] = {}
    for number, matrix in places.items():
        node = document.indexed("nodes", number)
        if "mesh" not in node:
            continue
        if "EXT_mesh_gpu_instancing" in document.object("extensions", node):
            raise ValueError(
                "places copies by EXT_mesh_gpu_instancing, which is not supported; save it without that extension."
            )
        weights = document.numbers("weights", node, None)
        for kind, name in (("meshes", "mesh"), ("skins", "skin")):
            if name in node:
                document.indexed(kind, node[name])
        key = (node["mesh"], None if weights is None else weights.tobytes(), node.get("skin"))
        if key not in made:
            made[key] = _mesh(document, node, weights, places)
        transform = np.eye(4) if "skin" in node else matrix  # a skin places its mesh itself
        own, corners = made[key]
        document.check_copies(count := count + len(own), "vertices")
        document.check_copies(faces := faces + len(corners), "faces")
        mirrored = np.linalg.slogdet(transform[:3, :3])[0] < 0  # the determinant itself may underflow
        triangles.append((corners[:, ::-1] if mirrored else corners) + (count - len(own)))
        vertices.append(own @ transform[:3, :3].T + transform[:3, 3])
    return Polygons.of_triangles(np.concatenate(vertices), np.concatenate(triangles))


def _placed(document: Document) -> dict[int, NDArray[np.float64]]:
    """Return the (4, 4) transforms from the coordinates of the scene's nodes to those of the scene, by node index.

    Raises:
        ValueError: If the nodes do not form a tree or are too many, or if none of several scenes is the default.
    """
    nodes, scenes = document.list("nodes", document.root), document.list("scenes", document.root)
    if len(nodes) > MOST_NODES:
        raise ValueError(f"holds {len(nodes)} nodes, more than the limit of {MOST_NODES}; merge its meshes.")
    parent: dict[int, int] = {}
    for number in range(len(nodes)):
        for child in document.list("children", document.indexed("nodes", number)):
            document.indexed("nodes", child)
            if child in parent:
                raise ValueError(
                    "has a node with two parents, so its nodes do not form a tree; save it again from its source."
                )
            parent[child] = number
    if scenes:
        if len(scenes) > 1 and "scene" not in document.root:
            raise ValueError(f"holds {len(scenes)} scenes, but names no default scene; save it with one scene.")
        roots = document.list("nodes", document.indexed("scenes", document.root.get("scene", 0)))
    else:
        roots = [number for number in range(len(nodes)) if number not in parent]
        if nodes and not roots:
            raise ValueError("has a cycle in its node graph; save it again from its source.")
    if len(roots) > len(nodes):
        raise ValueError(
            f"has a scene of {len(roots)} roots, but only {len(nodes)} nodes; save it again from its source."
        )
    placed: dict[int, NDArray[np.float64]] = {}
    waiting = deque((root, np.eye(4)) for root in roots)
    while waiting:
        number, above = waiting.popleft()
        node = document.indexed("nodes", number)
        if number in placed:
            raise ValueError("has a cycle in its node graph, or names a root twice; save it again from its source.")
        placed[number] = above @ _local(document, node)
        waiting += [(child, placed[number]) for child in document.list("children", node)]
    return placed


def _local(document: Document, node: dict[str, Any]) -> NDArray[np.float64]:
    """Return the (4, 4) transform from a node to its parent."""
    matrix = document.numbers("matrix", node, 16)
    if matrix is not None:
        _check_affine(matrix.reshape(1, 4, 4).transpose(0, 2, 1))
        return matrix.reshape(4, 4).T
    moved, turned, scaled = (
        document.numbers(name, node, count) for name, count in (("translation", 3), ("rotation", 4), ("scale", 3))
    )
    made = np.eye(4)
    if turned is not None:
        length = float(np.linalg.norm(turned))
        if not 1 / LARGEST_TURN < length < LARGEST_TURN:
            raise ValueError(f"has a rotation of length {length:g}, which is not a unit quaternion; save it again.")
        x, y, z, w = turned / length
        made[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    if scaled is not None:
        made[:3, :3] *= scaled
    if moved is not None:
        made[:3, 3] = moved
    return made


def _mesh(
    document: Document,
    node: dict[str, Any],
    weights: NDArray[np.float64] | None,
    placed: dict[int, NDArray[np.float64]],
) -> Primitive:
    """Join all primitives of a node's mesh that have faces.

    Args:
        document: The document.
        node: The node, which names the mesh and may name a skin.
        weights: Weights of the morph targets; None for those of the mesh.
        placed: The transform from each node to the scene.

    Returns:
        The vertices and triangles. The vertices are in the scene's coordinates if the node has a skin, else in the
        node's own.
    """
    mesh = document.indexed("meshes", node["mesh"])
    weights = document.numbers("weights", mesh, None) if weights is None else weights
    vertices_of, triangles_of, count, faces = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0, 0
    for primitive in document.list("primitives", mesh):
        mode = document.integer("mode", primitive, TRIANGLES, most=FAN)
        document.count_numbers(0)
        if mode < TRIANGLES:
            continue
        attributes = document.object("attributes", primitive)
        if "POSITION" not in attributes:
            raise ValueError("has a primitive without POSITION, and so without vertices; export it uncompressed.")
        for index in (attributes["POSITION"], primitive.get("indices", attributes["POSITION"])):
            if not {"bufferView", "sparse"} & document.indexed("accessors", index).keys():
                raise ValueError(
                    f"keeps vertices or faces in accessor {index}, which has no bufferView and so no data; "
                    "save it uncompressed."
                )
        vertices = document.accessor(attributes["POSITION"], kind="VEC3")
        targets = document.list("targets", primitive)
        for weight, target in zip([] if weights is None else weights, targets, strict=False):
            moves = document.object("target", {"target": target})
            if weight and "POSITION" in moves:
                moved = document.accessor(moves["POSITION"], kind="VEC3")
                if len(moved) != len(vertices):
                    raise ValueError("has a morph target with another number of vertices than its mesh; save it again.")
                vertices = vertices + weight * moved
        if "skin" in node:
            vertices = _posed(document, node["skin"], attributes, vertices, placed)
        if "indices" in primitive:
            corners = document.accessor(primitive["indices"], kind="SCALAR", indices=True)[:, 0]
        else:
            corners = np.arange(len(vertices), dtype=np.int64)
        if len(corners) and corners.max() >= len(vertices):
            raise ValueError(
                f"its faces use vertices up to {corners.max()}, counted from 0, but it has only {len(vertices)} "
                "vertices; repair the file's indices."
            )
        if len(vertices) > len(corners):  # often, all primitives share one accessor that holds all vertices
            used, corners = np.unique(corners, return_inverse=True)
            vertices = vertices[used]
        triangles = _triangles(corners, mode)
        vertices_of.append(vertices)
        triangles_of.append(triangles + count)
        document.check_copies(count := count + len(vertices), "vertices")
        document.check_copies(faces := faces + len(triangles), "faces")
    return np.concatenate(vertices_of), np.concatenate(triangles_of)


def _triangles(corners: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    if mode == STRIP:
        return strips_to_triangles(corners, np.array([len(corners)]))
    if mode == FAN:
        first = np.full(max(len(corners) - 2, 0), corners[0] if len(corners) else 0)
        return np.stack([corners[1:-1], corners[2:], first], axis=1) if len(corners) > 2 else first.reshape(0, 3)
    if len(corners) % 3:
        raise ValueError(f"has {len(corners)} corners of triangles, not a multiple of 3; fetch or save it again.")
    return corners.reshape(-1, 3)


def _posed(
    document: Document,
    skin: Any,
    attributes: dict[str, Any],
    vertices: NDArray[np.float64],
    placed: dict[int, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Move each vertex of a skinned mesh by its joints, whose pose is given by the scene.

    Args:
        document: The document.
        skin: Index of the skin.
        attributes: The attributes of the primitive, which name the joints and weights of the vertices.
        vertices: (V, 3) vertices.
        placed: The transform from each node to the scene.

    Returns:
        (V, 3) vertices, in the scene's coordinates.
    """
    entry = document.indexed("skins", skin)
    joints = document.list("joints", entry)
    inverse = np.broadcast_to(np.eye(4), (len(joints), 4, 4))
    if "inverseBindMatrices" in entry:
        inverse = document.accessor(entry["inverseBindMatrices"], kind="MAT4").reshape(-1, 4, 4).transpose(0, 2, 1)
    if len(inverse) < len(joints) or not joints:
        raise ValueError(
            f"has a skin of {len(joints)} joints, but {len(inverse)} inverse bind matrices; save it again."
        )
    for joint in joints:
        document.indexed("nodes", joint)
        if joint not in placed:
            raise ValueError(f"has a skin whose joint, node {joint}, is not in the scene; save it again.")
    document.count_numbers(16 * len(joints))
    _check_affine(inverse)
    moves = np.stack([placed[joint] for joint in joints]) @ inverse[: len(joints)]
    posed, total = np.zeros_like(vertices), np.zeros(len(vertices))
    for group in range(MOST_JOINTS):
        if f"JOINTS_{group}" not in attributes:
            break
        which = document.accessor(attributes[f"JOINTS_{group}"], kind="VEC4").astype(np.int64)
        weight = document.accessor(attributes.get(f"WEIGHTS_{group}"), kind="VEC4")
        if len(which) != len(vertices) or len(weight) != len(vertices) or (len(which) and which.max() >= len(joints)):
            raise ValueError("has a skin whose joints and weights do not fit its vertices; save it again.")
        for column in range(4):
            move = moves[which[:, column]]
            moved = np.einsum("vij,vj->vi", move[:, :3, :3], vertices) + move[:, :3, 3]
            posed += weight[:, column, None] * moved
            total += weight[:, column]
    if len(vertices) and not (total > 0).all():
        raise ValueError("has skinned vertices without a weight; save it again.")
    return posed / total[:, None]


def _check_affine(matrices: NDArray[np.float64]) -> None:
    """Raise ValueError if one of the (n, 4, 4) matrices is a perspective transform."""
    if not (np.abs(matrices[:, 3] - [0, 0, 0, 1]) <= 1e-6).all():
        raise ValueError(
            "has a perspective transform (a matrix whose last row is not 0, 0, 0, 1); export the file again from its "
            "source."
        )
