"""`lagem fit` on a data set in a store: the same losses as with a local folder, and one error line if it fails."""

import csv
from pathlib import Path

import fsspec
import pytest

from lagem.cli import main

MESHES = Path(__file__).resolve().parents[2] / "experiments" / "autoencoder" / "meshes.yaml"


def fit(root, folder: Path, workers: int) -> list[str]:
    """Train for a few steps, and return the losses as they are logged."""
    settings = {
        "trainer.default_root_dir": folder,
        "trainer.max_steps": 12,  # more than one pass over the shapes
        "trainer.limit_val_batches": 0,
        "trainer.precision": "32-true",
        "trainer.log_every_n_steps": 1,
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.callbacks": "[]",
        "model.init_args.levels": "[{num_latents: 16, latent_dim: 4, depth: 1}, {num_latents: 4, latent_dim: 6}]",
        "model.init_args.width": 64,
        "data.init_args.root": root,
        "data.init_args.num_surface_points": 64,
        "data.init_args.num_volume_queries": 16,
        "data.init_args.num_near_queries": 16,
        "data.init_args.num_workers": workers,
        "data.init_args.cache.folder": folder / "cache",
        "data.init_args.shuffle": "shards",
    }
    main(["fit", f"--config={MESHES}", *(f"--{name}={value}" for name, value in settings.items())])
    with (folder / "logs" / "version_0" / "metrics.csv").open() as file:
        return [row["train/loss"] for row in csv.DictReader(file) if row["train/loss"]]


def test_losses_from_a_store_are_those_of_the_local_folder(store, many_shards, tmp_path):
    remote = fit(store.upload(many_shards, "losses"), tmp_path / "remote", workers=2)
    assert len(remote) == 12
    assert remote == fit(many_shards, tmp_path / "local", workers=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_shard_ends_a_fit_in_one_line(store, many_shards, tmp_path, capsys, workers):
    url = store.upload(many_shards, f"missing-{workers}")
    gone = sorted((many_shards / "shards").iterdir())[0].name
    fsspec.filesystem("s3").rm(f"{url}/shards/{gone}")
    with pytest.raises(SystemExit) as stop:
        fit(url, tmp_path, workers)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"lagem: error: {url}/shards/{gone}: the shard is missing; run `lagem prepare` again."
    )


def test_an_absent_bucket_ends_a_fit_in_one_line(store, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        fit("s3://nowhere/data", tmp_path, workers=0)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("lagem: error: s3://nowhere/data: there is no such")
