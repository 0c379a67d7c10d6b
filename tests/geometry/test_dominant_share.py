"""For balls side by side or inside each other, the largest solid's fraction of the volume agrees with a formula."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.components import dominant_share
from lagem.geometry.mesh import Mesh


def ball(radius: float, x: float = 0.0, *, inward: bool = False) -> Mesh:
    """A mesh of a ball. All such meshes are similar, so their volumes are proportional to the cubes of their radii."""
    made = trimesh.creation.icosphere(3, radius=radius)
    return Mesh(made.vertices + np.array([x, 0, 0]), made.faces[:, ::-1] if inward else made.faces)


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [
        (ball(0.5), 1),
        (together(ball(0.3, -0.5), ball(0.2, 0.5)), 27 / 35),
        (together(ball(0.2, -0.5), ball(0.3, 0.5), ball(0.1)), 27 / 36),
        (together(ball(0.5), ball(0.4, inward=True)), 1),  # a shell is one solid
        (together(ball(0.5), ball(0.4, inward=True), ball(0.3)), (125 - 64) / (125 - 64 + 27)),
        (together(ball(0.5), ball(0.49, inward=True), ball(0.45)), 0.45**3 / (0.5**3 - 0.49**3 + 0.45**3)),
        (together(ball(0.3, -0.5), ball(0.2, -0.5, inward=True), ball(0.3, 0.5)), 27 / (27 + 19)),
        (together(ball(0.3, -0.5, inward=True), ball(0.2, 0.5)), 27 / 35),  # an inside-out ball is a ball
    ],
    ids=["one", "two", "three", "shell", "ball in a shell", "ball in a thin shell", "shell and ball", "inside out"],
)
def test_the_share_is_that_of_the_largest_solids_volume(mesh, expected):
    assert dominant_share(mesh) == pytest.approx(expected, rel=1e-6)


def test_an_open_mesh_encloses_nothing():
    whole = ball(0.5)
    assert dominant_share(whole.with_faces(np.arange(len(whole.faces)) > 0)) == 0
