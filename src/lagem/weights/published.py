"""Import of the authors' published checkpoint."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.weights.file import WeightsError as WeightsError
from lagem.weights.file import WeightsFile, is_dense, load_plain, load_state


def import_published(path: str | Path, *, num_latents: Sequence[int] = (2048, 512, 128)) -> Autoencoder:
    """Read a checkpoint in the authors' `.pth` layout, without running code pickled in it.

    Args:
        path: The published checkpoint, a dict whose entry `model` is the state dict.
        num_latents: M_i, the number of latents of each level, fine to coarse. The weights do not depend on these
            numbers, so the file does not hold them.

    Returns:
        The network in evaluation mode.
    """
    path = Path(path)
    loaded = load_plain(path)
    published = loaded.get("model", loaded) if isinstance(loaded, dict) else None
    if (
        not isinstance(published, dict)
        or "point_embed.mlp.weight" not in published
        or not all(isinstance(name, str) and is_dense(t) and t.ndim for name, t in published.items())
    ):
        raise WeightsError(f"{path}: has no state dict `model` in the authors' layout; give another file.")
    try:
        return from_published_state(published, num_latents=num_latents, source=path)
    except (KeyError, IndexError) as error:
        raise WeightsError(f"{path}: is not in the authors' layout, because {error} is missing.") from error


def from_published_state(
    published: Mapping[str, Tensor], *, num_latents: Sequence[int], source: str | Path = "state dict"
) -> Autoencoder:
    """Build an autoencoder from a state dict in the published layout, in which `networks.0` is the finest level."""
    numbers = [match[1] for name in published if (match := re.match(r"networks\.(\d{1,3})\.", name))]
    count = 1 + max(map(int, numbers), default=-1)
    if len(num_latents) != count:
        raise WeightsError(
            f"{source}: has {count} levels, but num_latents has {len(num_latents)} numbers; give {count}."
        )
    levels = []
    for index, latents in enumerate(num_latents):
        blocks = {match[1] for name in published if (match := re.match(rf"networks\.{index}\.layers\.(\d+)\.", name))}
        latent_dim = len(published[f"networks.{index}.pre_bottleneck_proj.weight"])
        levels.append(LevelSpec(num_latents=latents, latent_dim=latent_dim, depth=len(blocks)))
    width = len(published["point_embed.mlp.weight"])
    held = WeightsFile(Path(source), {}, dict(published))
    held.check_holds(width * sum(level.depth * width + level.latent_dim for level in levels))
    autoencoder = Autoencoder(levels=levels, width=width)
    state = {_our_name(name, count): tensor for name, tensor in published.items() if name != "point_embed.basis"}
    load_state(autoencoder, state, source)
    return autoencoder.eval()


def _our_name(name: str, num_levels: int) -> str:
    """Translate the published name of a parameter to its name in `Autoencoder`."""
    rules: list[tuple[str, str]] = [
        (r"^point_embed\.mlp\.", "point_embedding.linear."),
        (r"^to_outputs\.", "to_logits."),
        (r"^networks\.(\d+)\.(gamma|beta)$", r"bottlenecks.\1.\2"),
        (r"^networks\.(\d+)\.pre_bottleneck_proj\.", r"bottlenecks.\1.down."),
        (r"^networks\.(\d+)\.post_bottleneck_proj\.", r"bottlenecks.\1.up."),
        (r"^networks\.(\d+)\.cross_attend_blocks\.", r"downsample.\1."),
        (r"^networks\.(\d+)\.layers\.", r"self_attention.\1."),
        # The published names of these two count levels from the coarsest, ours from the finest.
        (r"^upsample_blocks\.(\d+)\.", lambda m: f"upsample.{num_levels - 2 - int(m[1])}."),  # type: ignore[list-item]
        (r"^decoder_cross_attn\.(\d+)\.", lambda m: f"query_attention.{num_levels - 1 - int(m[1])}."),  # type: ignore[list-item]
        (r"^(downsample\.\d+|upsample\.\d+|self_attention\.\d+\.\d+)\.0\.", r"\1.attention."),
        (r"^(downsample\.\d+|upsample\.\d+|self_attention\.\d+\.\d+)\.1\.", r"\1.feed_forward."),
        (r"\.fn\.net\.0\.", ".expand."),
        (r"\.fn\.net\.2\.", ".contract."),
        (r"\.fn\.to_", ".to_"),
    ]
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
