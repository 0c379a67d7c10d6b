"""Damaged files end in a mesh, a cloud or one line; `make fuzz` tries many more of them."""

from collections import Counter

import pytest

import dialects
import mesh_tries
import mutations

TRIES = 400


def test_damaged_files_are_read_or_refused_in_one_line():
    results = {number: mesh_tries.attempt((0, number)) for number in range(TRIES)}
    faults = {number: found for number, (_, found) in results.items() if found not in ("read", "refused")}
    assert faults == {}
    counts = Counter(results.values())
    for kind in ("obj", "ply", "off", "stl", "gltf", "npy", "xyz"):
        assert counts[kind, "refused"] > 0, f"no damaged {kind} file was refused: the damage has no effect"
    assert sum(counts[kind, "read"] for kind, _ in counts) > TRIES / 20, (
        "hardly a file was read: the damage is too great"
    )


def test_a_try_is_the_same_again():
    assert mesh_tries.files_of(3, 5) == mesh_tries.files_of(3, 5)


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: dialects.box().vertices * float("nan"), "not finite"),
        (lambda path: dialects.box().vertices[:0], "not there"),
    ],
)
def test_a_wrong_answer_is_a_fault(loader, words, tmp_path):
    assert words in mesh_tries.outcome(loader, tmp_path / "mesh.obj")


@pytest.mark.parametrize("text", ["without the path", "{path}: two\nlines", "{path}: " + "long " * 500])
def test_an_error_that_is_no_short_line_is_a_fault(text, tmp_path):
    def refuse(path):
        raise mesh_tries.MeshError(text.format(path=path))

    assert "not one short line" in mesh_tries.outcome(refuse, tmp_path / "mesh.obj")


def test_sound_sources_are_all_read(tmp_path):
    for number, (name, files) in enumerate(mesh_tries.sources()):
        path = dialects.write(tmp_path / str(number), files)
        loader = mesh_tries.load_points if name in dict(mutations.clouds()) else mesh_tries.load_mesh
        assert mesh_tries.outcome(loader, path) == "read", name
