"""Tests of the command `lagem encode`, which writes a latent cache, or refuses its arguments in one line."""

import numpy as np
import pytest
import torch

from lagem.cli import main
from lagem.latents.cache import LatentCache
from lagem.prepared.shards import Shards
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.sources.surfaces import PreparedSurfaces
from lagem.weights.autoencoder import save_autoencoder
from lagem.weights.fingerprint import fingerprint_of


def refusal(capsys, *words) -> str:
    """Run a command that must be refused with one line, and return the line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("lagem: error: ") and error.count("\n") == 1
    return error


def test_a_cache_holds_what_the_encoder_says(prepared, weights, tmp_path, autoencoder):
    main(["encode", str(weights), str(prepared), "--output", str(tmp_path / "out"), "--subsets", "2"])
    cache, surfaces = LatentCache(tmp_path / "out"), PreparedSurfaces(prepared)
    assert cache.levels == autoencoder.levels and cache.subsets == 2
    assert cache.fingerprint == fingerprint_of(autoencoder)
    assert (cache.ids, cache.categories, cache.splits) == (surfaces.ids, surfaces.categories, surfaces.splits)
    stored = Shards(prepared).read(3, "surface_points")
    for index, id in enumerate(cache.ids):
        assert cache.frame(index).scale == surfaces.frame(index).scale
        assert (cache.frame(index).center == surfaces.frame(index).center).all()
        assert id == surfaces.ids[index]
    # subset 1 of shape 3 is some window of its stored points
    windows = np.stack([np.roll(stored, -start, axis=0)[:64] for start in range(len(stored))])
    with torch.no_grad():
        answers = autoencoder.encode(torch.from_numpy(windows))
    cached = cache.latents(3, 1)
    fits = [
        (answer - torch.from_numpy(own)).abs().amax(dim=(1, 2)) for answer, own in zip(answers, cached, strict=True)
    ]
    assert torch.stack(fits).amax(0).min() < 2e-3  # float16


def test_the_number_of_points_is_that_of_training_unless_said(prepared, weights, tmp_path):
    for name, words in (("default", []), ("said", ["--surface-points", "32"])):
        main(["encode", str(weights), str(prepared), "--output", str(tmp_path / name), *words])
    counts = [LatentCache(tmp_path / name).header["settings"]["num_surface_points"] for name in ("default", "said")]
    assert counts == [64, 32]


def test_a_list_chooses_shapes_and_tells_of_those_that_are_absent(prepared, weights, tmp_path, capsys):
    (tmp_path / "table.csv").write_text("id\nbox1\nbox6\nghost\n")
    main(["select-ids", str(tmp_path / "table.csv"), "--count", "3", "--output", str(tmp_path / "ids.txt")])
    call = ["encode", str(weights), str(prepared), "--output", str(tmp_path / "out")]
    main([*call, "--ids", str(tmp_path / "ids.txt")])
    assert "1 of 3 listed shapes are not in the data, for example ghost" in capsys.readouterr().out
    assert LatentCache(tmp_path / "out").ids == ["box1", "box6"]
    assert "made with ids=" in refusal(capsys, *call)
    (tmp_path / "table.csv").write_text("id\nghost\n")
    main(["select-ids", str(tmp_path / "table.csv"), "--count", "1", "--output", str(tmp_path / "ids.txt")])
    assert "none of the 1 listed shapes" in refusal(capsys, *call[:-1], tmp_path / "x", "--ids", tmp_path / "ids.txt")


def test_nothing_encoded_is_an_error(prepared, tmp_path, capsys, autoencoder):
    torch.nn.init.constant_(autoencoder.bottlenecks[0].down.bias, torch.nan)
    save_autoencoder(autoencoder, tmp_path / "nan.safetensors", num_surface_points=64)
    error = refusal(capsys, "encode", tmp_path / "nan.safetensors", prepared, "--output", tmp_path / "out")
    assert "none of 7 shapes could be encoded" in error


def test_procedural_shapes_are_those_of_the_data_module(weights, tmp_path):
    words = ["--subsets", "1", "--seed", "5"]
    main(["encode", str(weights), "procedural:8+3", "--output", str(tmp_path / "out"), *words])
    cache, surfaces = LatentCache(tmp_path / "out"), ProceduralSurfaces(num_train=8, num_val=3, seed=5)
    assert cache.ids == sorted(surfaces.ids)
    assert (cache.splits.count("train"), cache.splits.count("val")) == (8, 3)
    assert len(set(cache.categories)) == 8
    for index, id in enumerate(cache.ids):
        assert cache.frame(index).scale == surfaces.frame(surfaces.ids.index(id)).scale


def test_a_cache_of_other_weights_settings_or_data_is_not_continued(
    prepared, weights, tmp_path, capsys, autoencoder, payload
):
    call = ["encode", weights, prepared, "--output", tmp_path / "out"]
    main([str(word) for word in call])
    before = payload(tmp_path / "out")
    with torch.no_grad():
        autoencoder.to_logits.bias += 1e-6
    save_autoencoder(autoencoder, tmp_path / "other.safetensors", num_surface_points=64)
    foreign = refusal(capsys, "encode", tmp_path / "other.safetensors", *call[2:])
    assert f"the latent cache {tmp_path / 'out'} does not belong to this autoencoder" in foreign
    assert "made with subsets=4, but this command has subsets=2" in refusal(capsys, *call, "--subsets", "2")
    assert "made without augment, but this command has augment={" in refusal(
        capsys, *call, "--axis-scale", "0.8", "1.2"
    )
    assert "made with data=" in refusal(capsys, "encode", weights, "procedural:4+1", "--output", tmp_path / "out")
    assert "expected 'lagem-latents'" in refusal(capsys, "encode", weights, prepared, "--output", prepared)
    assert payload(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["nowhere"],
            "nowhere: there is no such file or folder; give a folder of `lagem prepare`, or procedural:TRAIN",
        ),
        (["procedural:1024"], "not of the form procedural:TRAIN+VAL"),
        (["procedural:0+0"], "not of the form procedural:TRAIN+VAL"),
        (["procedural:2+1", "--subsets", "0"], "--subsets is 0"),
        (["procedural:2+1", "--batch-size", "0"], "--batch-size is 0"),
        (["procedural:2+1", "--surface-points", "0"], "--surface-points is 0"),
        (["procedural:2+1", "--seed", "-1"], "--seed is -1"),
        (["procedural:2+1", "--axis-scale", "2", "1"], "axis_scale must be (low, high) with 0 < low <= high"),
        (["procedural:2+1", "--splits", "train", "exam"], "no shape of split exam; give one of train, val"),
        (["procedural:2+1", "--device", "nowhere"], "--device nowhere cannot be used here"),
    ],
)
def test_a_mistake_is_one_line(weights, tmp_path, capsys, words, reason):
    assert reason in refusal(capsys, "encode", weights, *words, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
