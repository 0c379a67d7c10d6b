"""FSDP2 is set by one line of configuration.

Two CPU processes train a network as one process does, and each of the two holds half the weights.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import small_run
import training_process
from deadlines import HANG
from lagem.cli import main
from lagem.weights.autoencoder import load_autoencoder

completed, launch = training_process.completed, training_process.launch

ADAMW = "--model.init_args.optimizer=adamw"
CALLBACKS = (
    "--trainer.callbacks=[{class_path: LogGeometryMetrics, init_args: {num_shapes: 3, resolution: 16, points: 200}},"
    " {class_path: ExportMeshes, init_args: {num_shapes: 2, resolution: 16}},"
    " {class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 2, save_top_k: -1}},"
    " {class_path: shares.PrintShares}]"
)
SHARDED = "--trainer.strategy={class_path: ModelParallelStrategy}"
SHARES = '''
from lightning.pytorch import Callback
from torch.distributed.tensor import DTensor


class PrintShares(Callback):
    """Say how many numbers of the weights this rank holds."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        kept = sum(p.to_local().numel() for p in pl_module.parameters() if isinstance(p, DTensor))
        of = sum(p.numel() for p in pl_module.parameters())
        print(f"rank {trainer.global_rank} holds {kept} of {of}", flush=True)
'''


def rows(folder: Path, metric: str) -> list[float]:
    found = []
    for path in sorted(folder.glob("logs/version_*/metrics.csv")):
        with path.open() as file:
            found += [float(row[metric]) for row in csv.DictReader(file) if row.get(metric)]
    return found


@pytest.fixture(scope="module")
def shares(tmp_path_factory) -> Iterator[None]:
    """Make the test's callback importable in this process and in the processes that it starts."""
    folder = tmp_path_factory.mktemp("shares")
    (folder / "shares.py").write_text(SHARES)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


@pytest.fixture(scope="module")
def sharded(tmp_path_factory, shares) -> SimpleNamespace:
    """Train with two processes that share one network; return the run folder and the output."""
    folder = tmp_path_factory.mktemp("sharded")
    printed = completed(small_run.small_fit(folder, ADAMW, CALLBACKS, SHARDED, "--trainer.devices=2"))
    return SimpleNamespace(folder=folder, printed=printed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shares) -> Path:
    """Run the same training in one process with twice the batch size; return the run folder."""
    folder = tmp_path_factory.mktemp("whole")
    main(small_run.small_fit(folder, ADAMW, CALLBACKS, "--data.init_args.batch_size=8"))
    return folder


@pytest.mark.slow
def test_a_sharded_network_trains_as_a_whole_one(sharded, whole):
    tolerances = dict.fromkeys(("train/loss", "train/grad_norm", "val/loss", "val/iou"), 2e-4)
    tolerances |= {"val/chamfer": 0.01, "val/fscore": 0.01}  # rounding may move one of 200 points to another triangle
    for metric, tolerance in tolerances.items():
        assert rows(whole, metric)
        np.testing.assert_allclose(rows(sharded.folder, metric), rows(whole, metric), rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_each_rank_holds_its_share_of_the_weights(sharded):
    held = re.findall(r"rank (\d) holds (\d+) of (\d+)", sharded.printed)
    assert {rank for rank, _, _ in held} == {"0", "1"} and len(held) == 2 * 6
    for _, own, all_ranks in held:
        assert 0.45 < int(own) / int(all_ranks) < 0.55


@pytest.mark.slow
def test_a_sharded_run_resumes_with_the_losses_of_the_undisturbed_one(sharded, tmp_path):
    checkpoint = f"--ckpt_path={sharded.folder / 'checkpoints' / 'epoch=0-step=2.ckpt'}"
    completed(small_run.small_fit(tmp_path, ADAMW, CALLBACKS, SHARDED, "--trainer.devices=2", checkpoint))
    assert rows(tmp_path, "train/loss") == rows(sharded.folder, "train/loss")[2:]
    assert rows(tmp_path, "val/loss") == rows(sharded.folder, "val/loss")


@pytest.mark.slow
def test_a_checkpoint_of_a_sharded_run_is_one_file_for_every_use(sharded, whole, tmp_path):
    autoencoder, _ = load_autoencoder(sharded.folder / "checkpoints" / "last.ckpt")
    assert all(torch.isfinite(parameter).all() for parameter in autoencoder.parameters())
    checkpoint = f"--ckpt_path={sharded.folder / 'checkpoints' / 'epoch=0-step=2.ckpt'}"
    main(small_run.small_fit(tmp_path, ADAMW, CALLBACKS, "--data.init_args.batch_size=8", checkpoint))
    np.testing.assert_allclose(rows(tmp_path, "train/loss"), rows(whole, "train/loss")[2:], rtol=2e-4)


@pytest.mark.slow
def test_muon_is_refused_where_no_rank_has_whole_matrices(shares, tmp_path):
    process = launch(small_run.small_fit(tmp_path, CALLBACKS, SHARDED))  # the tests' own process would stay a rank
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 2
    assert "muon needs whole matrices" in output.strip().splitlines()[-1]


@pytest.mark.gpu
def test_a_sharded_network_trains_on_a_gpu_as_a_plain_one(shares, tmp_path):
    for name, strategy in (("sharded", SHARDED), ("plain", "--trainer.strategy=auto")):
        completed(small_run.small_fit(tmp_path / name, ADAMW, CALLBACKS, strategy, "--trainer.accelerator=gpu"))
    for metric in ("train/loss", "val/loss", "val/fscore"):
        np.testing.assert_allclose(
            rows(tmp_path / "sharded", metric), rows(tmp_path / "plain", metric), rtol=1e-3, atol=1e-3
        )
