"""Tab completes verbs, options and values in a real bash, without importing torch or Lightning."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deadlines import HANG
from lagem.cli import main


@pytest.fixture
def typed(tmp_path) -> Iterator[Callable[[str, str], None]]:
    """A function that types keys into a bash with the completion script, and waits until a text is on its screen."""
    terminal, inside = pty.openpty()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "INPUTRC": os.devnull,
    }
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    os.close(inside)

    def type_until(keys: str, expected: str) -> None:
        os.write(terminal, keys.encode())
        screen, end = "", time.monotonic() + HANG
        while expected not in screen:
            assert time.monotonic() < end, screen
            if select.select([terminal], [], [], 1)[0]:
                screen += os.read(terminal, 4096).decode(errors="replace")

    type_until('eval "$(lagem completion bash)" && echo rea"dy"\n', "ready")
    yield type_until
    shell.kill()
    shell.wait()
    os.close(terminal)


CLEAR_LINE = "\x15"


def test_bash_completes_verbs_options_choices_names_and_files(typed, tmp_path):
    (tmp_path / "experiment.yaml").touch()
    typed("lagem gene\t", "generate ")
    typed("--form\t", "--format ")
    typed("gl\t", "glb ")
    typed(f"{CLEAR_LINE}lagem reconstruct chair.obj --weights lar\t", "large ")
    typed(f"{CLEAR_LINE}lagem fit --conf\t", "--config ")
    typed("exper\t", "experiment.yaml ")
    typed(f"{CLEAR_LINE}lagem evaluate retr\t", "retrieval ")


def test_completing_imports_neither_torch_nor_lightning():
    program = (
        "import sys\n"
        "from lagem.cli import TRAINING_VERBS, tool_modules, tool_parser\n"
        "for verb in (*tool_modules(), *TRAINING_VERBS):\n    tool_parser(verb)\n"
        "print(*[name for name in ('torch', 'lightning', 'pytorch_lightning') if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("words", [["completion", "tcsh"], ["--", "fit"]], ids=" ".join)
def test_another_shell_and_a_training_verb_after_a_dash_are_refused_in_one_line(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
