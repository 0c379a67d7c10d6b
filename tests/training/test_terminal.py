"""What `lagem fit` prints on terminals of two widths, to a file, and in a quiet run."""

import csv
import re

import pytest

from small_run import small_fit
from terminal import COLOUR, drawn_lines, on_terminal
from training_process import completed

LIGHTNING = (
    *("Params", "srun", "GPU available", "TPU available", "Tip:", "Seed set", "weights_only", "Warning", "deprecated"),
    *("stopped: `max_steps", "not empty", "Found", "Restor", "logging interval"),
)


def fit(folder, *extra: str, steps: int = 6) -> list[str]:
    """Return the command line of a small fit with two steps per epoch.

    The options with which `small_fit` turns off output are removed, so the fit prints what any fit prints by default.
    """
    words = small_fit(folder, "--data.init_args.num_train=8", *extra, steps=steps)
    return [word for word in words if ".enable_" not in word]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a fit on a terminal of 60 columns and resume it on one of 120; return its folder and both outputs."""
    folder = tmp_path_factory.mktemp("terminal") / "run"
    first = on_terminal(fit(folder, "--trainer.log_every_n_steps=4"), columns=60, NO_COLOR="1")
    resumed = fit(folder, "--trainer.val_check_interval=2", "--ckpt_path=last", steps=11)
    return folder, first, on_terminal(resumed, columns=120)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Run a fit whose output goes to a file; return the output."""
    return completed(fit(tmp_path_factory.mktemp("terminal") / "file"))


def counts(text: str, of: int) -> list[int]:
    return [int(count) for count in re.findall(rf"train\b.*?(\d+)/{of}\b", "\n".join(drawn_lines(text)))]


def test_no_drawn_line_is_wider_than_the_terminal(run):
    folder, first, second = run
    for text, columns in ((first, 60), (second, 120)):
        long = [line for line in drawn_lines(text) if len(line) > columns and str(folder) not in line]
        assert long == []


def test_the_block_says_what_is_trained_how_big_how_long_and_where(run):
    folder, first, second = run
    words = " ".join(" ".join(drawn_lines(first)).split())
    assert re.search(r"model AutoencoderModule, width 64, .*16x4, 4x6; [\d,]+ parameters to train", words)
    assert "weights random data ProceduralDataModule, 8 shapes to train on, 6 to validate on" in words
    assert "length 6 steps of 4 shapes (3 epochs of 2 steps), peak learning rate" in words
    assert "device cpu, precision 32-true" in words and f"run folder {folder}" in words
    assert "resumed" not in words
    assert "resumed     after step 6 from " in second and "weights     random" not in second


def test_each_validation_states_its_scores(run, file):
    line = r"validation after step 6: loss [\d.]+, iou_balanced [\d.]+, iou [\d.]+, chamfer [\d.]+, fscore [\d.]+"
    _, first, _ = run
    assert re.search(line, " ".join(" ".join(drawn_lines(first)).split()))
    assert re.search(f"^{line}", file, re.MULTILINE)


def test_a_resume_with_another_number_of_steps_says_that_the_learning_rate_changes(run):
    _, first, second = run
    words = " ".join(" ".join(drawn_lines(second)).split())
    rates = re.search(r"schedule not that of the checkpoint: the learning rate is now (\S+) instead of (\S+),", words)
    assert rates and float(rates[1]) > float(rates[2])  # step 6 was the last of 6, and is one of 11
    assert "and falls until step 11" in words and "schedule " not in first


def test_the_end_says_where_everything_is_and_what_to_do_next(run):
    folder, first, _ = run
    lines = drawn_lines(first)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    assert f"checkpoint  {checkpoint}" in lines
    assert f"next        lagem reconstruct MESH --weights {checkpoint} --output reconstructed" in lines
    (metrics,) = [line.split()[-1] for line in lines if line.startswith("metrics ")]
    assert metrics == str(folder / "logs" / "version_0" / "metrics.csv")


def test_the_count_goes_on_after_a_resume_over_epochs_and_validations(run):
    _, first, second = run
    assert counts(first, 6)[-1] == 6
    resumed = counts(second, 11)
    assert resumed[0] >= 6 and resumed == sorted(resumed) and resumed[-1] == 11
    assert "validate" in second


def test_no_color_is_obeyed(run):
    _, first, second = run
    assert not COLOUR.search(first) and COLOUR.search(second)


def test_lightning_prints_nothing_that_does_not_help(run, file):
    for text in (*run[1:], file):
        assert [word for word in LIGHTNING if word in text] == []


def test_steps_are_logged_every_few_steps_if_an_epoch_is_shorter(run):
    with (run[0] / "logs" / "version_0" / "metrics.csv").open() as file:
        logged = [row["step"] for row in csv.DictReader(file) if row["train/loss"]]
    assert logged == ["3"]  # the index of step 4, the only multiple of 4 in 6 steps


@pytest.mark.slow
def test_two_processes_print_the_block_once(tmp_path):
    two = ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.init_args.batch_size=2"]
    file = completed(fit(tmp_path, *two))
    lines = drawn_lines(file)
    for label in ("model ", "data ", "length ", "device ", "next "):
        assert sum(line.startswith(label) for line in lines) == 1, label
    assert "2 x cpu" in file


def test_a_file_gets_lines_without_control_sequences(file):
    assert "\x1b" not in file and "\r" not in file
    assert re.search(r"^train 6/6 .* left 0:00:00$", file, re.MULTILINE)


def test_a_quiet_run_prints_nothing(tmp_path):
    assert completed(fit(tmp_path, "--quiet", steps=2)) == ""
