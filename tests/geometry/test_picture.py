"""Pictures are made without a display, and show shapes at the right positions."""

import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from lagem.geometry.mesh import Mesh
from lagem.geometry.picture import contact_sheet, render_mesh, save_picture


def block(low, high):
    box = trimesh.creation.box(bounds=[low, high])
    return Mesh(box.vertices, box.faces)


def centroid(picture):
    """Return the centre (right, down) of the shape's pixels, each coordinate in [-1, 1]."""
    rows, columns = np.nonzero((picture < 250).any(axis=-1))
    size = picture.shape[0]
    return 2 * (columns.mean() + 0.5) / size - 1, 2 * (rows.mean() + 0.5) / size - 1


def test_sphere_fills_the_circle_it_should(sphere):
    picture = render_mesh(sphere, size=128)
    assert picture.shape == (128, 128, 3) and picture.dtype == np.uint8
    assert (picture[0] == 255).all() and (picture[:, -1] == 255).all()
    covered = (picture < 250).any(axis=-1).mean()
    assert covered == pytest.approx(np.pi / 4 / 1.04**2, abs=0.02)


@pytest.mark.parametrize(
    ("up", "low", "high", "right", "down"),
    [
        ("z", (-0.1, -0.1, 0.5), (0.1, 0.1, 0.7), 0, -1),  # high is on top
        ("z", (0.5, -0.1, -0.1), (0.7, 0.1, 0.1), 1, 0),  # +x is to the right
        ("y", (-0.1, 0.5, -0.1), (0.1, 0.7, 0.1), 0, -1),
        ("y", (0.5, -0.1, -0.1), (0.7, 0.1, 0.1), 1, 0),
    ],
)
def test_front_view_is_the_right_way_up_and_not_mirrored(up, low, high, right, down):
    found = centroid(render_mesh(block(low, high), size=96, azimuth=0, elevation=0, up=up))
    np.testing.assert_allclose(found, np.array([right, down]) * 0.6 / 1.04, atol=0.03)


@pytest.mark.parametrize(("up", "front"), [("z", (0, -1, 0)), ("y", (0, 0, 1))])
def test_front_hides_what_is_behind(up, front, sphere):
    front = np.array(front)
    wall = 0.4 - 0.3 * np.abs(front)
    near = block(front * 0.6 - wall, front * 0.6 + wall)
    faces = np.concatenate([near.faces, sphere.faces + len(near.vertices)])
    both = Mesh(np.concatenate([near.vertices, 0.2 * sphere.vertices - front * 0.6]), faces)
    view = {"size": 64, "azimuth": 0, "elevation": 0, "up": up}
    np.testing.assert_array_equal(render_mesh(both, **view), render_mesh(near, **view))


@pytest.mark.parametrize(
    ("up", "low", "high"), [("z", (-0.1, -0.7, -0.1), (0.1, -0.5, 0.1)), ("y", (-0.1, -0.1, 0.5), (0.1, 0.1, 0.7))]
)
def test_camera_walks_to_the_right_and_up(up, low, high):
    front = block(low, high)
    right, _ = centroid(render_mesh(front, size=96, azimuth=40, elevation=0, up=up))
    _, down = centroid(render_mesh(front, size=96, azimuth=0, elevation=40, up=up))
    assert right < -0.2 and down > 0.2


def test_light_comes_from_above(sphere):
    picture = render_mesh(sphere, size=96).astype(int).sum(axis=-1)
    assert picture[20, 48] > picture[76, 48] + 60


def test_inside_out_mesh_looks_the_same(sphere):
    flipped = Mesh(sphere.vertices, sphere.faces[:, ::-1])
    np.testing.assert_array_equal(render_mesh(sphere, size=64), render_mesh(flipped, size=64))


def test_missing_embreex_says_what_to_install(sphere, monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(ImportError, match="pip install embreex"):
        render_mesh(sphere, size=8)


def test_sheet_holds_every_picture_and_titles(sphere):
    picture = render_mesh(sphere, size=64)
    sheet = contact_sheet([[picture, None], [picture, picture]], column_titles=["a", "b"], row_titles=["one", "two"])
    found = [
        (row, column)
        for row in range(sheet.shape[0] - 63)
        for column in range(sheet.shape[1] - 63)
        if (sheet[row + 32, column : column + 64] == picture[32]).all()
        and (sheet[row : row + 64, column : column + 64] == picture).all()
    ]
    assert len(found) == 3
    assert (sheet[: found[0][0]] < 128).any()  # column titles
    assert (sheet[:, : found[0][1]] < 128).any()  # row titles


def test_a_sheet_shows_all_of_a_long_title_above_its_picture():
    picture = np.zeros((64, 64, 3), np.uint8)

    def sheet(*titles: str):
        return contact_sheet([[picture] * len(titles)], column_titles=titles)

    name = "furniture__base_folded_chair_with_a_long_name_"
    assert (sheet(name + "1") != sheet(name + "2")).any()
    beside_empty, alone = sheet(name, ""), sheet(name)
    np.testing.assert_array_equal(beside_empty[:, : alone.shape[1]], alone)  # no title reaches the next picture


def test_sheet_of_uneven_rows_is_refused():
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"the rows have \[1\] pictures"):
        contact_sheet([[picture]], column_titles=["a", "b"])
    with pytest.raises(ValueError, match="one size"):
        contact_sheet([[picture, picture[:4]]], column_titles=["a", "b"])
    with pytest.raises(ValueError, match="2 row titles"):
        contact_sheet([[picture]], column_titles=["a"], row_titles=["x", "y"])


def test_saved_picture_comes_back_alone(tmp_path, rng):
    picture = rng.integers(0, 255, (8, 9, 3), dtype=np.uint8)
    path = tmp_path / "new" / "picture.png"
    save_picture(picture, path)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ValueError, match=r"saved as \.png"):
        save_picture(picture, tmp_path / "picture.jpg")
