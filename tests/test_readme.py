"""README's commands work: every line of its bash blocks names a real target, verb, option and file."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from lagem.cli import main

ROOT = Path(__file__).resolve().parents[1]
TRAINER_VERBS = ("fit", "validate", "test", "predict")
OTHER_PROGRAMS = ("git", "cd", "source", "export", "apt", "sudo")
PROMISED = (("make", "demo"), ("make", "test"), ("lagem", "fit"), ("lagem", "prepare"), ("lagem", "reconstruct"))


def commands_in(markdown: str) -> list[list[str]]:
    """Commands of the fenced bash blocks as words, without comments, assignments in front and paths to the program."""
    commands = []
    for block in re.findall(r"^```bash\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL):
        for line in re.split(r"\n| && ", block.replace("\\\n", " ")):
            words = shlex.split(line, comments=True)
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words[:3] == ["python", "-m", "lagem"]:
                words[:3] = ["lagem"]
            if words:
                commands.append([Path(words[0]).name, *words[1:]])
    return commands


def make_complaints(words: list[str], makefile: str) -> list[str]:
    """Targets and variables that the Makefile does not have."""
    goals = [word for word in words if "=" not in word]
    variables = [word.split("=")[0] for word in words if "=" in word]
    unknown = [goal for goal in goals if not re.search(rf"^{re.escape(goal)}:", makefile, flags=re.MULTILINE)]
    unset = [name for name in variables if not re.search(rf"^{re.escape(name)} \?=", makefile, flags=re.MULTILINE)]
    return unknown + unset


def option_complaints(words: list[str], help_text: str) -> list[str]:
    """Options that the help text does not list."""
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    return [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text)]


def missing_files(words: list[str], root: Path) -> list[str]:
    """Files of this repository that are named and absent."""
    named = [word for word in words if word.startswith("experiments/")]
    named += [after for word, after in zip(words, words[1:], strict=False) if word in ("--config", "-c")]
    named += [word.split("=", 1)[1] for word in words if word.startswith("--config=")]
    return [name for name in named if not (root / name).exists()]


def exit_code(run: Callable[[], object]) -> int | str | None:
    try:
        run()
    except SystemExit as stop:
        return stop.code
    return 0


README_COMMANDS = commands_in((ROOT / "README.md").read_text())


@pytest.mark.parametrize("promised", PROMISED, ids=" ".join)
def test_readme_shows_the_promised_command(promised):
    assert promised in [tuple(words[:2]) for words in README_COMMANDS]


@pytest.mark.parametrize("words", README_COMMANDS, ids=" ".join)
def test_readme_command_is_real(words, capsys, monkeypatch, tmp_path):
    program, arguments = words[0], words[1:]
    assert missing_files(arguments, ROOT) == []
    if program == "make":
        assert make_complaints(arguments, (ROOT / "Makefile").read_text()) == []
    elif program == "lagem" and arguments[0] in TRAINER_VERBS:
        monkeypatch.chdir(ROOT)
        monkeypatch.setenv("LAGEM_DATA", str(tmp_path))
        monkeypatch.setattr("sys.argv", ["lagem"])  # Lightning warns where it differs from what main() is given
        code = exit_code(lambda: main([*arguments, "--print_config"]))
        assert not code, capsys.readouterr().err
    elif program == "lagem":
        assert not exit_code(lambda: main([arguments[0], "--help"]))
        assert option_complaints(arguments, capsys.readouterr().out) == []
    else:
        assert program in OTHER_PROGRAMS


def test_commands_are_found_in_bash_blocks_only():
    block = "A=1 lagem fit \\\n  --config x.yaml  # slow\n\n.venv/bin/lagem a && make b"
    markdown = f"`make no`\n```bash\n{block}\n```\n```\nmake no\n```\n"
    assert commands_in(markdown) == [["lagem", "fit", "--config", "x.yaml"], ["lagem", "a"], ["make", "b"]]


def test_unknown_target_and_variable_are_found():
    makefile = "SEED ?= 0\ndemo: setup ## Demo\n"
    assert make_complaints(["demo", "dem", "SEED=1", "SED=1"], makefile) == ["dem", "SED"]


def test_unknown_option_is_found():
    assert option_complaints(["a.ply", "--output", "o", "--out=1"], "usage: --output DIR") == ["--out"]


def test_absent_file_is_found(tmp_path):
    (tmp_path / "there.yaml").touch()
    words = ["--config", "there.yaml", "--config=gone.yaml", "--config", "lost.yaml", "experiments/no.yaml"]
    assert sorted(missing_files(words, tmp_path)) == ["experiments/no.yaml", "gone.yaml", "lost.yaml"]
