"""Fixtures: two meshes whose geometry is known in closed form, and the folders of malformed and of awkward files."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.mesh import Mesh


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cube():
    """A closed cube of side 2 around the origin, with its faces outward."""
    box = trimesh.creation.box(extents=(2, 2, 2))
    return Mesh(box.vertices, box.faces)


@pytest.fixture
def sphere():
    """A closed sphere of radius 1 around the origin, with its faces outward and an area within 0.1% of 4 pi."""
    ball = trimesh.creation.icosphere(subdivisions=5)
    return Mesh(ball.vertices, ball.faces)


@pytest.fixture
def bad_meshes(shared_meshes):
    return shared_meshes / "bad"


@pytest.fixture
def hard_meshes(shared_meshes):
    return shared_meshes / "hard"
