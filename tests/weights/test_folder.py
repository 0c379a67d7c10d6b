"""A folder of weights: it loads as it was saved, and a file that contradicts its config.json is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import small_cascade as small
from lagem.generation.bundle import load_cascade
from lagem.pretrained import pretrained_autoencoder
from lagem.reconstruction.codec import ShapeCodec, load_codec
from lagem.weights.autoencoder import AutoencoderSpec
from lagem.weights.errors import WeightsError
from lagem.weights.folder import WeightsFolder


@pytest.fixture
def codec() -> ShapeCodec:
    network = small.make_autoencoder()
    return ShapeCodec(network, AutoencoderSpec.of(network, num_surface_points=small.POINTS))


@pytest.fixture
def folder(codec, tmp_path) -> Path:
    return codec.save(tmp_path / "codec")


def test_a_codec_that_is_saved_is_loaded_by_its_folder(codec, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = load_codec(folder)
    assert (loaded.spec, loaded.fingerprint) == (codec.spec, codec.fingerprint)
    points = torch.rand(small.POINTS, 3) - 0.5
    for ours, theirs in zip(codec.latents_of(points), loaded.latents_of(points), strict=True):
        assert torch.equal(ours, theirs)


def test_half_precision_is_half_the_size_and_is_recorded(codec, folder, tmp_path):
    half = codec.save(tmp_path / "half", half=True)
    sizes = [(one / "model.safetensors").stat().st_size for one in (half, folder)]
    assert sizes[0] < 0.55 * sizes[1]
    recorded = WeightsFolder(half)
    assert recorded.is_half and recorded.fingerprint == codec.fingerprint
    assert recorded.as_stored == load_codec(half).fingerprint != codec.fingerprint


def test_the_folder_of_a_cascade_is_that_of_its_autoencoder_too(tmp_path):
    cascade = load_cascade("furniture")
    saved = cascade.save(tmp_path / "cascade", half=True)
    assert load_codec(saved).fingerprint == cascade.codec.fingerprint == load_cascade(saved).codec.fingerprint


def test_the_card_states_what_the_weights_are(folder, tmp_path):
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: lagem\n") and "| 1 | 16 | 4 | 1 | standardised |" in card
    cascade = load_cascade("furniture").save(tmp_path / "cascade")
    assert "- Categories: `bench, bottle, chair" in (cascade / "README.md").read_text()


def test_a_folder_is_not_written_over(codec, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(WeightsError, match="already exists"):
        codec.save(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_with_another_autoencoder_is_refused_even_if_the_hash_fits(codec, folder):
    other = ShapeCodec(small.make_autoencoder(seed=1), codec.spec).save(folder.with_name("other"))
    shutil.copy(other / "model.safetensors", folder)
    own, theirs = (json.loads((one / "config.json").read_text()) for one in (folder, other))
    (folder / "config.json").write_text(json.dumps({**own, "sha256": theirs["sha256"]}))
    with pytest.raises(ValueError, match="does not belong to this autoencoder"):
        load_codec(folder)
    assert load_codec(other).fingerprint != codec.fingerprint


def altered(folder: Path, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda config: config.update(format="lagem-weights-2"), "config.json: format is 'lagem-weights-2', but must"),
        (lambda config: config["architecture"].update(width=128), r"its architecture is not .* \(width 128, not 64\)"),
        (lambda config: config["architecture"].pop("levels"), r"its architecture is not that of .* \(levels None, not"),
        (lambda config: config["sha256"].clear(), "config.json: lacks the sha256 of model.safetensors"),
        (lambda config: config["sha256"].update({"model.safetensors": "0"}), "model.safetensors: missing or damaged"),
        (lambda config: config["sha256"].update({"../x": "0"}), "'../x' cannot be the name of a file"),
    ],
)  # fmt: skip
def test_a_config_that_contradicts_the_weights_is_refused(folder, change, expected):
    altered(folder, change)
    with pytest.raises(WeightsError, match=expected):
        load_codec(folder)


def test_somebody_elses_folder_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(WeightsError, match="config.json: format is missing, but must be one of lagem-weights-1"):
        load_codec(tmp_path)


def test_links_lead_out_of_a_folder_only_in_the_cache_of_the_hub(folder, tmp_path):
    """A snapshot in this cache consists of links to ../../blobs."""
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / "0123"
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        shutil.copy(path, repository / "blobs" / path.stem)
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", path.stem))
    assert load_codec(snapshot).fingerprint == load_codec(folder).fingerprint
    os.rename(repository / "blobs" / "model", tmp_path / "model")
    (repository / "blobs" / "model").symlink_to(tmp_path / "model")
    with pytest.raises(WeightsError, match="leads out of the folder"):
        load_codec(snapshot)
    shutil.rmtree(repository / "blobs")
    with pytest.raises(WeightsError, match="leads out of the folder|there is no such file"):
        load_codec(snapshot)


def test_the_default_weights_stand_in_for_a_cascade_that_was_made_with_them(tmp_path):
    """The cascade `meshes` has no autoencoder file, so it is loaded with the default autoencoder.

    The cascade `furniture` has a different autoencoder, and is refused if the file of this autoencoder is missing.
    """
    shutil.copytree(pretrained_autoencoder().with_name("meshes"), tmp_path / "copy")
    assert load_codec(tmp_path / "copy").fingerprint == load_codec().fingerprint
    shutil.copytree(pretrained_autoencoder().with_name("furniture"), tmp_path / "other")
    (tmp_path / "other" / "autoencoder.safetensors").unlink()
    with pytest.raises(WeightsError, match="autoencoder.safetensors: missing or damaged"):
        load_codec(tmp_path / "other")
