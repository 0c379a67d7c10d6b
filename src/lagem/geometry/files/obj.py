"""Reader of Wavefront OBJ: vertices and polygons.

Continued lines (with a backslash at the end), comments after data, tabs, leading blanks, CR line ends and byte order
marks are supported. A negative index counts back from the last vertex above its line.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import INTEGER, as_numbers, check_count, decoded, is_number, lines_of, quoted
from lagem.geometry.files.polygons import Polygons

# three kinds of statements: those that do not affect polygons, those of free-form surfaces, and those that run files
PASSED_OVER = re.compile(
    "v[tnp]|[ogslp]|mg|usemtl|mtllib|usemap|maplib|bevel|c_interp|d_interp|lod|shadow_obj|trace_obj", re.IGNORECASE
)
FREE_FORM = re.compile(
    "cstype|deg|bmat|step|curv2?|surf|parm|trim|hole|scrv|sp|end|con|bzp|bsp|cdc|cdp|[cs]tech|res", re.IGNORECASE
)
CONTINUED = re.compile(r"^[^#\n]*\\\n(?:[^#\n]*\\\n)*", re.MULTILINE)  # a comment is not continued
JOIN = "\x1f"  # joins continued lines; str.split takes it as whitespace, and it is counted to number the lines
OTHER_FILES = re.compile("call|csh", re.IGNORECASE)


def read_obj(path: Path) -> Polygons:
    """Read the positions and faces of a text file; raises ValueError if a line cannot be read, and names that line."""
    text = "\n".join(lines_of(decoded(path.read_bytes())))
    if "\\" in text:
        text = CONTINUED.sub(lambda lines: lines[0].replace("\\\n", JOIN), text + "\n")
    number = 0
    vertices: list[str] = []
    faces: list[str] = []
    above: list[int] = []  # number of vertices above each face
    numbers: dict[str, list[int]] = {"v": [], "f": []}  # line numbers of the vertices and of the faces
    for line in text.split("\n"):
        number += 1 + line.count(JOIN)
        words = line.partition("#")[0].split(None, 1)
        if not words:
            continue
        word = words[0]
        if word == "v":
            vertices.append(words[1] if len(words) > 1 else "")
            numbers["v"].append(number)
        elif word == "f":
            faces.append(words[1] if len(words) > 1 else "")
            above.append(len(vertices))
            numbers["f"].append(number)
        elif not PASSED_OVER.fullmatch(word):
            raise ValueError(_unknown(number, line, word))
    check_count(len(vertices), "vertices")
    check_count(len(faces), "faces")
    return Polygons(_positions(vertices, numbers["v"]), *_corners(faces, above, numbers["f"]))


def _positions(vertices: list[str], numbers: list[int]) -> NDArray[np.float64]:
    rows = [line.split(None, 3)[:3] for line in vertices]
    try:
        if not all(len(row) == 3 for row in rows):
            raise ValueError
        return as_numbers(word for row in rows for word in row).reshape(-1, 3)
    except ValueError:
        for row, number, line in zip(rows, numbers, vertices, strict=True):
            if len(row) < 3 or not all(map(is_number, row)):
                raise ValueError(
                    f"line {number}, {quoted('v ' + line)}, is not a vertex of three numbers; repair that line."
                ) from None
        raise


def _corners(faces: list[str], above: list[int], numbers: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parse the vertex indices of faces.

    Args:
        faces: The statements of the faces, without `f`.
        above: Number of vertices above each statement.
        numbers: Line number of each statement.

    Returns:
        (K,) vertex indices (from 0) of all faces in turn, and the (F,) number of corners of each face.
    """
    rows = [re.sub(r"(?<=\d)/\S*", "", face).split() if "/" in face else face.split() for face in faces]
    sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    check_count(int(sizes.sum()), "corners of faces")
    for row, number, face in zip(rows, numbers, faces, strict=True):
        if not all(INTEGER.fullmatch(word) and int(word) for word in row):
            raise ValueError(
                f"line {number}, {quoted('f ' + face)}, names a vertex by something other than a nonzero integer; "
                "repair the file's indices."
            )
    indices = np.fromiter((int(word) for row in rows for word in row), dtype=np.int64, count=int(sizes.sum()))
    return np.where(indices > 0, indices - 1, np.repeat(np.array(above, dtype=np.int64), sizes) + indices), sizes


def _unknown(number: int, line: str, word: str) -> str:
    shown = quoted(line)
    if FREE_FORM.fullmatch(word):
        return f"line {number}, {shown}, is part of a free-form surface, which is not supported; save it as polygons."
    if OTHER_FILES.fullmatch(word):
        return f"line {number}, {shown}, would run another file, which is not supported; put everything in one file."
    return f"line {number}, {shown}, is not an obj statement; check that this is an obj file, and repair the line."
