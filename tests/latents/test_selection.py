"""With the same seed, the selected ids do not depend on the order of the table. A damaged list is refused."""

from pathlib import Path

import pytest

from lagem.cli import main
from lagem.latents.selection import read_ids, select_ids

IDS = [f"shape {number}" for number in range(50)]


def table(path: Path, ids: list[str], title: str = "uid") -> Path:
    path.write_text("\n".join([f"shard,{title},caption", *(f'0,{id},"a, b"' for id in ids)]) + "\n")
    return path


def chosen(folder: Path, ids: list[str], **given) -> list[str]:
    select_ids(table(folder / "table.csv", ids), folder / "ids.txt", **given)
    return read_ids(folder / "ids.txt")


def test_a_list_does_not_depend_on_order_or_repetition(tmp_path):
    found = chosen(tmp_path, IDS, count=10)
    assert len(found) == 10 and found == sorted(found) and set(found) < set(IDS)
    assert chosen(tmp_path, [*IDS[::-1], *IDS], count=10) == found


def test_a_shorter_list_is_part_of_a_longer_and_another_seed_gives_another(tmp_path):
    few, more, other = (chosen(tmp_path, IDS, **given) for given in (
        {"count": 10}, {"count": 20}, {"count": 10, "seed": 1},
    ))  # fmt: skip
    assert set(few) < set(more) and few != other


def test_ids_that_come_later_displace_only_by_their_own_hash(tmp_path):
    before, after = chosen(tmp_path, IDS, count=10), chosen(tmp_path, [*IDS, "new"], count=10)
    assert set(after) - set(before) <= {"new"}


def test_the_command_prints_the_hash_that_the_list_keeps(tmp_path, capsys):
    source = table(tmp_path / "table.csv", IDS)
    main(["select-ids", str(source), "--count", "5", "--output", str(tmp_path / "ids.txt")])
    digest = capsys.readouterr().out.split("sha256 ")[1][:64]
    assert (tmp_path / "ids.txt").read_text().splitlines()[2].endswith(digest)
    plain = tmp_path / "plain.csv"
    plain.write_text("\n".join(f"0,{id},text" for id in IDS))
    words = ["--count", "5", "--column", "2", "--output", str(tmp_path / "again.txt")]
    main(["select-ids", str(plain), *words])
    assert read_ids(tmp_path / "again.txt") == read_ids(tmp_path / "ids.txt")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--count", "51"], "holds 50 different ids"),
        (["--count", "0"], "--count is 0"),
        (["--count", "5", "--column", "name"], "has no column name; its first line has shard, uid, caption"),
        (["--count", "5", "--column", "9"], "holds 0 different ids"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, words, expected):
    source = table(tmp_path / "table.csv", IDS)
    with pytest.raises(SystemExit) as stop:
        main(["select-ids", str(source), *words, "--output", str(tmp_path / "ids.txt")])
    assert stop.value.code == 2 and not (tmp_path / "ids.txt").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_list_that_was_cut_or_changed_is_refused(tmp_path):
    chosen(tmp_path, IDS, count=10)
    whole = (tmp_path / "ids.txt").read_text()
    for damaged in (whole[:-20], whole.replace("shape", "shapf", 1), "a\nb\n", ""):
        (tmp_path / "ids.txt").write_text(damaged)
        with pytest.raises(ValueError, match=r"not a list that|do not match its sha256"):
            read_ids(tmp_path / "ids.txt")
