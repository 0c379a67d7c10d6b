"""Tests with the real W&B, without a network: what a run writes, and that a run folder stays one W&B run."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image

import small_run
import training_process
import wandb_file
from lagem.cli import main
from lagem.weights.autoencoder import load_autoencoder

LAYER = f"--config={small_run.ROOT / 'experiments' / 'layers' / 'wandb.yaml'}"


def tracked_fit(folder: Path, *extra: str, steps: int) -> list[str]:
    return small_run.small_fit(folder, LAYER, *extra, steps=steps)


def starts(folder: Path) -> list[Path]:
    """Return the W&B files of a run folder, one for each start of the run, in the order of the starts."""
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> SimpleNamespace:
    """Start a run for two steps, and again for two more; return its folders, its W&B files and its output."""
    folder, data = tmp_path_factory.mktemp("tracked"), tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_DATA_DIR", str(data))
        printed = io.StringIO()
        for steps in (2, 4):
            patch.setattr(sys, "stdout", printed)
            main(tracked_fit(folder, "--ckpt_path=last", steps=steps))
    first, second = starts(folder)
    return SimpleNamespace(folder=folder, data=data, first=first, second=second, printed=printed.getvalue())


def test_the_resolved_configuration_is_in_the_run(tracked):
    config = wandb_file.config(tracked.first)
    assert config["model"]["init_args"]["width"] == 64
    assert config["trainer"]["val_check_interval"] == 2  # ${.max_steps}
    assert config["model"]["init_args"]["min_lr"] == 1e-6  # a default


def test_the_metrics_of_the_run_are_those_of_its_csv(tracked):
    sent = [row["train/loss"] for row in wandb_file.history(tracked.first) if "train/loss" in row]
    with (tracked.folder / "logs" / "version_0" / "metrics.csv").open() as file:
        kept = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(kept) == 2
    np.testing.assert_allclose(sent, kept, rtol=1e-6)
    assert {"val/loss", "val/fscore"} <= {key for row in wandb_file.history(tracked.first) for key in row}


def test_meshes_are_in_the_run_with_y_up_and_load_again(tracked):
    (logged,) = [row for row in wandb_file.history(tracked.first) if "val/meshes.objects" in row]
    assert logged["trainer/global_step"] == 2 and len(logged["val/meshes.objects"]) == 2
    for entry in logged["val/meshes.objects"]:
        sent, kept = (
            trimesh.load_mesh(path, process=False).vertices
            for path in (tracked.first.parent / "files" / entry["path"],
                         tracked.folder / "meshes" / "step_2" / f"{entry['caption']}.ply")
        )  # fmt: skip
        assert np.abs(sent).max() < 1.1  # in the unit sphere; an untrained field reaches the border of the grid
        x, y, z = (kept - kept.mean(axis=0)).T
        shape = np.stack([x, z, -y], axis=1)
        sent = sent - sent.mean(axis=0)
        np.testing.assert_allclose(sent / np.abs(sent).max(), shape / np.abs(shape).max(), atol=1e-5)


def test_pictures_are_in_the_run_and_load_again(tracked):
    (path,) = tracked.first.parent.glob("files/media/images/val/reconstructions_*.png")
    logged, kept = Image.open(path), Image.open(tracked.folder / "meshes" / "step_2.png")
    assert np.array_equal(np.asarray(logged.convert("RGB")), np.asarray(kept.convert("RGB")))


def test_the_best_checkpoint_is_an_artifact_with_usable_weights(tracked):
    found = {alias: artifact for artifact in wandb_file.artifacts(tracked.second) for alias in artifact.aliases}
    (entry,) = found["best"].manifest.contents
    assert Path(entry.local_path).is_relative_to(tracked.data)  # what `wandb sync` uploads
    autoencoder, _ = load_autoencoder(entry.local_path)
    assert autoencoder.width == 64


def test_every_start_of_a_run_folder_is_the_same_run(tracked):
    assert tracked.first.parent != tracked.second.parent
    assert tracked.first.name == tracked.second.name
    steps = [row["trainer/global_step"] for row in wandb_file.history(tracked.second) if "train/loss" in row]
    assert steps == [2, 3]


def test_an_offline_run_says_what_uploads_all_its_starts(tracked):
    (line,) = {line for line in tracked.printed.splitlines() if line.startswith("upload")}
    command, pattern = line.split()[1:3], line.split()[3]
    assert command == ["wandb", "sync"]
    assert sorted(Path("/").glob(pattern.removeprefix("/"))) == [tracked.first.parent, tracked.second.parent]


def test_an_agents_run_id_goes_before_that_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "wandb_run_id.txt").write_text("stored")
    monkeypatch.setenv("WANDB_RUN_ID", "agents")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    main(tracked_fit(tmp_path, steps=1))
    assert [path.name for path in starts(tmp_path)] == ["run-agents.wandb"]
    assert (tmp_path / "wandb_run_id.txt").read_text() == "agents\n"


@pytest.mark.slow
def test_two_processes_are_one_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    training_process.completed(tracked_fit(tmp_path, "--trainer.devices=2", "--trainer.strategy=ddp", steps=2))
    (run,) = starts(tmp_path)
    assert len([row for row in wandb_file.history(run) if "train/loss" in row]) == 2


def test_a_run_without_wandb_imports_nothing_of_it_nor_of_signal_processing(tmp_path):
    """torchmetrics, which Lightning imports, would import `scipy.signal`."""
    arguments = small_run.small_fit(tmp_path, steps=1)
    program = f"""import sys
from lagem.cli import main
main({arguments})
print(*(name in sys.modules for name in ("torchmetrics", "wandb", "scipy.signal")), file=sys.stderr)"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True)
    assert run.stderr.splitlines()[-1] == "True False False"
