"""A flipped bit in a file of weights, in a checkpoint or in latents is found when the file is read."""

import json
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from flips import accepted, flipped_copies, header_length
from lagem.geometry.frame import Frame
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.reconstruction.latents import Latents
from lagem.training.checkpoints import AtomicCheckpointIO, steps_of
from lagem.weights.autoencoder import AutoencoderSpec, load_autoencoder, save_autoencoder
from lagem.weights.errors import WeightsError

COPIES = 100


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(levels=[LevelSpec(4, 4, 0)], width=64).eval()


def same_weights(autoencoder: Autoencoder, num_surface_points: int):
    """Return a function that tells whether a loaded autoencoder and its spec equal the saved ones."""
    ours = autoencoder.state_dict()

    def same(loaded) -> bool:
        network, spec = loaded
        theirs = network.state_dict()
        return (
            spec == AutoencoderSpec.of(autoencoder, num_surface_points=num_surface_points)
            and ours.keys() == theirs.keys()
            and all(torch.equal(ours[name], theirs[name]) for name in ours)
        )

    return same


def test_no_flipped_bit_of_weights_changes_the_network(autoencoder, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_autoencoder(autoencoder, path, num_surface_points=77)
    content = path.read_bytes()
    copies = flipped_copies(content, COPIES, header=header_length(content))
    assert accepted(path, copies, load_autoencoder, same_weights(autoencoder, 77)) < COPIES / 10


def test_weights_without_checksums_are_read(autoencoder, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_autoencoder(autoencoder, path, num_surface_points=77)
    spec = AutoencoderSpec.of(autoencoder, num_surface_points=77)
    path.write_bytes(save(load_file(path), metadata={"autoencoder": json.dumps(spec.as_plain())}))
    assert same_weights(autoencoder, 77)(load_autoencoder(path))


def test_no_flipped_bit_of_latents_changes_them(tmp_path):
    path = tmp_path / "latents.safetensors"
    levels = [torch.randn(8, 4), torch.randn(2, 6)]
    Latents(levels, Frame(np.array([1.0, 2.0, 3.0]), 0.5), "0123456789abcdef").save(path)

    def same(found: Latents) -> bool:
        equal = len(found.levels) == 2 and all(map(torch.equal, found.levels, levels))
        frame = [*found.frame.center, found.frame.scale]
        return equal and frame == [1, 2, 3, 0.5] and found.autoencoder == "0123456789abcdef"

    assert accepted(path, flipped_copies(path.read_bytes(), 4 * COPIES), Latents.load, same) < 4 * COPIES / 10


def write_checkpoint(path, autoencoder: Autoencoder) -> None:
    """Write a checkpoint as `lagem fit` does, with only the entries that a reader of weights needs."""
    state = {f"autoencoder.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    spec = AutoencoderSpec.of(autoencoder, num_surface_points=77).as_plain()
    torch.save({"autoencoder": spec, "state_dict": state, "global_step": 7, "optimizer_states": []}, path)


def test_no_flipped_bit_of_a_checkpoint_changes_what_is_read(autoencoder, tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, autoencoder)
    content = path.read_bytes()
    copies = list(flipped_copies(content, COPIES))
    directory = content.rindex(b"PK\x05\x06") - 4000  # most of the zip file's directory is after this byte
    copies += [content[:directory] + copy for copy in flipped_copies(content[directory:], COPIES, seed=1)]
    accepted(path, iter(copies), load_autoencoder, same_weights(autoencoder, 77))
    accepted(path, iter(copies), steps_of, (7).__eq__)
    before = torch.load(path.with_name("last.ckpt"), weights_only=True) if path.write_bytes(content) else None
    same = lambda found: repr(found) == repr(before)  # noqa: E731
    accepted(path, iter(copies[:50]), AtomicCheckpointIO().load_checkpoint, same)


def test_a_flipped_tensor_is_refused_where_torch_accepts_it(autoencoder, tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, autoencoder)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1000] = bytes(byte ^ 255 for byte in content[middle : middle + 1000])
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    for read in (load_autoencoder, AtomicCheckpointIO().load_checkpoint):
        with pytest.raises(WeightsError, match=r"last.ckpt: a damaged checkpoint \(Bad CRC-32 for file"):
            read(path)


def test_a_compressed_record_is_refused_before_it_is_unpacked(autoencoder, tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, autoencoder)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, bytes(2**26) if name.endswith("data/0") else content)
    with pytest.raises(WeightsError, match="a record is compressed"):
        load_autoencoder(path)
