"""`lagem view` makes a page that shows the shapes in files, and opens it in the browser unless --output is given."""

from pathlib import Path

import numpy as np
import pytest

from lagem.cli import main
from lagem.geometry.mesh import Mesh
from lagem.reports.view import view
from toy_shapes import write_meshes


@pytest.fixture
def meshes(tmp_path) -> Path:
    write_meshes(tmp_path / "meshes")
    return tmp_path / "meshes"


def test_files_folders_manifests_and_clouds_are_shown_in_their_order(meshes, tmp_path):
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).random((100, 3)))
    (tmp_path / "list.csv").write_text("file,id\nmeshes/torus.ply,wheel\n")
    page = view(
        [tmp_path / "cloud.npy", tmp_path / "list.csv", meshes], tmp_path / "new" / "page.html", up="z"
    ).read_text()
    titles = [text.split("<")[0] for text in page.split("<figcaption>")[1:]]
    assert titles == ["cloud.npy", "wheel", "ball", "brick", "torus"]
    assert "100 points" in page and "12 triangles" in page


def test_two_files_of_one_name_are_both_shown(meshes, tmp_path):
    other = tmp_path / "other"
    write_meshes(other)
    page = view([meshes / "ball.ply", other / "ball.ply"], tmp_path / "page.html", up="z")
    assert page.read_text().count("<canvas") == 2


def test_a_file_that_cannot_be_read_does_not_stop_the_others(meshes, tmp_path, capsys):
    (meshes / "bad.ply").write_text("nonsense")
    page = view([meshes], tmp_path / "page.html", up="z").read_text()
    assert page.count("<canvas") == 3 and page.count('<div class="empty">does not begin with') == 1
    assert "bad: does not begin with" in capsys.readouterr().out


def test_only_unreadable_files_are_a_mistake(tmp_path):
    (tmp_path / "bad.ply").write_text("nonsense")
    with pytest.raises(ValueError, match="none of 1 files can be read. bad.ply: does not begin"):
        view([tmp_path / "bad.ply"], tmp_path / "page.html", up="z")
    with pytest.raises(ValueError, match="absent.ply: there is no such file"):
        view([tmp_path / "absent.ply"], tmp_path / "page.html", up="z")


def test_equal_files_give_equal_bytes(meshes, tmp_path):
    pages = [view([meshes], tmp_path / f"{number}.html", up="z").read_bytes() for number in range(2)]
    assert pages[0] == pages[1]


def test_fifty_large_meshes_take_less_than_20_mb(tmp_path):
    """The meshes are soups of triangles, because meshes whose faces share no vertices take the most space."""
    rng = np.random.default_rng(0)
    for number in range(50):
        corners = rng.random((10_000, 1, 3)) + 0.001 * rng.random((10_000, 3, 3))
        Mesh(corners.reshape(-1, 3), np.arange(30_000).reshape(-1, 3)).save(tmp_path / "soups" / f"{number}.ply")
    page = tmp_path / "page.html"
    main(["view", str(tmp_path / "soups"), "--output", str(page)])
    assert "10,000 triangles" in page.read_text() and page.stat().st_size < 20e6


def test_the_browser_opens_the_page_if_no_output_is_named(meshes, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: not opened.append(url))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = view([meshes / "brick.ply"], None, up="z")
    assert opened == [page.as_uri()] and page.is_relative_to(tmp_path) and "<canvas" in page.read_text()
