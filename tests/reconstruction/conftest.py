"""Fixtures for tests of codecs: a codec whose field is known, and a shape far from the unit sphere."""

import numpy as np
import pytest

from lagem.geometry.mesh import Mesh
from lagem.reconstruction.codec import ShapeCodec
from reconstruction_codecs import constant_codec


@pytest.fixture
def codec() -> ShapeCodec:
    """Return a codec that decodes any latents to the box [-1, 1]^3."""
    return constant_codec(1.0)


@pytest.fixture
def box() -> Mesh:
    """Return a box from (5, -1, 0) to (9, 1, 3)."""
    corners = np.array([[x, y, z] for x in (5, 9.0) for y in (-1, 1.0) for z in (0, 3.0)])
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
             [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
    return Mesh(corners, np.array(faces))
