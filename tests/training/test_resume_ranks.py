"""A run resumes on another number of ranks only if the number of shapes per step, over all ranks, is the same."""

import csv
from pathlib import Path

import numpy as np
import pytest

from lagem.cli import main
from small_run import small_fit
from training_process import completed

EVERY_STEP = (
    "--trainer.callbacks=[{class_path: ModelCheckpoint, init_args: {every_n_train_steps: 1, save_top_k: -1}}]",
    "--trainer.limit_val_batches=0",
)


def losses(folder: Path) -> dict[int, float]:
    (path,) = folder.glob("logs/version_*/metrics.csv")
    with path.open() as file:
        return {int(row["step"]): float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")}


@pytest.fixture(scope="module")
def on_two_ranks(tmp_path_factory) -> Path:
    """Train 14 steps on 2 ranks, each with 4 shapes per step: two epochs of 6 steps, and 2 steps of a third."""
    folder = tmp_path_factory.mktemp("two")
    completed(small_fit(folder, "--trainer.devices=2", "--trainer.strategy=ddp", *EVERY_STEP, steps=14))
    return folder


@pytest.mark.parametrize("step", [3, pytest.param(6, marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow)])
def test_one_rank_with_twice_the_batch_goes_on_where_two_ranks_stopped(on_two_ranks, tmp_path, step):
    (checkpoint,) = on_two_ranks.glob(f"checkpoints/*step={step}.ckpt")
    main(small_fit(tmp_path, "--data.init_args.batch_size=8", f"--ckpt_path={checkpoint}", *EVERY_STEP, steps=14))
    resumed, undisturbed = losses(tmp_path), losses(on_two_ranks)
    assert sorted(resumed) == list(range(step, 14))
    np.testing.assert_allclose(list(resumed.values()), [undisturbed[step] for step in resumed], rtol=5e-4)
    assert len(set(undisturbed.values())) == 14  # all losses differ, so a batch in the wrong place would show


def test_one_rank_with_another_batch_is_refused_with_the_batch_to_set(on_two_ranks, tmp_path, capsys):
    (checkpoint,) = on_two_ranks.glob("checkpoints/*step=3.ckpt")
    with pytest.raises(SystemExit) as stop:
        main(small_fit(tmp_path, f"--ckpt_path={checkpoint}", *EVERY_STEP, steps=14))
    assert stop.value.code == 2
    assert (
        "lagem: error: the checkpoint was trained on 2 rank(s) with 8 shapes a step, but this run has 1 rank(s) and 4 "
        "shapes a step, so it would repeat and skip shapes. Set data.init_args.batch_size to 8"
    ) in capsys.readouterr().err
