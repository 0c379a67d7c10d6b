"""Weights files: parity with the published model, and no code from files."""

import argparse
import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models import Autoencoder
from lagem.weights import WeightsError, from_published_state, load_autoencoder, save_autoencoder

PARITY = np.load(Path(__file__).parent / "data" / "official_tiny.npz")
NUM_LATENTS = (256, 64, 16)
WIDTH, LATENT_DIMS = 128, (4, 8, 16)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and sizes of the tiny model in the published layout."""
    c = WIDTH
    norm = {"weight": (c,), "bias": (c,)}
    attention = {"to_q.weight": (c, c), "to_kv.weight": (2 * c, c), "to_out.weight": (c, c), "to_out.bias": (c,)}
    feed = {"net.0.weight": (8 * c, c), "net.0.bias": (8 * c,), "net.2.weight": (c, 4 * c), "net.2.bias": (c,)}

    def nested(prefix: str, parts: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        return {f"{prefix}.{name}": shape for name, shape in parts.items()}

    def cross(prefix: str) -> dict[str, tuple[int, ...]]:
        return (
            nested(f"{prefix}.norm", norm) | nested(f"{prefix}.norm_context", norm) | nested(f"{prefix}.fn", attention)
        )

    def feed_forward(prefix: str) -> dict[str, tuple[int, ...]]:
        return nested(f"{prefix}.norm", norm) | nested(f"{prefix}.fn", feed)

    shapes = {"point_embed.mlp.weight": (c, 51), "point_embed.mlp.bias": (c,)}
    for i, dim in enumerate(LATENT_DIMS):
        level = f"networks.{i}"
        shapes |= {f"{level}.gamma": (dim,), f"{level}.beta": (dim,)}
        shapes |= {f"{level}.pre_bottleneck_proj.weight": (dim, c), f"{level}.pre_bottleneck_proj.bias": (dim,)}
        shapes |= {f"{level}.post_bottleneck_proj.weight": (c, dim), f"{level}.post_bottleneck_proj.bias": (c,)}
        shapes |= cross(f"{level}.cross_attend_blocks.0") | feed_forward(f"{level}.cross_attend_blocks.1")
        shapes |= nested(f"{level}.layers.0.0.norm", norm) | nested(f"{level}.layers.0.0.fn", attention)
        shapes |= feed_forward(f"{level}.layers.0.1")
        shapes |= cross(f"decoder_cross_attn.{i}")
    for i in range(2):
        shapes |= cross(f"upsample_blocks.{i}.0") | feed_forward(f"upsample_blocks.{i}.1")
    return shapes | {"to_outputs.weight": (1, 3 * c), "to_outputs.bias": (1,)}


def published_state() -> dict[str, torch.Tensor]:
    """The tiny model's weights, by the formula they were made with."""
    state = {}
    for name, shape in published_shapes().items():
        r = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        if name.endswith(("norm.weight", "norm_context.weight", "gamma")):
            state[name] = 1 + 0.2 * r
        elif r.dim() == 1:
            state[name] = 0.1 * r
        else:
            state[name] = r / shape[-1] ** 0.5 * (3 if name == "to_outputs.weight" else 1)
    basis = torch.zeros(3, 24)
    for axis in range(3):
        basis[axis, 8 * axis : 8 * axis + 8] = torch.pi * 2.0 ** torch.arange(8)
    return state | {"point_embed.basis": basis}


def nested_anchors() -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Level-1 indices reordered so that coarser levels are prefixes, and each level's order in the file."""
    level1, level2, level3 = (torch.from_numpy(PARITY[f"level{i}_indices"]).long() for i in (1, 2, 3))
    rows, orders = [], [[], []]
    for kept1, kept2, kept3 in zip(level1, level2, level3, strict=True):
        order2 = torch.tensor(kept3.tolist() + sorted(set(range(64)) - set(kept3.tolist())))
        picked = kept2[order2].tolist()
        order1 = torch.tensor(picked + sorted(set(range(256)) - set(picked)))
        rows.append(kept1[order1])
        orders[0].append(order1)
        orders[1].append(order2)
    third = torch.arange(16).expand(len(rows), -1)
    return torch.stack(rows), [torch.stack(orders[0]), torch.stack(orders[1]), third]


@torch.no_grad()
def test_published_weights_give_the_published_latents_and_logits():
    autoencoder = from_published_state(published_state(), num_latents=NUM_LATENTS)
    anchors, orders = nested_anchors()
    latents = autoencoder.encode(torch.from_numpy(PARITY["points"]), anchor_indices=anchors)
    for number, (ours, order) in enumerate(zip(latents, orders, strict=True), start=1):
        theirs = torch.from_numpy(PARITY[f"level{number}_latents"])
        theirs = theirs.gather(1, order.unsqueeze(-1).expand_as(theirs))
        assert (ours - theirs).abs().max() < 1e-4 * theirs.std()
    logits = autoencoder.decode(latents)(torch.from_numpy(PARITY["queries"]))
    theirs = torch.from_numpy(PARITY["logits"])
    assert (logits - theirs).abs().max() < 1e-4 * theirs.std()


def test_import_command_reads_the_published_file(tmp_path):
    published = {
        "model": published_state(),
        "optimizer": {},
        "epoch": 3,
        "scaler": {},
        "args": argparse.Namespace(lr=1e-4),
    }
    torch.save(published, tmp_path / "published.pth")
    output = tmp_path / "weights.safetensors"
    main(
        ["import-weights", str(tmp_path / "published.pth"), "--output", str(output), "--num-latents", "256", "64", "16"]
    )
    autoencoder, num_surface_points = load_autoencoder(output)
    expected = from_published_state(published_state(), num_latents=NUM_LATENTS)
    assert num_surface_points == 8192
    assert autoencoder.levels == expected.levels
    for name, tensor in expected.state_dict().items():
        assert torch.equal(autoencoder.state_dict()[name], tensor)


class Bomb:
    """Pickles as a call that would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("verb", ["import-weights", "reconstruct"])
def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys, verb):
    torch.save({"model": published_state(), "args": Bomb(tmp_path / "ran")}, tmp_path / "bad.pth")
    bad = str(tmp_path / "bad.pth")
    arguments = [bad] if verb == "import-weights" else [str(tmp_path / "mesh.ply"), "--weights", bad]
    with pytest.raises(SystemExit) as stop:
        main([verb, *arguments, "--output", str(tmp_path / "out.safetensors")])
    assert stop.value.code == 2
    assert "would run code" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    with (tmp_path / "bad.pth").open("rb"):
        pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))  # the bomb itself works
    assert (tmp_path / "ran").exists()


def test_weights_round_trip(tmp_path):
    torch.manual_seed(0)
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, 1), LevelSpec(4, 6, 0, "kl")], width=64, skip="single")
    save_autoencoder(autoencoder, tmp_path / "weights.safetensors", num_surface_points=77)
    loaded, num_surface_points = load_autoencoder(tmp_path / "weights.safetensors")
    assert (loaded.levels, loaded.width, loaded.skip, num_surface_points) == (autoencoder.levels, 64, "single", 77)
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent.ckpt", None), ("garbage.ckpt", b"garbage"), ("garbage.safetensors", b"garbage"), ("empty.ckpt", b"")],
)
def test_files_without_weights_are_refused_by_name(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load_autoencoder(tmp_path / name)
