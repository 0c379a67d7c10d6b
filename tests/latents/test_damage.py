"""Flipped bits in a latent cache are found when they are read, and a resumed encoding rewrites the damaged shards."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from flips import accepted, flipped_copies, header_length
from lagem.latents.cache import LatentCache
from lagem.latents.encoding import EncodeSettings
from lagem.latents.latent_shard import LatentShard
from lagem.latents.pipeline import encode, encoding_status
from lagem.sources.surfaces import PreparedSurfaces

SETTINGS = EncodeSettings(num_surface_points=64, subsets=2)


@pytest.fixture
def root(prepared, autoencoder, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("lagem.latents.pipeline.SHAPES_PER_SHARD", 3)
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    return tmp_path / "out"


@pytest.fixture
def shard(root) -> Path:
    return sorted((root / "shards").iterdir())[0]


def content_of(path: Path) -> list:
    """Return everything that can be read from a shard, in plain types."""
    shard = LatentShard(path)
    rows = range(len(shard.ids))
    latents = [[level.tolist() for level in shard.latents(row, subset)] for row in rows for subset in range(2)]
    frames = [[*shard.frame(row).center, shard.frame(row).scale] for row in rows]
    return [shard.ids, shard.categories, shard.splits, shard.refused, latents, frames]


def test_no_flipped_bit_of_a_shard_changes_what_is_read(shard):
    whole, content = content_of(shard), shard.read_bytes()
    copies = flipped_copies(content, 400, header=header_length(content))
    assert accepted(shard, copies, content_of, whole.__eq__) < 20


def without_checksums(shard: Path, arrays: dict[str, np.ndarray]) -> None:
    """Rewrite a shard with these arrays and without checksums, as earlier versions did."""
    content = shard.read_bytes()
    words = json.loads(json.loads(content[8 : header_length(content)])["__metadata__"]["lagem"])
    del words["crc32"]
    kept = {name: array for name, array in arrays.items() if not name.startswith("crc32.")}
    shard.write_bytes(save(kept, metadata={"lagem": json.dumps(words)}))


def test_a_shard_without_checksums_is_read(shard):
    whole = content_of(shard)
    without_checksums(shard, load_file(shard))
    assert content_of(shard) == whole
    assert not LatentShard(shard).has_checksums


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_latents_that_are_not_finite_are_refused(shard, value):
    arrays = load_file(shard)
    arrays["level_2"][1, 0, 0, 0] = value
    without_checksums(shard, arrays)
    opened = LatentShard(shard)
    opened.latents(0, 0)
    with pytest.raises(ValueError, match=f"level 2 of the latents of {opened.ids[1]} is not finite"):
        opened.latents(1, 0)


@pytest.mark.parametrize("verify", [False, True])
def test_a_damaged_shard_is_encoded_again_to_the_same_bytes(
    verify, root, shard, prepared, autoencoder, payload, capsys
):
    before, content = payload(root), bytearray(shard.read_bytes())
    content[header_length(content) + 6 if not verify else -1] ^= 1  # a frame, or the last latents
    shard.write_bytes(content)
    surfaces = PreparedSurfaces(prepared)
    assert (
        encoding_status(surfaces, root)
        == f"7 shapes: {7 if verify else 4} done, 0 refused, {0 if verify else 3} missing"
    )
    if verify:
        encode(autoencoder, surfaces, root, SETTINGS)  # reads no latents
        assert payload(root) != before
    encode(autoencoder, surfaces, root, SETTINGS, verify=verify)
    assert payload(root) == before
    assert f"{shard}: damaged: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        (lambda about: about["settings"].update(subsets=3), "in 3 subsets"),
        (lambda about: about["levels"].pop(), "its levels have the sizes"),
        (lambda about: about["levels"][0].update(latent_dim=1000), "its levels have the sizes"),
    ],
)
def test_latents_of_other_sizes_than_the_folder_states_are_refused(root, change, stated):
    about = json.loads((root / "format.json").read_text())
    change(about)
    (root / "format.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=rf"format\.json: .*{stated}.* shard 00000-.*; copy the folder again"):
        LatentCache(root).latents(0)
