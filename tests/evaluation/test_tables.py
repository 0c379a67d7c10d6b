"""Tables on terminals of several widths keep numbers and words whole."""

import io

import pytest
from rich.console import Console

from lagem.evaluation.tables import terminal_table

NAMES = ["mean over shapes", "… without nearest tenth", "mean over categories", "furniture"]
NUMBERS = [f"{10 * column + 0.125:.3f}" for column in range(9)]
ROWS = [["", *(f"F@0.0{column} ×100" for column in range(9))], *([name, *NUMBERS] for name in NAMES)]


def printed(rows, columns: int, monkeypatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    console = Console(width=columns, file=io.StringIO(), soft_wrap=True)
    console.print(terminal_table(rows))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_number_and_no_word_is_broken(columns, monkeypatch):
    words = " ".join(printed(ROWS, columns, monkeypatch)).split()
    for name in NAMES:
        assert set(name.split()) <= set(words)
    assert [words.count(number) for number in NUMBERS] == [len(NAMES)] * len(NUMBERS)


def test_a_table_of_nine_numbers_fits_into_80_columns(monkeypatch):
    assert max(map(len, printed(ROWS, 80, monkeypatch))) <= 80


def test_names_take_one_line_if_there_is_room(monkeypatch):
    lines = printed(ROWS, 120, monkeypatch)
    assert [line.split("  ")[0] for line in lines[-len(NAMES) :]] == NAMES


def test_a_very_long_word_does_not_widen_the_table(monkeypatch):
    rows = [*ROWS, ["w" * 200, *NUMBERS]]
    lines = printed(rows, 80, monkeypatch)
    assert max(map(len, lines)) < 100 and "".join(lines).count("w") == 201  # the other w is in "without"
