"""`lagem prepare` takes its arguments and prints a report."""

import argparse
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lagem.commands.data import prepare as command
from lagem.preparation.report import show
from lagem.preparation.settings import Settings
from lagem.prepared.records import Measures, Record, read_records
from lagem.prepared.shards import Shards


def parse(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def report(records: list[Record], width: int = 160) -> str:
    console = Console(width=width, file=io.StringIO())
    show(records, "out", console=console)
    return console.file.getvalue()


@pytest.fixture
def refused() -> Record:
    reason = "3 of 36 edges have one face [open]"
    return Record(id="mug", category="cups", split="train", source="/m/mug.ply", status="refused", reason=reason)


def test_command_prepares_and_reports(folder, tmp_path, in_this_process, capsys):
    counts = ["--surface", 60, "--volume", 400, "--near", 50, "--inside", 0, "--watertight", "none"]
    command.run(parse(folder, "--output", tmp_path / "out", *counts, "--category", "toy", "--val-share", 0))
    printed = capsys.readouterr().out
    assert "7 of 10 meshes are prepared (7 train), 3 refused" in printed
    assert set(Shards(tmp_path / "out").categories) == {"toy"}


@pytest.mark.parametrize("missing", [0, 1, 4])
def test_shapes_that_the_list_no_longer_has_are_named(folder, tmp_path, in_this_process, capsys, missing):
    counts = ["--surface", 60, "--volume", 400, "--near", 50, "--inside", 0, "--watertight", "none"]
    words = [folder, "--output", tmp_path / "out", *counts]
    command.run(parse(*words))
    assert "also holds" not in capsys.readouterr().out
    ids = list(Shards(tmp_path / "out").ids)
    records = read_records(tmp_path / "out")
    for id in ids[:missing]:
        Path(records[id].source).unlink()
    command.run(parse(*words))
    last = capsys.readouterr().out.splitlines()[-1]
    assert list(Shards(tmp_path / "out").ids) == ids
    assert ("also holds" in last) == bool(missing)
    if missing == 1:
        assert f"1 shape that is not in this list ({ids[0]}). It stays" in last
    if missing == 4:
        assert f"4 shapes that are not in this list ({', '.join(ids[:3])}, …). They stay" in last


def test_defaults_are_the_papers_counts():
    args = parse("a.obj", "--output", "out")
    assert (args.surface, args.volume, args.near) == (125_000, 250_000, 125_000)
    assert Settings() == Settings(surface=args.surface, volume=args.volume, near=args.near, seed=args.seed)


def test_every_option_reaches_the_folders_settings(folder, tmp_path, in_this_process):
    given = {
        "surface": 61, "volume": 401, "near": 51, "inside": 7, "watertight": "none", "resolution": 99,
        "thickness": 0.02, "seed": 3, "shapes-per-shard": 5, "val-share": 0.5,
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    command.run(parse(folder / "balls", "--output", tmp_path / "out", *words))
    settings = json.loads((tmp_path / "out" / "format.json").read_text())["settings"]
    assert {name.replace("-", "_"): value for name, value in given.items()} == {
        name: value for name, value in settings.items() if name != "near_sigmas"
    }


def test_routes_and_errors_of_the_converted_are_summed_up(refused):
    own = Measures(
        route="own",
        faces=12,
        solid_faces=12,
        area=8,
        inside_share=0.07,
        volume_inside=9,
        near_inside=9,
        error_mean=0,
        error_p99=0,
        sheet_share=0,
        dropped_share=0,
    )
    flood = replace(own, route="flood", error_mean=0.002, error_p99=0.01, sheet_share=0.4)
    measures = {"a": own, "b": flood, "c": replace(flood, error_mean=0.004, error_p99=0.02)}
    records = [replace(refused, id=id, status="prepared", reason="", measures=each) for id, each in measures.items()]
    assert (
        "meshes with their own surface: 1, converted meshes: 2 (surface error, in radii of the unit sphere: "
        "mean 0.00300, largest 99th percentile 0.0200 of c; with thickened sheets: 2)."
        in report(records).replace("\n", " ")
    )


def test_few_refusals_are_listed_by_name_and_reason(refused):
    printed = report([refused, replace(refused, id="cup", status="prepared", reason="")])
    assert "mug" in printed and "3 of 36 edges have one face [open]" in printed
    assert "1 of 2 meshes are prepared" in printed


def test_no_id_of_a_refused_mesh_is_cut_on_80_columns(refused):
    id = "furniture__" + "-".join(map(str, range(40)))
    printed = report([replace(refused, id=id), replace(refused, id="cup", status="prepared", reason="")], width=80)
    assert id in "".join(line.split("│")[1].strip() for line in printed.splitlines() if "│" in line)


def test_what_a_file_says_neither_controls_the_terminal_nor_is_taken_for_markup(refused):
    damaged = replace(refused, id="12:car:3", category="cups\x1b[2J", reason="found [red]")
    printed = report([damaged, replace(refused, id="cup", status="prepared", reason="", split="tr[b]ain")])
    assert re.search(r"12:car:3 +│ cups\\x1b\[2J │ found \[red\]", printed)
    assert "(1 tr[b]ain)" in printed and "\x1b" not in printed


def test_many_refusals_are_grouped_by_reason(refused):
    many = [replace(refused, id=f"mug_{n}", reason=refused.reason.replace("36", str(n))) for n in range(100)]
    printed = report([*many, replace(refused, id="cup", status="prepared", reason="")])
    assert re.search(r"100 +│ N of N edges have one face \[open\] +│ mug_0", printed)
    assert "out/table.csv" in printed


def test_a_batch_without_any_success_is_an_error(refused):
    with pytest.raises(ValueError, match=r"none of 1 meshes could be prepared; .*table.csv"):
        report([refused])
