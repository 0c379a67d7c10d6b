"""Reader of OFF (Object File Format): the vertices and polygons of a text file."""

import re
from pathlib import Path

import numpy as np

from lagem.geometry.files.errors import (
    INTEGER,
    as_integers,
    as_numbers,
    check_count,
    decoded,
    is_number,
    lines_of,
    quoted,
)
from lagem.geometry.files.polygons import Polygons

# In files of these kinds, colours (C), normals (N) and texture coordinates (ST) follow the three numbers of a position.
HEADER = re.compile(r"(ST)?C?N?OFF(?![a-z])", re.IGNORECASE)
OTHER_HEADER = re.compile(r"(ST)?C?N?(4OFF|nOFF|4nOFF|OFF +BINARY)\b")


def read_off(path: Path) -> Polygons:
    """Read the positions and faces of a file; raises a ValueError that says what is wrong if it is not valid OFF."""
    text = decoded(path.read_bytes())
    lines = [words for line in lines_of(text) if (words := line.partition("#")[0].split())]
    first = " ".join(lines[0]) if lines else ""
    if other := OTHER_HEADER.match(first):
        raise ValueError(
            f"is of the kind `{other[0]}`, which is not supported; save it as a text OFF file with three numbers per "
            "vertex."
        )
    header = HEADER.match(first)
    if header is None:
        raise ValueError("does not begin with `OFF`, so it is not an off file; check its file extension.")
    # the counts are on the same line as `OFF`, or on the next line
    rest = first[header.end() :].split()
    rows = [rest, *lines[1:]] if rest else lines[1:]
    counts = rows[0] if rows else []
    if len(counts) < 2 or not all(re.fullmatch(r"\d{1,18}", word) for word in counts[:2]):
        raise ValueError("has no line of vertex and face counts after `OFF`; add it or save the file again.")
    num_vertices, num_faces = int(counts[0]), int(counts[1])
    rows = rows[1:]
    if num_vertices + num_faces > len(rows):
        raise ValueError(
            f"declares {num_vertices + num_faces} vertices and faces, but {len(rows)} lines follow; it was cut off: "
            "fetch it again."
        )
    if num_vertices + num_faces < len(rows):
        raise ValueError(
            f"declares {num_vertices} vertices and {num_faces} faces, but {len(rows)} lines follow; repair its counts."
        )
    check_count(num_vertices, "vertices")
    check_count(num_faces, "faces")
    points, faces = rows[:num_vertices], rows[num_vertices:]
    for number, row in enumerate(points):
        if len(row) < 3 or not all(map(is_number, row[:3])):
            raise ValueError(
                f"vertex {number} (counted from 0), {quoted(' '.join(row))}, does not begin with three numbers; "
                "repair that line."
            )
    corners = []
    for number, row in enumerate(faces):
        named = row[1 : int(row[0]) + 1] if INTEGER.fullmatch(row[0]) and int(row[0]) > 0 else []
        if not named or len(named) < int(row[0]) or not all(map(INTEGER.fullmatch, named)):
            raise ValueError(
                f"face {number} (counted from 0), {quoted(' '.join(row))}, is not a number of corners followed by that "
                "number of vertices; repair that line."
            )
        corners.append(named)
    return Polygons(
        vertices=as_numbers(word for row in points for word in row[:3]).reshape(-1, 3),
        corners=as_integers([word for named in corners for word in named]),
        sizes=np.fromiter(map(len, corners), dtype=np.int64, count=len(corners)),
    )
