"""The weights of a tiny model in the layout of the published weights.

With these weights, the authors' code computed the latents and logits in tests/weights/data/official_tiny.npz.
"""

import zlib

import torch

WIDTH, LATENT_DIMS = 128, (4, 8, 16)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Return the names and sizes of a tiny model's weights in the published layout."""
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
    """Return the weights of the tiny model; all but the basis of the embedding are random, seeded by their names."""
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
