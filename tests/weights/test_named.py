"""Every function that takes weights accepts a file, a folder or a name in the package."""

import shutil
from pathlib import Path

import pytest
import torch

import small_cascade as small
from lagem.cli import main
from lagem.generation.bundle import load_cascade
from lagem.latents.cache import LatentCache
from lagem.modules.autoencoder import AutoencoderModule
from lagem.modules.frozen import FrozenAutoencoder
from lagem.pretrained import AUTOENCODERS, CASCADES, pretrained_autoencoder, pretrained_cascade
from lagem.reconstruction.codec import load_codec
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.errors import WeightsError
from lagem.weights.fingerprint import fingerprint_of
from lagem.weights.named import autoencoder_file, cascade_folder, stage_file
from lagem.weights.stage import load_stage


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_weights_of_the_package_are_named_unless_there_are_such_weights_here(here):
    assert autoencoder_file("large") == pretrained_autoencoder("large")
    (here / "large").mkdir()
    assert autoencoder_file("large") == pretrained_autoencoder("large"), "a folder, as of results, is no weights"
    (here / "large" / "mine.safetensors").touch()
    assert autoencoder_file("large") == Path("large", "mine.safetensors")
    shutil.rmtree(here / "large")
    (here / "large").touch()
    assert autoencoder_file("large") == Path("large")


def test_a_cascade_of_the_package_stands_for_its_autoencoder():
    for name in CASCADES:
        assert load_codec(name).fingerprint == load_cascade(name).codec.fingerprint


@pytest.mark.parametrize(
    ("find", "file"),
    [
        (autoencoder_file, "checkpoints/last.ckpt"),
        (autoencoder_file, "autoencoder.safetensors"),
        (autoencoder_file, "mine.safetensors"),
        (stage_file, "checkpoints/last.ckpt"),
        (stage_file, "mine.ckpt"),
    ],
)
def test_a_folder_is_named_like_its_file(here, find, file):
    (here / "folder" / file).parent.mkdir(parents=True)
    (here / "folder" / file).touch()
    assert find("folder") == Path("folder", file)
    (here / "folder" / ".last.ckpt.0123456789abcdef.tmp.ckpt").touch()  # of a killed save
    assert find(here / "folder") == here / "folder" / file


def test_a_folder_with_several_files_of_which_none_is_known_is_refused(here):
    for name in ("one.safetensors", "other.safetensors"):
        (here / name).touch()
    for find in (autoencoder_file, stage_file):
        with pytest.raises(WeightsError, match="the folder holds no weights, or several; give the file"):
            find(here)


def test_a_bundle_of_ones_own_comes_before_one_of_the_package_and_another_folder_does_not(here):
    (here / "meshes").mkdir()
    assert cascade_folder("meshes") == pretrained_cascade("meshes")
    (here / "meshes" / "config.json").touch()
    assert cascade_folder("meshes") == Path("meshes")
    assert cascade_folder("furniture") == pretrained_cascade("furniture")


@pytest.mark.parametrize(
    ("load", "name", "expected"),
    [
        (load_codec, "huge", "huge: there is no such file, and no weights of this name; .* autoencoder, large, furn"),
        (load_codec, ".", r"^\.: the folder holds no weights, or several"),
        (load_stage, "large", "large: there is no such file, .* give a checkpoint"),
        (load_cascade, "furnitures", "there is no cascade 'furnitures': give 'furniture' or 'meshes', a folder"),
        (load_cascade, "large", r"'large' is an autoencoder, not a cascade; load it with lagem.load_codec\('large'\)"),
    ],
)
def test_a_name_without_weights_is_answered_with_those_there_are(load, name, expected):
    with pytest.raises(ValueError, match=expected):
        load(name)


def test_training_starts_from_named_weights():
    given, spec = load_autoencoder("large")
    module = AutoencoderModule(levels=spec.levels, width=spec.width, octaves=spec.octaves, init_from="large")
    assert module.init_from == "large"
    for name, tensor in given.state_dict().items():
        assert torch.equal(module.autoencoder.state_dict()[name], tensor)


def test_a_stage_decodes_by_named_weights():
    for name in (*AUTOENCODERS, "furniture"):
        assert FrozenAutoencoder(name).fingerprint == load_codec(name).fingerprint


def test_shapes_are_encoded_and_scored_by_named_weights(here):
    main(["encode", "furniture", "procedural:1+1", "--subsets", "1", "--surface-points", "64", "--output", "latents"])
    assert LatentCache("latents").fingerprint == load_codec("furniture").fingerprint
    latents = [torch.from_numpy(level) for level in LatentCache("latents").latents(0)]
    load_codec("latents").decode(latents, resolution=16).save("made.ply")
    main(["evaluate", "large", "made.ply", "--points", "200", "--resolution", "8", "--output", "card"])
    assert str(pretrained_autoencoder("large")) in (here / "card" / "card.json").read_text()


def test_stages_are_bundled_with_named_weights_and_from_folders_of_runs(here, capsys):
    autoencoder, *stages = small.write_cascade(here)
    for stage in stages:
        (here / stage.stem).mkdir()
        stage.rename(here / stage.stem / stage.name)
    runs = [stage.stem for stage in stages]
    main(["bundle", autoencoder.name, *runs, "--output", "cascade"])
    assert load_cascade("cascade").codec.fingerprint == fingerprint_of(small.make_autoencoder())
    with pytest.raises(SystemExit):
        main(["bundle", "large", *runs, "--output", "other"])
    assert f"the one in use is {load_codec('large').fingerprint}" in capsys.readouterr().err
