"""Weights in the layout of VecSet (3DShape2VecSet with a KL bottleneck) load, and give the right latents and logits."""

import math
import zlib

import pytest
import torch
from torch import Tensor

from lagem.cli import main
from lagem.modules.autoencoder import AutoencoderModule
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.errors import WeightsError
from lagem.weights.published import from_published_state, import_published

WIDTH, LATENT_DIM, DEPTH, ANCHORS = 128, 8, 2, 16


def vecset_state() -> dict[str, Tensor]:
    """A tiny model in the published layout, whose weights are drawn with seeds made from their names."""
    norm, c = {"weight": (WIDTH,), "bias": (WIDTH,)}, WIDTH
    attention = {"to_q.weight": (c, c), "to_kv.weight": (2 * c, c), "to_out.weight": (c, c), "to_out.bias": (c,)}
    feed = {"net.0.weight": (8 * c, c), "net.0.bias": (8 * c,), "net.2.weight": (c, 4 * c), "net.2.bias": (c,)}
    parts = {
        **{f"cross_attend_blocks.0.{name}": norm for name in ("norm", "norm_context")},
        **{f"decoder_cross_attn.{name}": norm for name in ("norm", "norm_context")},
        "cross_attend_blocks.0.fn": attention, "decoder_cross_attn.fn": attention,
        "cross_attend_blocks.1.norm": norm, "cross_attend_blocks.1.fn": feed,
        **{f"layers.{j}.{k}.norm": norm for j in range(DEPTH) for k in (0, 1)},
        **{f"layers.{j}.0.fn": attention for j in range(DEPTH)}, **{f"layers.{j}.1.fn": feed for j in range(DEPTH)},
        **{name: {"weight": (LATENT_DIM, c), "bias": (LATENT_DIM,)} for name in ("mean_fc", "logvar_fc")},
        "proj": {"weight": (c, LATENT_DIM), "bias": (c,)}, "point_embed.mlp": {"weight": (c, 51), "bias": (c,)},
        "to_outputs": {"weight": (1, c), "bias": (1,)},
    }  # fmt: skip
    state = {}
    for part, shapes in parts.items():
        for name, shape in shapes.items():
            full = f"{part}.{name}"
            r = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(full.encode())))
            scale = 1 / math.sqrt(shape[-1]) if r.ndim == 2 else 0.1
            state[full] = scale * r + (1 if full.endswith(("norm.weight", "norm_context.weight")) else 0)
    basis = torch.zeros(3, 24)
    for axis in range(3):
        basis[axis, 8 * axis : 8 * axis + 8] = math.pi * 2.0 ** torch.arange(8)
    return {**state, "point_embed.basis": basis}


def embedded(state: dict[str, Tensor], points: Tensor) -> Tensor:
    phases = points @ state["point_embed.basis"]
    waves = torch.cat([phases.sin(), phases.cos(), points], dim=-1)
    return waves @ state["point_embed.mlp.weight"].T + state["point_embed.mlp.bias"]


def normed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attended(state: dict[str, Tensor], name: str, x: Tensor, context: Tensor, heads: int) -> Tensor:
    """Let the (Q, C) features `x` attend to the (M, C) `context`, head by head; there is no batch axis."""
    queries = x @ state[f"{name}.fn.to_q.weight"].T
    keys, values = (context @ state[f"{name}.fn.to_kv.weight"].T).chunk(2, dim=-1)
    answers = []
    for q, k, v in zip(*(tensor.chunk(heads, dim=-1) for tensor in (queries, keys, values)), strict=True):
        answers.append((q @ k.T / math.sqrt(q.shape[-1])).softmax(-1) @ v)
    return torch.cat(answers, dim=-1) @ state[f"{name}.fn.to_out.weight"].T + state[f"{name}.fn.to_out.bias"]


def fed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    hidden = normed(state, f"{name}.norm", x) @ state[f"{name}.fn.net.0.weight"].T + state[f"{name}.fn.net.0.bias"]
    value, gate = hidden.chunk(2, dim=-1)
    gated = value * gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
    return gated @ state[f"{name}.fn.net.2.weight"].T + state[f"{name}.fn.net.2.bias"]


