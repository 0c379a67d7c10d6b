"""Reader of PLY: the vertices, faces and triangle strips of a text or binary file."""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import as_numbers, check_count, lines_of, quoted
from lagem.geometry.files.ply_header import Element, read_header
from lagem.geometry.files.polygons import Polygons, strips_to_triangles

LISTS = {"face": ("vertex_indices", "vertex_index"), "tristrips": ("vertex_indices", "vertex_index")}


@dataclass(frozen=True)
class Ragged:
    """The lists of a list property: the items of all lists, one list after the other, and the length of each list."""

    items: NDArray[Any]
    sizes: NDArray[np.int64]


Columns = dict[str, NDArray[Any] | Ragged]


def read_ply(path: Path) -> Polygons:
    """Read the positions and faces of a file; a point cloud has no faces.

    Raises:
        ValueError: If the file is not valid ply, for example because the header and the data do not agree.
    """
    data = path.read_bytes()
    byte_order, elements, start = read_header(data)
    found: dict[str, Columns] = {}
    body = data[start:]
    if byte_order:
        at = 0
        for element in elements:
            found[element.name], at = _binary(body, at, element, byte_order)
        left = len(body[at:].strip())
    else:
        lines = [line for line in lines_of(body.decode("latin-1")) if line.strip()]
        declared = sum(element.count for element in elements)
        if declared > len(lines):
            raise ValueError(
                f"declares {declared} rows, but {len(lines)} follow the header; it was cut off: fetch it again."
            )
        row = 0
        for element in elements:
            found[element.name] = _text(lines[row : row + element.count], element)
            row += element.count
        left = sum(map(len, lines[row:]))
    if left:
        raise ValueError(f"holds {left} bytes more than its header declares; repair the header or save it again.")
    vertex = found.get("vertex", {})
    columns = [vertex.get(axis) for axis in "xyz"]
    if vertex and not all(isinstance(column, np.ndarray) for column in columns):
        raise ValueError("has vertices without x, y and z; save it with positions.")
    vertices = np.stack([np.asarray(column, np.float64) for column in columns], axis=1) if vertex else np.zeros((0, 3))
    corners, sizes = _faces(found)
    return Polygons(vertices, corners, sizes)


def _binary(body: bytes, at: int, element: Element, byte_order: str) -> tuple[Columns, int]:
    """Read an element of a binary file.

    Args:
        body: The data of the file.
        at: Index of the byte at which the element begins.
        element: The element, as the header declares it.
        byte_order: `<` or `>`.

    Returns:
        The columns of the element, and the index of the byte at which the next element begins.
    """
    if not element.lists or not element.count:
        kind = np.dtype([(name, byte_order + kind) for name, _, kind in element.properties])
        rows = np.frombuffer(body, dtype=kind, count=element.count, offset=at) if kind.itemsize else None
        columns: Columns = {name: rows[name] for name, *_ in element.properties} if rows is not None else {}
        return columns, at + element.count * kind.itemsize
    return _alike(body, at, element, byte_order) or _one_by_one(body, at, element, byte_order)


def _alike(body: bytes, at: int, element: Element, byte_order: str) -> tuple[Columns, int] | None:
    """Return what `_binary` returns, read in one step; None if list lengths differ between rows or data are missing."""
    lengths, first = {}, at
    fields: list[tuple[Any, ...]] = []
    for name, length, kind in element.properties:
        if length is not None:
            lengths[name] = int(np.frombuffer(body, byte_order + length, 1, _within(body, first, int(length[1])))[0])
            fields += [(f"#{name}", byte_order + length), (name, byte_order + kind, (lengths[name],))]
            first += int(length[1]) + lengths[name] * int(kind[1])
        else:
            fields.append((name, byte_order + kind))
            first += int(kind[1])
        if first > len(body) or min(lengths.values(), default=0) < 0:
            return None
    row = np.dtype(fields)
    if at + element.count * row.itemsize > len(body):
        return None
    rows = np.frombuffer(body, dtype=row, count=element.count, offset=at)
    if any((rows[f"#{name}"] != length).any() for name, length in lengths.items()):
        return None
    columns: Columns = {
        name: Ragged(rows[name].reshape(-1), np.full(element.count, lengths[name])) if name in lengths else rows[name]
        for name, *_ in element.properties
    }
    return columns, at + element.count * row.itemsize


