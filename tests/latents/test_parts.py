"""If several processes encode parts of the shards, the cache has the same bytes as if one process encodes all."""

import pytest

from lagem.cli import main
from lagem.latents import pipeline


@pytest.fixture(autouse=True)
def several_shards(monkeypatch):
    monkeypatch.setattr(pipeline, "SHAPES_PER_SHARD", 2)


def encode(weights, prepared, out, *words):
    main(["encode", str(weights), str(prepared), "--output", str(out), "--subsets", "2", *words])


def test_parts_then_the_whole_write_the_bytes_of_one_run(weights, prepared, tmp_path, payload):
    encode(weights, prepared, tmp_path / "one")
    for part in ("1/3", "2/3", "0/3"):
        encode(weights, prepared, tmp_path / "parts", "--part", part)
    assert not (tmp_path / "parts" / "index.csv").exists()
    encode(weights, prepared, tmp_path / "parts")
    assert payload(tmp_path / "parts") == payload(tmp_path / "one")


def test_the_whole_does_what_no_part_did_and_nothing_twice(weights, prepared, tmp_path, payload, capsys):
    encode(weights, prepared, tmp_path / "one")
    encode(weights, prepared, tmp_path / "parts", "--part", "0/2")
    status = ["encode", str(weights), str(prepared), "--output", str(tmp_path / "parts"), "--status"]
    capsys.readouterr()
    main(status)
    assert capsys.readouterr().out == "7 shapes: 4 done, 0 refused, 3 missing\n"
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts" / "shards").iterdir()}
    encode(weights, prepared, tmp_path / "parts")
    assert payload(tmp_path / "parts") == payload(tmp_path / "one")
    assert written.items() <= {p.name: p.stat().st_mtime_ns for p in (tmp_path / "parts" / "shards").iterdir()}.items()
    capsys.readouterr()
    main(status)
    assert capsys.readouterr().out == "7 shapes: 7 done, 0 refused, 0 missing\n"
