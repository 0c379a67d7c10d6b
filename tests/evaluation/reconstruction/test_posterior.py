"""`lagem evaluate --posterior`: KL levels are decoded from the mean of the posterior or from a sample, as asked."""

import json
from pathlib import Path

import pytest
import torch

from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.weights.autoencoder import save_autoencoder

SETTINGS = ["--split", "train", "--points", "300", "--resolution", "16"]


@pytest.fixture
def vecset(tmp_path) -> Path:
    """An untrained network with one KL level whose posterior has a large variance."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, depth=0, bottleneck="kl")], width=64)
    torch.nn.init.constant_(autoencoder.bottlenecks[0].log_variance.bias, 4.0)
    save_autoencoder(autoencoder, tmp_path / "vecset.safetensors", num_surface_points=64)
    return tmp_path / "vecset.safetensors"


def evaluate(weights, data, out, *words):
    main(["evaluate", str(weights), str(data), "--output", str(out), *SETTINGS, *words])


def test_a_sample_is_decoded_if_asked_and_the_card_says_which(vecset, folder, tmp_path):
    for name, words in (("mean", []), ("sample", ["--posterior", "sample"]), ("again", ["--posterior", "sample"])):
        evaluate(vecset, folder, tmp_path / name, *words)
    mean, sample, again = (json.loads((tmp_path / n / "card.json").read_text()) for n in ("mean", "sample", "again"))
    assert mean["about"]["KL levels"] == "mean of the posterior"
    assert sample["about"]["KL levels"].startswith("a sample of the posterior")
    assert sample["scores"] == again["scores"] and sample["scores"] != mean["scores"]
    assert "- KL levels: a sample" in (tmp_path / "sample" / "card.md").read_text()


def test_scores_of_the_other_posterior_are_missing(vecset, folder, tmp_path, capsys):
    for posterior, other in (("mean", "sample"), ("sample", "mean")):
        evaluate(vecset, folder, tmp_path / posterior, "--posterior", posterior)
        for asked, missing in ((posterior, 0), (other, 4)):
            capsys.readouterr()
            evaluate(vecset, folder, tmp_path / posterior, "--posterior", asked, "--status")
            assert capsys.readouterr().out.endswith(f"{missing} missing\n")


def test_a_card_without_kl_levels_does_not_speak_of_them(weights, folder, tmp_path):
    evaluate(weights, folder, tmp_path / "card")
    assert "KL levels" not in json.loads((tmp_path / "card" / "card.json").read_text())["about"]


@pytest.mark.parametrize("method", ["network", "retrieval"])
def test_there_is_nothing_to_sample_without_kl_levels(weights, folder, tmp_path, capsys, method):
    with pytest.raises(SystemExit) as stop:
        evaluate(weights if method == "network" else method, folder, tmp_path / "card", "--posterior", "sample")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "--posterior sample" in error and len(error.splitlines()) == 1
