"""Files of weights: published weights give the published latents and logits, and no code from a file runs."""

import argparse
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.weights.autoencoder import FORMAT, AutoencoderSpec, load_autoencoder, save_autoencoder
from lagem.weights.errors import WeightsError
from lagem.weights.file import unreadable_refused, write_weights
from lagem.weights.fingerprint import fingerprint_of
from lagem.weights.published import from_published_state, import_published
from published import published_state

PARITY = np.load(Path(__file__).parent / "data" / "official_tiny.npz")
NUM_LATENTS = (256, 64, 16)


def nested_anchors() -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the anchor indices of level 1 in our order, and each level's permutation from the published order to ours.

    In our order, the anchors of coarser levels come first.
    """
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
    autoencoder, spec = load_autoencoder(output)
    expected = from_published_state(published_state(), num_latents=NUM_LATENTS)
    assert spec == AutoencoderSpec.of(expected, num_surface_points=8192)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(autoencoder.state_dict()[name], tensor)


class Bomb:
    """An object whose pickle is a call that would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("verb", ["import-weights", "reconstruct"])
def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys, verb):
    torch.save({"model": published_state(), "args": Bomb(tmp_path / "ran")}, tmp_path / "bad.pth")
    bad = str(tmp_path / "bad.pth")
    (tmp_path / "mesh.ply").touch()
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
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, 1), LevelSpec(4, 6, 0, "kl")], width=64, skip="single", octaves=3)
    save_autoencoder(autoencoder, tmp_path / "weights.safetensors", num_surface_points=77)
    loaded, spec = load_autoencoder(tmp_path / "weights.safetensors")
    assert spec == AutoencoderSpec(levels=autoencoder.levels, width=64, skip="single", octaves=3, num_surface_points=77)
    assert spec == AutoencoderSpec.of(loaded, num_surface_points=77)
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_a_file_that_says_nothing_of_octaves_has_the_published_ones(tmp_path):
    """Older files lack the field `octaves`. They get the default number, and their fingerprints stay valid."""
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, 1)], width=64)
    description = AutoencoderSpec.of(autoencoder, num_surface_points=77).as_plain()
    del description["octaves"]
    write_weights(autoencoder, tmp_path / "old.safetensors", kind="autoencoder", description=description)
    loaded, spec = load_autoencoder(tmp_path / "old.safetensors")
    assert spec.octaves == loaded.octaves == 8 and fingerprint_of(loaded) == fingerprint_of(autoencoder)


PLAIN = AutoencoderSpec(
    levels=(LevelSpec(8, 4, 1), LevelSpec(4, 6, 0, "kl")), width=64, num_surface_points=77
).as_plain()


def test_a_spec_is_what_its_plain_form_says():
    assert json.loads(json.dumps(PLAIN)) == PLAIN
    assert AutoencoderSpec.from_plain(PLAIN).as_plain() == PLAIN


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        *[({name: None}, f"the field {name} is missing") for name in ("levels", "width", "skip", "num_surface_points")],
        ({"levels": 3}, "levels must be a list, but 3"),
        ({"levels": []}, "at least one level is needed"),
        ({"levels": [8]}, "level 1 must be a mapping of its fields, but 8"),
        ({"levels": PLAIN["levels"][::-1]}, "`model.init_args.levels` must go from fine to coarse"),
        ({"levels": [{**PLAIN["levels"][0], "depth": 1001}]}, "level 1: .* depth must be at most 1000"),
        ({"levels": [{**PLAIN["levels"][0], "num_latents": 10**9}]}, "level 1: .* num_latents must be at most 1000000"),
        ({"octaves": 10**400}, "octaves must be at most 1000"),
        ({"num_surface_points": 10**12}, "num_surface_points must be at most 100000000"),
        ({"levels": [{**PLAIN["levels"][0], "depth": "8"}]}, "level 1: a level's depth must be an integer .* but '8'"),
        ({"levels": [{**PLAIN["levels"][0], "bottleneck": "vq"}]}, "level 1: .* bottleneck .* but 'vq'"),
        ({"levels": [{"num_latents": 8}]}, "level 1: missing .* 'latent_dim'"),
        ({"levels": [{**PLAIN["levels"][0], "heads": 8}]}, "level 1: .* 'heads'"),
        ({"width": 64.0}, "width must be an integer of at least 1, but 64.0"),
        ({"width": 65}, "width must be a multiple of 64"),
        ({"skip": "none"}, "skip must be one of double, single, but 'none'"),
        ({"octaves": 0}, "octaves must be an integer of at least 1, but 0"),
        ({"num_surface_points": -1}, "num_surface_points must be an integer of at least 0, but -1"),
    ],
)
def test_a_damaged_description_is_refused_by_file_and_field(tmp_path, change, expected):
    description = {name: value for name, value in (PLAIN | change).items() if value is not None}
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, 1), LevelSpec(4, 6, 0, "kl")], width=64)
    write_weights(autoencoder, tmp_path / "bad.safetensors", kind="autoencoder", description=description)
    with pytest.raises(WeightsError, match=f"bad.safetensors: its description .* is damaged: {expected}"):
        load_autoencoder(tmp_path / "bad.safetensors")


