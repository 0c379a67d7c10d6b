"""Files and new folders appear whole or not at all, even if their writer fails or is killed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from lagem.storage import atomic
from lagem.storage.atomic import new_folder, remove_leftovers, replaced, write_bytes, write_json, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from lagem.storage.atomic import {writer}
with {writer}(Path(sys.argv[1])) as temporary:
    {half}
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_in(writer, half, path):
    """Kill a process that has written half of a file or folder."""
    done = subprocess.run([sys.executable, "-c", KILLED.format(writer=writer, half=half), str(path)])
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (lambda path: write_bytes(path, b"\0\r\n"), b"\0\r\n"),
        (lambda path: write_text(path, "é\r\n\n"), "é\r\n\n".encode()),
        (lambda path: write_json(path, {"é": [1]}), '{"é": [1]}\n'.encode()),
        (lambda path: write_json(path, {"é": [1]}, indent=1, ensure_ascii=True), b'{\n "\\u00e9": [\n  1\n ]\n}\n'),
    ],
)
def test_file_holds_what_was_written_alone_in_its_folder(tmp_path, write, content):
    for _ in range(2):  # new, then replaced
        write(tmp_path / "file.json")
        assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
        assert (tmp_path / "file.json").read_bytes() == content


def test_json_keeps_an_undecodable_name_as_ascii(tmp_path):
    write_json(tmp_path / "run.json", "\udcff", ensure_ascii=True)
    assert json.loads((tmp_path / "run.json").read_bytes()) == "\udcff"


def test_temporary_is_hidden_next_to_its_target_with_the_same_suffix(tmp_path):
    with replaced(tmp_path / "chair.v2.glb") as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".") and temporary.suffix == ".glb"
        assert not (tmp_path / "chair.v2.glb").exists()
    assert (tmp_path / "chair.v2.glb").read_bytes() == b"new"


def test_failed_writer_leaves_the_old_file_and_no_temporary(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), replaced(tmp_path / "file") as temporary:
        temporary.write_bytes(b"ha")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="full"), new_folder(tmp_path / "deep" / "bundle") as temporary:
        (temporary / "a").write_bytes(b"a")
        raise OSError("full")
    assert list((tmp_path / "deep").iterdir()) == []


def test_new_folder_does_not_replace_one_with_content(tmp_path):
    (tmp_path / "bundle").mkdir()
    write_bytes(tmp_path / "bundle" / "a", b"old")
    with pytest.raises(OSError), new_folder(tmp_path / "bundle") as temporary:
        (temporary / "a").write_bytes(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (tmp_path / "bundle" / "a").read_bytes() == b"old"


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o000])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a", b"a")
        with replaced(tmp_path / "b") as temporary:
            temporary.write_bytes(b"b")
        with new_folder(tmp_path / "c"):
            pass
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in "abc"]
    assert modes == [0o666 & ~umask, 0o666 & ~umask, 0o777 & ~umask]


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    steps, fsync, replace = [], os.fsync, os.replace

    def recorded_fsync(descriptor):
        steps.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def recorded_replace(source, target):
        steps.append("renamed")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "fsync", recorded_fsync)
    monkeypatch.setattr(atomic.os, "replace", recorded_replace)
    with new_folder(tmp_path / "bundle") as temporary:
        (temporary / "weights").write_bytes(b"w")
    assert steps == [str(temporary / "weights"), str(temporary), "renamed", str(tmp_path)]
    steps.clear()
    write_bytes(tmp_path / "file", b"f")
    assert len(steps) == 3 and steps[1:] == ["renamed", str(tmp_path)]
    steps.clear()
    write_bytes(tmp_path / "file", b"g", flush=False)
    assert steps == ["renamed"]


@pytest.mark.parametrize(
    ("writer", "half"),
    [("replaced", "temporary.write_bytes(b'ha')"), ("new_folder", "temporary.joinpath('a').write_bytes(b'a')")],
)
def test_leftover_of_a_killed_writer_is_removed_by_its_name_or_with_all(tmp_path, writer, half):
    target, other = tmp_path / "[a]", tmp_path / "[a].b"
    for of in (target.name, None):
        kill_in(writer, half, target)
        kill_in(writer, half, other)
        assert not target.exists() and len(list(tmp_path.iterdir())) == 2
        remove_leftovers(tmp_path, of=of)
        assert [path.name.startswith(".[a].b.") for path in tmp_path.iterdir()] == ([] if of is None else [True])
        remove_leftovers(tmp_path)
        assert not list(tmp_path.iterdir())


def test_next_new_folder_removes_what_a_killed_one_left(tmp_path):
    kill_in("new_folder", "temporary.joinpath('a').write_bytes(b'a')", tmp_path / "bundle")
    with new_folder(tmp_path / "bundle"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_only_temporaries_and_locks_count_as_leftovers(tmp_path):
    kept = [".hidden", ".template.tmpl", "a.tmp", ".lock"]
    for name in [*kept, f".index.csv.{'0' * 16}.tmp", ".part-0-2.lock"]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
