"""Tests of `lagem download`.

Stand-ins replace the packages that download the collections, because the tests cannot reach the collections' servers.
"""

import csv
from pathlib import Path

import pytest
import trimesh

from lagem.cli import main
from lagem.sources.mesh_files import find_meshes

OBJAVERSE = """
import os
from urllib.error import URLError
KNOWN = {f"uid{number}": number for number in range(40)}
def load_uids():
    return list(KNOWN)
def load_annotations(uids):
    return {uid: {"license": "by-nc" if KNOWN[uid] % 4 == 0 else "by", "user": {"username": "ann"},
                  "categories": [{"name": "things"}] if KNOWN[uid] % 2 else []} for uid in uids if uid in KNOWN}
def load_objects(uids):
    print("chatter")
    out = {}
    for uid in uids:
        if uid in KNOWN:
            out[uid] = os.path.join(os.environ["MESHES"], uid + ".ply")
            if not os.path.exists(out[uid]):
                raise URLError("no route to host")
    return out
"""
THINGI10K = """
def init(variant):
    assert variant == "raw"
def dataset():
    return [{"file_id": 7, "file_path": "/meshes/7.stl", "category": "Art", "license": "CC0", "author": None}]
"""


@pytest.fixture
def meshes(tmp_path, monkeypatch) -> Path:
    """Install stand-ins for the packages objaverse and thingi10k, and return the folder of objaverse's files."""
    for name, source in (("objaverse", OBJAVERSE), ("thingi10k", THINGI10K)):
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").write_text(source)
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    folder = tmp_path / "meshes"
    folder.mkdir()
    for number in range(40):
        trimesh.creation.box().export(folder / f"uid{number}.ply")
    monkeypatch.setenv("MESHES", str(folder))
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def refusal(capsys, *words: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["download", *map(str, words)])
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_chosen_ids_become_a_manifest_with_licences_that_prepare_reads(meshes, tmp_path, capsys):
    main(["download", "objaverse", "--list", "--output", str(tmp_path / "all.csv")])
    assert len(table(tmp_path / "all.csv")) == 40
    main(["select-ids", str(tmp_path / "all.csv"), "--count", "36", "--output", str(tmp_path / "ids.txt")])
    capsys.readouterr()
    main(["download", "objaverse", "--ids", str(tmp_path / "ids.txt"), "--output", str(tmp_path / "some.csv")])
    rows = table(tmp_path / "some.csv")
    by_nc = sum(row["license"] == "by-nc" for row in rows)
    assert len(rows) == 36 and {row["author"] for row in rows} == {"ann"}
    found = find_meshes([tmp_path / "some.csv"], val_share=0)
    assert [mesh.id for mesh in found] == sorted(row["id"] for row in rows)
    printed = capsys.readouterr().out
    assert f"licences, which bind you: by ({36 - by_nc}), by-nc ({by_nc})" in printed and "chatter" not in printed


def test_without_a_network_one_line_says_that_the_command_resumes(meshes, tmp_path, capsys):
    (meshes / "uid3.ply").rename(meshes / "later")
    line = refusal(capsys, "objaverse", "--output", tmp_path / "some.csv")
    assert "objaverse: cannot be downloaded (URLError: <urlopen error no route to host>)" in line
    assert "The same command resumes" in line and not (tmp_path / "some.csv").exists()
    (meshes / "later").rename(meshes / "uid3.ply")
    main(["download", "objaverse", "--output", str(tmp_path / "some.csv")])
    assert len(table(tmp_path / "some.csv")) == 40


def test_ids_that_the_collection_lacks_are_counted_or_refused(meshes, tmp_path, capsys):
    for name, ids in (("some", ["uid1", "gone"]), ("none", ["gone", "lost"])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["id", *ids]))
        words = [str(tmp_path / f"{name}.csv"), "--count", "2", "--output", str(tmp_path / f"{name}.txt")]
        main(["select-ids", *words])
    main(["download", "objaverse", "--ids", str(tmp_path / "some.txt"), "--output", str(tmp_path / "m.csv")])
    assert "1 of 2 ids are not in objaverse" in capsys.readouterr().out
    line = refusal(capsys, "objaverse", "--ids", tmp_path / "none.txt", "--output", tmp_path / "n.csv")
    assert "has none of the 2 given ids" in line


def test_thingi10k_gives_its_original_files(meshes, tmp_path, capsys):
    main(["download", "thingi10k", "--output", str(tmp_path / "things.csv")])
    (row,) = table(tmp_path / "things.csv")
    assert row == {"id": "7", "file": "/meshes/7.stl", "category": "Art", "license": "CC0", "author": ""}
    assert "licences, which bind you: CC0 (1)" in capsys.readouterr().out


def test_a_missing_package_and_a_table_of_another_name_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "objaverse", None)
    assert "run `pip install objaverse`" in refusal(capsys, "objaverse", "--output", tmp_path / "some.csv")
    assert "is written as CSV" in refusal(capsys, "objaverse", "--list", "--output", tmp_path / "some.txt")