def test_metadata_that_is_no_description_is_refused(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(save({}, metadata={"autoencoder": "[1, 2]"}))
    with pytest.raises(WeightsError, match=r"bad.safetensors: holds \[1, 2\], but must hold"):
        load_autoencoder(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent.ckpt", None), ("garbage.ckpt", b"garbage"), ("garbage.safetensors", b"garbage"), ("empty.ckpt", b"")],
)
def test_files_without_weights_are_refused_by_name(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load_autoencoder(tmp_path / name)


@pytest.mark.parametrize("sizes", [{"depth": 1000}, {"width": 10**9}, {"latent_dim": 10**12}])
def test_a_description_of_more_weights_than_the_file_holds_is_refused_before_it_is_built(sizes, tmp_path):
    path = tmp_path / "x.safetensors"
    level = {"num_latents": 8, "latent_dim": 4, "depth": 1, "bottleneck": "standardised"}
    description = {"format": FORMAT, "width": 64, "skip": "double", "octaves": 8, "num_surface_points": 64}
    width = sizes.pop("width", 64)
    content = json.dumps({**description, "width": width, "levels": [level | sizes]})
    path.write_bytes(save({"to_logits.bias": torch.zeros(1)}, metadata={"autoencoder": content}))
    with pytest.raises(WeightsError, match="describes a network of at least .* weights, but holds only 4 bytes"):
        load_autoencoder(path)


@pytest.mark.parametrize(
    "other",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: tensor.to(torch.int32),
    ],
)
def test_weights_that_are_no_dense_real_numbers_are_refused(other, tmp_path):
    autoencoder = from_published_state(published_state(), num_latents=NUM_LATENTS)
    state = {f"autoencoder.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    description = AutoencoderSpec.of(autoencoder, num_surface_points=64).as_plain()
    bias = "autoencoder.to_logits.bias"
    torch.save({"state_dict": {**state, bias: other(state[bias])}, "autoencoder": description}, tmp_path / "a.ckpt")
    with pytest.raises(WeightsError, match=r"a\.ckpt: its tensor to_logits\.bias is not a dense tensor"):
        load_autoencoder(tmp_path / "a.ckpt")
    published = published_state()
    torch.save({"model": {**published, "to_outputs.bias": other(published["to_outputs.bias"])}}, tmp_path / "p.pth")
    with pytest.raises(WeightsError, match="p.pth: has no state dict `model` in the authors' layout"):
        import_published(tmp_path / "p.pth", num_latents=NUM_LATENTS)


def test_published_weights_of_more_numbers_than_the_file_holds_are_refused(tmp_path):
    published = published_state()
    published["point_embed.mlp.weight"] = torch.zeros(1).expand(10**9, 3)
    torch.save({"model": published}, tmp_path / "p.pth")
    with pytest.raises(WeightsError, match="p.pth: describes a network of at least .* weights, but holds"):
        import_published(tmp_path / "p.pth", num_latents=NUM_LATENTS)


@pytest.mark.parametrize("name", ["x.safetensors", "x.ckpt", "x.pth"])
def test_a_pipe_is_named_as_one(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(WeightsError, match=f"{name}: is a pipe, but a file is needed"):
        load_autoencoder(tmp_path / name)


@pytest.mark.parametrize("text", ["Set weights_only to False. GLOBAL collectio" + "\0" * 5000, "x" * 5000])
def test_what_torch_says_of_a_file_is_cut_and_its_advice_left_out(text):
    with pytest.raises(WeightsError, match=r"^a\.ckpt: ") as caught, unreadable_refused("a.ckpt"):
        raise RuntimeError(text)
    assert len(str(caught.value)) < 400 and "weights_only" not in str(caught.value)
