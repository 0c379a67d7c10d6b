"""A DATA argument names a prepared folder, procedural shapes, or meshes; anything else is an error."""

import pytest
import trimesh

from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.sources.data import data_kind, resolve_data
from lagem.sources.surfaces import MeshSurfaces

EVERY = ("prepared", "procedural", "meshes")


@pytest.fixture
def folder(tmp_path):
    """Return a folder that contains meshes/box.ply, manifest.csv and prepared/format.json."""
    (tmp_path / "meshes").mkdir()
    trimesh.creation.box().export(tmp_path / "meshes" / "box.ply")
    (tmp_path / "manifest.csv").write_text("file,id\nmeshes/box.ply,one\n")
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "format.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("meshes", "meshes"), ("meshes/box.ply", "meshes"), ("manifest.csv", "meshes"), ("prepared", "prepared")],
)
def test_kind_of_a_path_is_told_by_what_lies_there(folder, name, kind):
    assert data_kind(folder / name, accepted=EVERY) == kind
    assert data_kind(str(folder / name), accepted=[kind]) == kind
    for others in ([other for other in EVERY if other != kind], []):
        with pytest.raises(ValueError, match=name):
            data_kind(folder / name, accepted=others)


def test_kind_of_a_url_and_of_a_spelling_is_told_without_a_look_at_the_disk():
    assert data_kind("s3://bucket/shapes", accepted=EVERY) == "prepared"
    assert data_kind("procedural:8+2", accepted=EVERY) == "procedural"


def test_error_lists_what_is_accepted_and_no_more(tmp_path):
    with pytest.raises(ValueError) as error:
        data_kind(tmp_path / "absent", accepted=EVERY)
    assert str(error.value) == (
        f"{tmp_path}/absent: there is no such file or folder; give a folder of `lagem prepare`, or "
        "procedural:TRAIN+VAL, such as procedural:1024+64, or meshes (a file, a folder or a manifest)."
    )
    with pytest.raises(ValueError, match=r"procedural shapes cannot be used here; give a folder of `lagem prepare`\.$"):
        data_kind("procedural:8+2", accepted=["prepared"])


def test_source_is_that_of_the_kind(folder):
    meshes = resolve_data(str(folder / "manifest.csv"), seed=0)
    assert isinstance(meshes, MeshSurfaces) and meshes.ids == ["one"]
    procedural = resolve_data("procedural:8+2", seed=3)
    assert isinstance(procedural, ProceduralSurfaces)
    assert procedural.description == ProceduralSurfaces(num_train=8, num_val=2, seed=3).description
    with pytest.raises(ValueError, match="format is None, expected .lagem-occupancy."):
        resolve_data(folder / "prepared", seed=0)


@pytest.mark.parametrize("text", ["procedural:", "procedural:8", "procedural:0+0", "procedural:a+b"])
def test_misspelt_procedural_shapes_are_an_error(text):
    with pytest.raises(ValueError, match=r"procedural:TRAIN\+VAL"):
        resolve_data(text, seed=0)