def crossed(state: dict[str, Tensor], name: str, x: Tensor, context: Tensor) -> Tensor:
    """Cross attention, which has a single head."""
    return attended(state, name, normed(state, f"{name}.norm", x), normed(state, f"{name}.norm_context", context), 1)


def latents_of(state: dict[str, Tensor], points: Tensor, anchors: Tensor) -> Tensor:
    """Mean of the posterior of one shape."""
    queries = embedded(state, points[anchors])
    x = crossed(state, "cross_attend_blocks.0", queries, embedded(state, points)) + queries
    x = fed(state, "cross_attend_blocks.1", x) + x
    return x @ state["mean_fc.weight"].T + state["mean_fc.bias"]


def logits_of(state: dict[str, Tensor], latents: Tensor, queries: Tensor) -> Tensor:
    x = latents @ state["proj.weight"].T + state["proj.bias"]
    for layer in range(DEPTH):
        own = normed(state, f"layers.{layer}.0.norm", x)
        x = attended(state, f"layers.{layer}.0", own, own, WIDTH // 64) + x
        x = fed(state, f"layers.{layer}.1", x) + x
    answers = crossed(state, "decoder_cross_attn", embedded(state, queries), x)
    return (answers @ state["to_outputs.weight"].T + state["to_outputs.bias"]).squeeze(-1)


@torch.no_grad()
def test_published_vecset_weights_give_the_latents_and_logits_of_an_independent_forward_pass():
    state, generator = vecset_state(), torch.Generator().manual_seed(0)
    points = torch.rand(3, 64, 3, generator=generator) * 2 - 1
    queries = torch.rand(3, 40, 3, generator=generator) * 2 - 1
    anchors = torch.stack([torch.randperm(64, generator=generator)[:ANCHORS] for _ in points])
    autoencoder = from_published_state(state, num_latents=[ANCHORS])
    (latents,) = autoencoder.encode(points, anchor_indices=anchors)
    folded, plain = (autoencoder.decode([latents], fold=fold)(queries) for fold in (True, False))
    for row in range(len(points)):
        expected = latents_of(state, points[row], anchors[row])
        assert (latents[row] - expected).abs().max() < 1e-4 * expected.std()
        expected = logits_of(state, expected, queries[row])
        for logits in (folded, plain):
            assert (logits[row] - expected).abs().max() < 1e-4 * expected.std()


def test_the_command_imports_vecset_and_training_starts_from_it(tmp_path):
    torch.save({"model": vecset_state(), "epoch": 3}, tmp_path / "vecset.pth")
    output = str(tmp_path / "vecset.safetensors")
    main(["import-weights", str(tmp_path / "vecset.pth"), "--output", output])
    autoencoder, spec = load_autoencoder(output)
    assert (spec.levels[0].num_latents, spec.num_surface_points) == (512, 2048)
    assert spec.single_head_cross and spec.levels[0].bottleneck == "kl" and spec.levels[0].depth == DEPTH
    module = AutoencoderModule(levels=spec.levels, width=WIDTH, single_head_cross=True, init_from=output)
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(module.autoencoder.state_dict()[name], tensor)
    with pytest.raises(ValueError, match="single_head_cross True\\) is not the one configured"):
        AutoencoderModule(levels=spec.levels, width=WIDTH, init_from=output)
    with pytest.raises(ValueError, match="holds another autoencoder: single_head_cross True, not False"):
        AutoencoderModule(levels=spec.levels, width=WIDTH).on_load_checkpoint({"autoencoder": spec.as_plain()})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: [state.pop(f"{name}.weight") for name in ("mean_fc", "logvar_fc")], "has no KL bottleneck"),
        (lambda state: state.pop("proj.weight"), "do not fit"),
        (lambda state: state.update({"decoder_ff.norm.weight": torch.zeros(WIDTH)}), "do not fit"),
        (lambda state: state.update({"mean_fc.weight": torch.zeros(1).expand(10**9, 1)}), "holds only"),
    ],
)
def test_other_vecset_checkpoints_are_refused(tmp_path, change, expected):
    state = vecset_state()
    change(state)
    torch.save({"model": state}, tmp_path / "vecset.pth")
    with pytest.raises(WeightsError, match=f"vecset.pth: .*{expected}"):
        import_published(tmp_path / "vecset.pth")
