"""The list of the real meshes has a source, a licence and the correct hash for every mesh."""

import re
from collections import Counter
from pathlib import Path

from lagem.sources.manifest import read_manifest
from lagem.storage.checked.digest import sha256_of
from source_files import ROOT

MESH_LIST = ROOT / "experiments" / "meshes" / "manifest.csv"


def test_the_list_of_meshes_is_a_manifest_with_a_source_a_licence_and_a_hash_of_each():
    rows = [row for _, row in read_manifest(MESH_LIST)]
    assert len({row["id"] for row in rows}) == len({row["file"] for row in rows}) == 945
    assert Counter(row["split"] for row in rows) == {"train": 791, "val": 83, "hard": 71}
    for row in rows:
        assert row["category"] and row["license"] and row["source"].startswith(("github:", "pypi:"))
        assert re.fullmatch(r"[0-9a-f]{64}", row["sha256"]) and not Path(row["file"]).is_absolute()
    explained = (ROOT / "docs" / "mesh-collection.md").read_text()
    sources = {re.split(r"[ @/]", row["source"])[0] for row in rows}
    assert [source for source in sources if source not in explained] == []


def test_the_listed_hashes_are_those_of_the_meshes(shared_meshes):
    rows = [row for _, row in read_manifest(MESH_LIST)]
    wrong = [row["id"] for row in rows if sha256_of(shared_meshes / row["file"]) != row["sha256"]]
    assert wrong == []
