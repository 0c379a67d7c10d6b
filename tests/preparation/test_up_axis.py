"""With `--up`, all shapes get the same up axis: glTF files are y-up, and `--up` says what the other formats do not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from rich.console import Console

from lagem.geometry.mesh import Mesh
from lagem.preparation.pipeline import prepare
from lagem.prepared import inspection_report
from lagem.prepared.inspection import inspect_folder
from lagem.prepared.shards import Shards

MIXED = "1 of 2 shapes come from glTF files, which are y-up"


@pytest.fixture
def mixed(tmp_path):
    """A folder with the same box, 1 x 2 x 3 with z up, as a glb file and as a ply file."""
    made = trimesh.creation.box((1, 2, 3))
    box = Mesh(np.add(made.vertices, [0, 10, 0]), made.faces)
    for name in ("standing.glb", "unknown.ply"):
        box.save(tmp_path / "meshes" / name)
    return tmp_path / "meshes"


@pytest.fixture
def prepared(mixed, tmp_path, small, in_this_process, capsys):
    def run(up):
        prepare([mixed], tmp_path / "out", replace(small, up=up))
        inspection = inspect_folder(tmp_path / "out", judged=0)
        inspection_report.show(inspection, Console(width=200))
        return Shards(tmp_path / "out"), inspection, capsys.readouterr().out

    return run


def extents(shards: Shards, index: int) -> np.ndarray:
    points = shards.frame(index).to_source(shards.read(index, "surface_points"))
    return np.ptp(points, axis=0).round(1)


@pytest.mark.parametrize(("up", "standing"), [(None, [1, 3, 2]), ("y", [1, 3, 2]), ("z", [1, 2, 3])])
def test_only_a_known_axis_is_turned_and_only_if_asked(up, standing, prepared):
    shards, _, _ = prepared(up)
    assert shards.ids == ["standing", "unknown"]
    np.testing.assert_allclose(extents(shards, 0), standing, atol=0.15)
    np.testing.assert_allclose(extents(shards, 1), [1, 2, 3], atol=0.15)


def test_turned_shapes_have_the_frame_of_their_turned_coordinates(prepared):
    shards, _, _ = prepared("z")
    np.testing.assert_allclose(shards.frame(0).center, [0, 10, 0], atol=1e-6)
    np.testing.assert_allclose(shards.frame(1).center, [0, 10, 0], atol=1e-6)


def test_a_mixture_is_reported_before_the_preparation_and_by_inspect(prepared):
    _, inspection, printed = prepared(None)
    assert printed.startswith(MIXED) and printed.count(MIXED) == 2
    assert "with --up z, which turns the glTF files" in printed
    assert inspection.mixed_axes.startswith(MIXED) and inspection.up is None


@pytest.mark.parametrize("up", ["y", "z"])
def test_an_axis_that_is_given_is_recorded_and_ends_the_report(up, prepared):
    shards, inspection, printed = prepared(up)
    assert (shards.up, inspection.up, inspection.mixed_axes) == (up, up, "")
    assert "glTF" not in printed


@pytest.mark.parametrize("name", ["standing.glb", "unknown.ply"])
def test_files_of_one_kind_are_no_mixture(name, mixed, prepared):
    (mixed / name).unlink()
    assert "glTF" not in prepared(None)[2]


def test_a_folder_keeps_its_axis(mixed, tmp_path, small, in_this_process):
    cases = {
        (None, "z"): "without --up, but this command has --up z",
        ("z", None): "with --up z, but this command has no --up",
        ("y", "z"): "with --up y, but this command has --up z",
    }
    for (first, second), differing in cases.items():
        folder = tmp_path / f"{first}_{second}"
        prepare([mixed], folder, replace(small, up=first))
        with pytest.raises(ValueError, match=f"was made {differing}; use the same options as before, or another"):
            prepare([mixed], folder, replace(small, up=second))


def test_without_an_axis_format_json_is_as_before(mixed, tmp_path, small, in_this_process):
    prepare([mixed], tmp_path / "out", small)
    settings = json.loads((tmp_path / "out" / "format.json").read_text())["settings"]
    assert "up" not in settings and settings["shapes_per_shard"] == 3


@pytest.mark.parametrize("settings", ["[]", '{"up": "x"}', '{"up": ["z"]}'])
def test_an_axis_that_is_none_counts_as_unknown(settings, prepared, tmp_path):
    prepared(None)
    header = json.loads((tmp_path / "out" / "format.json").read_text())
    (tmp_path / "out" / "format.json").write_text(json.dumps(header | {"settings": json.loads(settings)}))
    assert Shards(tmp_path / "out").up is None
