"""If an error quotes the content of a file, control characters in that content do not reach the terminal."""

import pytest

from lagem import cli


@pytest.fixture
def line_of(monkeypatch, capsys):
    """Return a function that makes a command fail with a message, and returns the line that `lagem` prints."""

    def printed(message: str) -> str:
        def fail(_: object) -> None:
            raise ValueError(message)

        monkeypatch.setattr(cli, "parse_tool", lambda _: (fail, None))
        with pytest.raises(SystemExit) as stop:
            cli.main([])
        assert stop.value.code == 2
        text = capsys.readouterr().err
        assert text.endswith("\n")
        return text.removeprefix("lagem: error: ")[:-1]

    return printed


@pytest.mark.parametrize("text", ["ids.csv: damaged; write it again.", "Stühle/椅子: `é` is no number."])
def test_printable_text_is_kept(text, line_of):
    assert line_of(text) == text


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\x9b", "\u202e", "\ufeff", "\ud800", "\U000e0001"])
def test_an_unprintable_letter_is_escaped(letter, line_of):
    line = line_of(f"a{letter}b")
    assert line.isprintable() and line.encode().decode("unicode_escape") == f"a{letter}b"


def test_line_ends_become_blanks(line_of):
    assert line_of("a\nb\r\n  c") == "a b c"


def test_of_a_long_message_the_middle_is_left_out(line_of):
    line = line_of("file.csv: " + "x" * 10**6 + "; write it again.")
    assert len(line) < 2100 and line.startswith("file.csv: x") and line.endswith("x; write it again.")