def _one_by_one(body: bytes, at: int, element: Element, byte_order: str) -> tuple[Columns, int]:
    """Read an element as `_binary` does, row by row, since the lists in its rows may differ in length."""
    order = "little" if byte_order == "<" else "big"
    starts = {name: array("q") for name, *_ in element.properties}
    sizes = {name: array("q") for name in element.lists}
    for _ in range(element.count):
        for name, length, kind in element.properties:
            count = 1
            if length is not None:
                end = at + int(length[1])
                count = int.from_bytes(body[at:end], order, signed=length[0] == "i")  # type: ignore[arg-type]
                sizes[name].append(count)
                at = end
            starts[name].append(at)
            at += count * int(kind[1])
            if count < 0 or at > len(body):
                raise ValueError(
                    f"ends inside element {quoted(element.name)}, or this element has a list of negative length; "
                    "the file was cut off or is damaged: fetch or save it again."
                )
    whole = np.frombuffer(body, dtype=np.uint8)
    columns: Columns = {}
    for name, length, kind in element.properties:
        check_count(sum(sizes[name]) if length is not None else 0, f"items in the lists {quoted(name)}")
        counts = np.array(sizes[name] if length is not None else [1] * element.count, dtype=np.int64)
        begin = np.repeat(np.array(starts[name]) - int(kind[1]) * (np.cumsum(counts) - counts), counts)
        where = begin + int(kind[1]) * np.arange(counts.sum())
        items = whole[where[:, None] + np.arange(int(kind[1]))].copy().view(byte_order + kind).reshape(-1)
        columns[name] = items if length is None else Ragged(items, counts)
    return columns, at


def _text(lines: list[str], element: Element) -> Columns:
    """Read the columns of an element of a text file; `lines` has one line for each row of the element."""
    rows = [line.split() for line in lines]
    if not element.lists:
        if bad := next((row for row in rows if len(row) != len(element.properties)), None):
            raise ValueError(
                f"has the row {quoted(' '.join(bad))}, but element {quoted(element.name)} has "
                f"{len(element.properties)} properties; repair that line."
            )
        numbers = as_numbers(word for row in rows for word in row).reshape(len(rows), -1)
        return {name: numbers[:, column] for column, (name, *_) in enumerate(element.properties)}
    items: dict[str, list[str]] = {name: [] for name, *_ in element.properties}
    sizes: dict[str, list[int]] = {name: [] for name in element.lists}
    for row in rows:
        at = 0
        for name, length, _ in element.properties:
            count = 1
            if length is not None:
                count = int(row[at]) if at < len(row) and row[at].isdecimal() and len(row[at]) < 10 else -1
                sizes[name].append(count)
                at += 1
            items[name] += row[at : at + max(count, 0)]
            at += count
            if count < 0 or at > len(row):
                break
        if at != len(row):
            raise ValueError(
                f"has the row {quoted(' '.join(row))}, which does not match the header's properties of element "
                f"{quoted(element.name)}; repair that line."
            )
    columns: Columns = {}
    for name, length, _ in element.properties:
        numbers = as_numbers(items[name])
        columns[name] = numbers if length is None else Ragged(numbers, np.array(sizes[name], dtype=np.int64))
    return columns


def _faces(found: dict[str, Columns]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (K,) vertex indices of all faces in turn, and the (F,) number of corners of each face.

    Triangles from strips come last.
    """
    corners, sizes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    if "range_grid" in found:
        raise ValueError("holds the grid of a range scan, which is not supported; convert it to a mesh of faces.")
    for element, names in LISTS.items():
        columns = found.get(element, {})
        lists = [columns[name] for name in names if isinstance(columns.get(name), Ragged)]
        if columns and not lists:
            raise ValueError(
                f"has an element `{element}` without a list named {' or '.join(names)}; repair the header."
            )
        for ragged in lists[:1]:
            assert isinstance(ragged, Ragged)
            indices = ragged.items.astype(np.int64)
            if (wrong := indices != ragged.items).any():  # a fraction, or beyond int64
                raise ValueError(
                    f"has {ragged.items[wrong][0]} as a vertex in element `{element}`, which is not a valid index; "
                    "repair the element."
                )
            if element == "face":
                corners.append(indices)
                sizes.append(ragged.sizes)
            else:
                triangles = strips_to_triangles(indices, ragged.sizes)
                corners.append(triangles.reshape(-1))
                sizes.append(np.full(len(triangles), 3))
    return np.concatenate(corners), np.concatenate(sizes)


def _within(body: bytes, at: int, size: int) -> int:
    if at + size > len(body):
        raise ValueError("has data that end inside a list; it was cut off: fetch or save it again.")
    return at
