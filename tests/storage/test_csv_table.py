"""Tables as CSV."""

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
    assert list(read_csv(tmp_path / "table.csv", ["id"])) == [{"id": "a", "x": ""}, {"id": "b", "x": "1"}]


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
