"""The study of levels finds which levels a network reads."""

import json
from shutil import copytree

import pytest
import torch
from PIL import Image

from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.studies.levels import Variant, study_levels, variants
from lagem.weights.autoencoder import save_autoencoder
from toy_shapes import damage_shard, save_constant_network

SMALL = {"points": 300, "resolution": 16}


def reads_the_coarsest_level_only(path):
    """Save a network with two levels whose logit is a random function of the features of level 2 only.

    The logit is near 0, so the surface depends on the latents.
    """
    torch.manual_seed(0)
    autoencoder = Autoencoder(levels=[LevelSpec(16, 4, depth=1), LevelSpec(4, 4, depth=1)], width=64)
    with torch.no_grad():
        autoencoder.to_logits.weight[:, 64:] = 0  # [F_2, F_1]
        autoencoder.to_logits.bias.fill_(0.1)
    save_autoencoder(autoencoder, path, num_surface_points=64)
    return path


def test_noise_changes_the_result_only_in_a_level_that_is_read(prepared, tmp_path):
    weights = reads_the_coarsest_level_only(tmp_path / "weights.safetensors")
    results = {result.name: result for result in study_levels(weights, prepared, tmp_path / "out", **SMALL)}
    assert list(results) == ["all levels", "level 2 alone", "noise in level 2", "noise in level 1"]
    unread = results["noise in level 1"].differences
    assert all(change.difference.low == change.difference.high == 0 for change in unread.values())
    assert results["noise in level 2"].differences["iou"].difference.value != 0
    assert results["noise in level 2"].means["iou"].count == 3


def test_the_command_writes_numbers_and_a_picture_of_every_variant(prepared, tmp_path, capsys, monkeypatch):
    """The printed tables fit 80 columns without cutting a number."""
    monkeypatch.setenv("COLUMNS", "80")
    weights = reads_the_coarsest_level_only(tmp_path / "weights.safetensors")
    main(["levels", str(weights), str(prepared), "--output", str(tmp_path / "out"), "--points", "300",
          "--resolution", "16"])  # fmt: skip
    printed = capsys.readouterr().out
    assert printed.count("noise in level 2") >= 3 and "…" not in printed
    content = json.loads((tmp_path / "out" / "levels.json").read_text())
    assert [variant["name"] for variant in content["variants"]] == [
        "all levels", "level 2 alone", "noise in level 2", "noise in level 1"
    ]  # fmt: skip
    assert content["about"]["split"] == "val"
    assert Image.open(tmp_path / "out" / "levels.png").size[1] > 5 * 200
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["levels.json", "levels.md", "levels.png"]


def test_shapes_of_a_damaged_shard_are_left_out_and_named(prepared, tmp_path, capsys):
    copy = copytree(prepared, tmp_path / "prepared")
    damaged = damage_shard(copy, "again")
    weights = reads_the_coarsest_level_only(tmp_path / "weights.safetensors")
    whole, *_ = study_levels(weights, copy, tmp_path / "out", **SMALL)
    assert whole.means["iou"].count == 2 and whole.empty == 0
    for text in (capsys.readouterr().out, (tmp_path / "out" / "levels.md").read_text()):
        assert "left out: again: " in text and damaged.name in text and "left out: torus" not in text


def test_a_variant_keeps_what_it_does_not_name_and_noise_is_keyed_by_the_shape():
    latents = [torch.rand(1, 8, 4), torch.rand(1, 4, 4), torch.rand(1, 2, 4)]
    whole, alone, two, noise_3, _, noise_1 = (variant for variant in variants(3))
    assert all(torch.equal(a, b) for a, b in zip(whole.change(latents, "a", seed=0), latents, strict=True))
    assert [z.abs().sum().item() > 0 for z in alone.change(latents, "a", seed=0)] == [False, False, True]
    assert [z.abs().sum().item() > 0 for z in two.change(latents, "a", seed=0)] == [False, True, True]
    changed = noise_1.change(latents, "a", seed=0)
    assert torch.equal(changed[1], latents[1]) and not torch.equal(changed[0], latents[0])
    assert torch.equal(changed[0], noise_1.change(latents, "a", seed=0)[0])
    assert not torch.equal(changed[0], noise_1.change(latents, "b", seed=0)[0])
    assert noise_3 == Variant(noise=3)


@pytest.mark.parametrize("verb", ["evaluate", "levels"])
def test_a_missing_device_is_one_line(verb, prepared, tmp_path, capsys):
    weights = save_constant_network(tmp_path / "weights.safetensors", 1.0)
    with pytest.raises(SystemExit) as stop:
        main([verb, str(weights), str(prepared), "--output", str(tmp_path / "out"), "--device", "nowhere"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--device nowhere cannot be used here" in error
