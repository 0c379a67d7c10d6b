"""Tables are written as CSV files, and checked when they are read."""

import pytest

from lagem.storage.csv_table import read_csv, write_csv


def test_rows_come_back_as_texts_by_title(tmp_path):
    rows = [["a", 1, None], ['b,"c"\nd', 0.5, "é"]]
    write_csv(tmp_path / "table.csv", ["id", "x", "y"], rows)
    assert b"\r" not in (tmp_path / "table.csv").read_bytes()
    assert list(read_csv(tmp_path / "table.csv", ["y", "id"])) == [
        {"id": "a", "x": "1", "y": ""},
        {"id": 'b,"c"\nd', "x": "0.5", "y": "é"},
    ]


def test_byte_order_mark_short_rows_and_long_rows_are_read(tmp_path):
    (tmp_path / "table.csv").write_bytes("\ufeffid,x\r\na\r\nb,1,2,3\r\n".encode())
    assert list(read_csv(tmp_path / "table.csv", ["id"])) == [{"id": "a"}, {"id": "b", "x": "1"}]
    assert list(read_csv(tmp_path / "table.csv", ["id", "x"])) == [{"id": "a", "x": ""}, {"id": "b", "x": "1"}]


def test_many_titles_take_little_time_for_short_rows(tmp_path):
    """If the dict of every row had every title, all dicts together would have 10^10 entries."""
    (tmp_path / "table.csv").write_text("id," + ",".join(map(str, range(100_000))) + "\n" + "a\n" * 100_000)
    assert sum(len(row) for row in read_csv(tmp_path / "table.csv", ["id"])) == 100_000


def test_a_row_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    with (tmp_path / "table.csv").open("wb") as file:
        file.write(b"id,x\na,1\n")
        file.truncate(2**40)  # a hole, which takes no space
    rows = read_csv(tmp_path / "table.csv", ["id"])
    assert next(rows) == {"id": "a", "x": "1"}
    with pytest.raises(ValueError, match="damaged one .*(1,048,576 characters|NUL)"):
        next(rows)


@pytest.mark.parametrize("content", [b"", b"name,file\na,b\n"])
def test_missing_column_is_named(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"table.csv: needs the columns file, id; missing: .*id\.$"):
        list(read_csv(tmp_path / "table.csv", ["file", "id"]))


@pytest.mark.parametrize("content", [b"id\n\xff\n", b'id\n"' + b"a" * 200_000])
def test_damaged_table_is_named(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ValueError, match="table.csv: not a CSV table in UTF-8, or a damaged one"):
        list(read_csv(tmp_path / "table.csv", ["id"]))
