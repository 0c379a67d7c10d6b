"""A child process reads foreign files as this process would; if the child fails, only that file is refused."""

from pathlib import Path

import numpy as np
import pytest

import bad_readers
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh
from lagem.sources import reading


@pytest.fixture
def reader():
    reader = reading.Reader()
    yield reader
    reader.close()


@pytest.fixture
def box(tmp_path) -> Path:
    path = tmp_path / "box.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n")
    return path


def test_a_child_reads_what_this_process_reads(box):
    mesh, expected = reading.read_mesh(box), load_mesh(box)
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.faces, expected.faces)


def test_a_child_reads_clouds(tmp_path):
    points = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "cloud.npy", points)
    np.testing.assert_array_equal(reading.read_surface(tmp_path / "cloud.npy"), points)


def test_refused_files_do_not_end_the_child(reader, box, tmp_path):
    reader.read(load_mesh, box)
    child = reader._child
    with pytest.raises(MeshError, match="none.obj: does not exist"):
        reader.read(load_mesh, tmp_path / "none.obj")
    reader.read(load_mesh, box)
    assert reader._child is child


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (bad_readers.crash, r"the worker process died \(signal SIGSEGV\)"),
        (bad_readers.hang, r"took longer than 0\.5\d* s"),
        (bad_readers.grow, r"needed more than 2\.0 GiB of memory"),
    ],
)
def test_a_reader_that_fails_costs_its_file_only(read, reason, reader, box, monkeypatch):
    monkeypatch.setattr(reading, "SECONDS", 0.5)
    with pytest.raises(MeshError, match=rf"box\.obj: {reason} while the file was read \(limits: .* s and 2\.0 GiB\)"):
        reader.read(read, box)
    monkeypatch.undo()
    assert len(reader.read(load_mesh, box).faces) == 4


def test_an_interrupted_read_is_not_the_answer_for_the_next_file(reader, box, monkeypatch):
    reader.read(load_mesh, box)
    with monkeypatch.context() as patch:
        patch.setattr(reader._child, "take", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reader.read(load_mesh, box)
    with pytest.raises(MeshError, match="does not exist"):
        reader.read(load_mesh, "none.obj")


def test_limits_grow_with_the_file_and_its_buffers(box):
    before = reading.limits_of(box.with_suffix(".gltf"))
    box.with_suffix(".gltf").write_bytes(b"1234")
    box.with_suffix(".bin").write_bytes(bytes(1_000))
    after = reading.limits_of(box.with_suffix(".gltf"))
    assert after.memory - before.memory == 40 * 1_004
    assert after.seconds > before.seconds
