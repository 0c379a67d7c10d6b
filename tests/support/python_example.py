"""Read the Python example that the README and the docs show, and write the file that it needs."""

import re
from pathlib import Path

import numpy as np

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh


def example(path: Path) -> str:
    """Return the first Python block of a Markdown file."""
    found = re.search(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)
    assert found is not None
    return found[1]


def write_chair(folder: Path) -> Frame:
    """Write a box far from the unit sphere as chair.obj, and return its frame."""
    corners = np.array([[i, 2 * j, 3 * k] for i in (0, 1.0) for j in (0, 1.0) for k in (0, 1.0)]) * 10 + 100
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
             [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
    Mesh(corners, np.array(faces)).save(folder / "chair.obj")
    return Frame.of(corners)
