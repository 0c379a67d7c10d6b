"""A manifest in any common dialect of CSV is read if its content is unambiguous.

Any other manifest is refused with a one-line error that names the file and what was found.
"""

import re

import pytest

from lagem.sources import manifest
from lagem.sources.manifest import MOST_BYTES, read_manifest

ROWS = [{"file": "a.obj", "id": "a", "split": "train"}, {"file": "b c.obj", "id": "b", "split": ""}]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("file,id,split\na.obj,a,train\nb c.obj,b,\n", "utf-8"),
        ("file,id,split\na.obj,a,train\nb c.obj,b\n", "utf-8-sig"),
        ("file, id, split\na.obj, a, train\nb c.obj, b, \n", "utf-8"),
        ("file;id;split\na.obj;a;train\nb c.obj;b;\n", "utf-8"),
        ("file\tid\tsplit\na.obj\ta\ttrain\nb c.obj\tb\t\n", "utf-8"),
        ("file,id,split\ra.obj,a,train\rb c.obj,b,\r", "utf-8"),
        ("file,id,split\r\na.obj,a,train\r\n\r\nb c.obj,b,,,\r\n", "utf-8"),
        ('"file", "id", "split"\n"a.obj", "a", "train"\n"b c.obj", "b", ""\n', "utf-8"),
        ("file,id,split\na.obj,a,train\nb c.obj,b,", "utf-16"),
    ],
)
def test_every_dialect_gives_the_same_rows(text, encoding, tmp_path):
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    assert [row for _, row in read_manifest(tmp_path / "list.csv")] == ROWS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,id,category\na,b,Körper\n".encode("latin-1"), "not text in UTF-8; save the file as CSV in UTF-8"),
        ("file,id\na,b\n".encode("utf-16-le"), "its first line is"),
        (b"\xff\xfef\x00i", "not text in UTF-16|its first line is"),
        (b"path,id\na,b\n", "its first line is 'path,id'"),
        (b"file id\na b\n", "its first line is 'file id'"),
        (b"", "its first line is empty"),
        (b"file,id," + b"c" * 200_000 + b"\n", "its first line is 'file,id,c"),
        (b"file,id,id\na,b,c\n", "has the column 'id' more than once"),
        (b"file,id\na,b,c\n", "line 2 has 3 fields, but the first line has 2 titles"),
        (b"file,id\na,b\n" + b"c" * 200_000 + b",d\n", "line 3: field larger than field limit"),
        (b'file,id\n"a,b\n' + b"c" * 200_000, "field larger than field limit"),
        (b"file,id\na,b" + b"," * 2**20, "line 2: a row of more than 1,048,576 characters"),
        (b"file,id\n" + b'"\n",' * (2**18 + 1), "a row of more than 1,048,576 characters"),
    ],
)
def test_any_other_is_refused_by_its_name_and_what_was_found(content, reason, tmp_path):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=f"list.csv: .*({reason})"):
        list(read_manifest(tmp_path / "list.csv"))


def test_a_manifest_over_the_limit_of_its_size_is_refused_unread(tmp_path):
    with (tmp_path / "list.csv").open("wb") as file:
        file.write(b"file,id\n")
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=r"list.csv: has 1,073,741,825 bytes, more than the limit"):
        next(read_manifest(tmp_path / "list.csv"))


def test_many_titles_take_little_time_for_short_rows(tmp_path):
    """If the dict of every row had every title, all dicts together would have 10^10 entries."""
    titles = ",".join(map(str, range(100_000)))
    (tmp_path / "list.csv").write_text(f"file,id,{titles}\n" + "a.obj,a\n" * 100_000)
    assert sum(len(row) for _, row in read_manifest(tmp_path / "list.csv")) == 200_000


@pytest.mark.parametrize("row", ["a.obj,a{}\n", '"a.obj\n",a{}\n', "\n"], ids=["plain", "of two lines", "blank"])
def test_a_long_manifest_tells_its_lines_and_their_rate_while_it_is_read(row, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(manifest, "TOLD_EVERY", 100)
    path = tmp_path / "list.csv"
    path.write_text("file,id\n" + "".join(row.format(number) for number in range(1000)) + "b.obj,b\n")
    told = []
    for line, _ in read_manifest(path):
        told += capsys.readouterr().err.splitlines()
        assert len(told) == line // 100, "while it is read, not at the end"
    assert len(told) >= 10
    assert all(re.fullmatch(rf"{re.escape(str(path))}: \d+(,\d+)* lines read, [\d,]+/s", each) for each in told)
