"""A killed run finds its values in the journal again, even if the last line of the journal is damaged."""

import pytest

from lagem.storage.journal import Journal


def test_values_of_a_journal_of_the_same_kind_are_resumed_and_others_dropped(tmp_path):
    Journal(tmp_path / "journal", {"seed": 0}).add("a", 1)
    assert Journal(tmp_path / "journal", {"seed": 0}).values == {"a": 1}
    assert Journal(tmp_path / "journal", {"seed": 1}).values == {}
    assert Journal(tmp_path / "journal", {"seed": 0}).values == {}


def test_last_value_of_a_name_holds(tmp_path):
    journal = Journal(tmp_path / "journal", "kind")
    for value in (None, [0.1, float("inf")], {"é": True}):
        journal.add("a", value)
        assert Journal(tmp_path / "journal", "kind").values == journal.values == {"a": value}


def test_values_written_after_a_resumption_stand_next_to_those_before(tmp_path):
    Journal(tmp_path / "journal", "kind").add("a", 1)
    Journal(tmp_path / "journal", "kind").add("b", 2)
    assert (tmp_path / "journal").read_text() == '"kind"\n["a", 1]\n["b", 2]\n'


@pytest.mark.parametrize("damage", [b'["c", [0.1', b"\0\0\0\n", b"\xff\n", b'{"c": 1}\n', b"[[], 1]\n", b"7\n"])
def test_values_before_a_damaged_line_are_resumed_and_the_line_is_dropped(tmp_path, damage):
    path = tmp_path / "journal"
    whole = Journal(path, "kind")
    whole.add("a", 1)
    whole.add("b", 2)
    content = path.read_bytes()
    with path.open("ab") as file:
        file.write(damage)
    assert Journal(path, "kind").values == {"a": 1, "b": 2}
    assert path.read_bytes() == content


def test_a_line_without_end_is_not_read_into_memory(tmp_path):
    path = tmp_path / "journal"
    Journal(path, "kind").add("a", 1)
    with path.open("ab") as file:
        file.truncate(2**40)  # a hole, which takes no space
    assert Journal(path, "kind").values == {"a": 1}


def test_borrowed_values_are_those_of_other_journals_of_the_same_kind(tmp_path):
    Journal(tmp_path / "other", "kind").add("a", 1)
    Journal(tmp_path / "stranger", "other kind").add("b", 2)
    journal = Journal(tmp_path / "own", "kind")
    journal.borrow([tmp_path / "other", tmp_path / "stranger", tmp_path / "absent"])
    assert journal.values == {"a": 1}
    assert Journal(tmp_path / "own", "kind").values == {}


def test_a_reader_sees_a_whole_file_while_a_run_begins(tmp_path):
    path = tmp_path / "journal"
    Journal(path, "kind").add("one", 1)
    whole = path.read_text()
    with path.open() as file:
        assert Journal(path, "other kind").values == {}
        assert file.read() == whole
