"""Reader of STL: the triangles of a binary or text file."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import as_numbers, check_count, check_text
from lagem.geometry.files.polygons import Polygons

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
FACET = [b"facet", b"normal", *3 * [None], b"outer", b"loop", *3 * [b"vertex", *3 * [None]], b"endloop", b"endfacet"]


def read_stl(path: Path) -> Polygons:
    """Read the triangles of a file. Each gets three vertices, which it does not share with other triangles.

    Raises:
        ValueError: If the file is damaged or not an stl file.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + TRIANGLE.itemsize * count:
        check_count(count, "faces")
        return _triangles(np.frombuffer(data, dtype=TRIANGLE, offset=84)["corners"].astype(np.float64))
    text = data.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip()[:5].lower() != b"solid":
        raise ValueError(
            f"is not a text stl, and as a binary stl it declares {count} triangles "
            f"({84 + TRIANGLE.itemsize * count} bytes), but has {len(data)} bytes; fetch or save it again."
        )
    check_text(len(text))
    return _triangles(_of_text(text))


def _of_text(text: bytes) -> NDArray[np.float64]:
    rows = [row for line in re.split(rb"[\r\n]+", text.lower()) if (row := line.split())]
    facets = [row for row in rows if row[0] not in (b"solid", b"endsolid")]  # a solid's name may hold any word
    words = [word for row in facets for word in row]
    for name in (b"solid", b"facet"):
        opened, closed = (sum(row[0] == word for row in rows) for word in (name, b"end" + name))
        if opened != closed:
            raise ValueError(
                f"has {opened} `{name.decode()}` but {closed} `end{name.decode()}`; it was cut off: fetch it again."
            )
    number = words.count(b"facet")
    check_count(number, "faces")
    if words.count(b"vertex") != 3 * number:
        raise ValueError(
            f"has {words.count(b'vertex')} vertices in {number} facets, but an stl has 3 in each; triangulate the mesh "
            "in the program that made it."
        )
    size = len(FACET)
    if len(words) != size * number or any(
        words[at::size] != [word] * number for at, word in enumerate(FACET) if word is not None
    ):
        raise ValueError(
            "has a facet that is not of the form `facet normal` x y z, `outer loop`, three times `vertex` x y z, "
            "`endloop`, `endfacet`; repair it or save it again."
        )
    numbers = [words[at::size] for at in (8, 9, 10, 12, 13, 14, 16, 17, 18)]
    return np.stack([as_numbers(word.decode("latin-1") for word in column) for column in numbers], axis=1).reshape(
        -1, 3, 3
    )


def _triangles(corners: NDArray[np.float64]) -> Polygons:
    return Polygons.of_triangles(corners.reshape(-1, 3), np.arange(3 * len(corners), dtype=np.int64).reshape(-1, 3))
