"""Two fits cannot use the same run folder at the same time."""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import training_process
from deadlines import HANG
from lagem.cli import main
from lagem.training import one_fit
from lagem.training.one_fit import only_fit_in
from small_run import small_fit

HOLD = """
import sys, time
from pathlib import Path
from lagem.training.one_fit import only_fit_in
with only_fit_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held_by_another_process(root: Path, seconds: float) -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-c", HOLD, root, str(seconds)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        yield other
        other.kill()


def test_a_killed_fit_holds_its_folder_no_longer(tmp_path):
    with held_by_another_process(tmp_path, 600) as other:
        with pytest.raises(ValueError, match="another `lagem fit` is writing here"), only_fit_in(tmp_path, 0):
            pass
        other.kill()
        other.wait()
        with only_fit_in(tmp_path, 0):
            pass


@pytest.mark.parametrize("restarts", [pytest.param("0", marks=pytest.mark.slow), "1"])
def test_a_fit_waits_for_one_that_is_exiting(restarts, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    with held_by_another_process(tmp_path, 1), only_fit_in(tmp_path):
        pass


def test_a_process_that_was_forked_meanwhile_holds_nothing(tmp_path):
    with only_fit_in(tmp_path):
        end = multiprocessing.get_context("fork").Event()
        loader = multiprocessing.get_context("fork").Process(target=end.wait)
        loader.start()
    try:
        with only_fit_in(tmp_path, 0):
            pass
    finally:
        end.set()
        loader.join()


def test_a_fit_in_the_folder_of_a_running_one_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(one_fit, "SECONDS_TO_DIE", 0.0)
    with only_fit_in(tmp_path):
        with pytest.raises(SystemExit) as stop:
            main(small_fit(tmp_path))
        assert stop.value.code == 2
        assert f"{tmp_path}: another `lagem fit` is writing here" in capsys.readouterr().err.splitlines()[-1]
    main(small_fit(tmp_path, steps=1))  # neither the refused fit nor the other one left a lock


@pytest.mark.slow
def test_a_refusal_stops_all_ranks(tmp_path):
    with only_fit_in(tmp_path):
        process = training_process.launch(
            small_fit(tmp_path, "--trainer.devices=2", "--trainer.strategy=ddp"), start_new_session=True
        )
        output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 2 and output.count("is writing here") == 1
    assert subprocess.run(["pgrep", "--session", str(process.pid)]).returncode == 1
