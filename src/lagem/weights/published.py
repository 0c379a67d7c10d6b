"""Import of the checkpoints that the authors published: LaGeM, and VecSet (3DShape2VecSet) with a KL bottleneck."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.weights.errors import WeightsError as WeightsError
from lagem.weights.file import WeightsFile, is_dense, load_plain, load_state

LAGEM_LATENTS, VECSET_LATENTS = (2048, 512, 128), (512,)
LAGEM_POINTS, VECSET_POINTS = 8192, 2048

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def import_published(path: str | Path, *, num_latents: Sequence[int] | None = None) -> Autoencoder:
    """Read a checkpoint in the authors' `.pth` layout, without running code pickled in it.

    Args:
        path: The published checkpoint, a dict whose entry `model` is the state dict.
        num_latents: M_i, the number of latents of each level, fine to coarse. The weights do not depend on these
            numbers, so the file does not hold them. None means the numbers of the published models.

    Returns:
        The network in evaluation mode. A VecSet checkpoint gives a network with one level.

    Raises:
        WeightsError: If the file is damaged or in another layout, or if `num_latents` has the wrong length.
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
    published: Mapping[str, Tensor], *, num_latents: Sequence[int] | None = None, source: str | Path = "state dict"
) -> Autoencoder:
    """Build an autoencoder from a state dict in one of the published layouts.

    `num_latents` is the argument of `import_published`. `source` names the state dict in error messages.
    """
    is_vecset = any(name.startswith("cross_attend_blocks.") for name in published)
    if is_vecset:
        if "mean_fc.weight" not in published:
            raise WeightsError(
                f"{source}: this VecSet has no KL bottleneck; give the checkpoint of a VecSet with a KL bottleneck."
            )
        prefixes, latents_weight = ["layers"], ["mean_fc.weight"]
    else:
        numbers = [match[1] for name in published if (match := re.match(r"networks\.(\d{1,3})\.", name))]
        levels_in_file = range(1 + max(map(int, numbers), default=-1))
        prefixes = [f"networks.{index}.layers" for index in levels_in_file]
        latents_weight = [f"networks.{index}.pre_bottleneck_proj.weight" for index in levels_in_file]
    given = (VECSET_LATENTS if is_vecset else LAGEM_LATENTS) if num_latents is None else num_latents
    count = len(prefixes)
    if len(given) != count:
        raise WeightsError(
            f"{source}: its number of levels is {count}, but the length of num_latents is {len(given)}; make "
            f"it {count}."
        )
    levels = [
        LevelSpec(
            num_latents=number,
            latent_dim=len(published[weight]),
            depth=len({match[1] for name in published if (match := re.match(rf"{prefix}\.(\d+)\.", name))}),
            bottleneck="kl" if is_vecset else "standardised",
        )
        for number, prefix, weight in zip(given, prefixes, latents_weight, strict=True)
    ]
    width = len(published["point_embed.mlp.weight"])
    held = WeightsFile(Path(source), {}, dict(published))
    held.check_holds(width * sum(level.depth * width + level.latent_dim for level in levels))
    autoencoder = Autoencoder(levels=levels, width=width, single_head_cross=is_vecset)
    rules = [*(_vecset_rules() if is_vecset else _lagem_rules(count)), *_common_rules()]
    state = {_renamed(name, rules): tensor for name, tensor in published.items() if name != "point_embed.basis"}
    load_state(autoencoder, state, source)
    return autoencoder.eval()


def published_points(autoencoder: Autoencoder) -> int:
    """Return the number of surface points with which a published network was trained."""
    return VECSET_POINTS if autoencoder.single_head_cross else LAGEM_POINTS


def _lagem_rules(num_levels: int) -> list[Rule]:
    """Return the rules that turn the published names of LaGeM's parameters into those of `Autoencoder`.

    In all rules but the last two, the published names count levels from 0, the finest.
    """
    return [
        (r"^networks\.(\d+)\.(gamma|beta)$", r"bottlenecks.\1.\2"),
        (r"^networks\.(\d+)\.pre_bottleneck_proj\.", r"bottlenecks.\1.down."),
        (r"^networks\.(\d+)\.post_bottleneck_proj\.", r"bottlenecks.\1.up."),
        (r"^networks\.(\d+)\.cross_attend_blocks\.", r"downsample.\1."),
        (r"^networks\.(\d+)\.layers\.", r"self_attention.\1."),
        # The published names of these two count levels from the coarsest, ours from the finest.
        (r"^upsample_blocks\.(\d+)\.", lambda match: f"upsample.{num_levels - 2 - int(match[1])}."),
        (r"^decoder_cross_attn\.(\d+)\.", lambda match: f"query_attention.{num_levels - 1 - int(match[1])}."),
    ]


def _vecset_rules() -> list[Rule]:
    return [
        (r"^cross_attend_blocks\.", "downsample.0."),
        (r"^layers\.", "self_attention.0."),
        (r"^decoder_cross_attn\.", "query_attention.0."),
        (r"^mean_fc\.", "bottlenecks.0.mean."),
        (r"^logvar_fc\.", "bottlenecks.0.log_variance."),
        (r"^proj\.", "bottlenecks.0.up."),
    ]


def _common_rules() -> list[Rule]:
    return [
        (r"^point_embed\.mlp\.", "point_embedding.linear."),
        (r"^to_outputs\.", "to_logits."),
        (r"^(downsample\.\d+|upsample\.\d+|self_attention\.\d+\.\d+)\.0\.", r"\1.attention."),
        (r"^(downsample\.\d+|upsample\.\d+|self_attention\.\d+\.\d+)\.1\.", r"\1.feed_forward."),
        (r"\.fn\.net\.0\.", ".expand."),
        (r"\.fn\.net\.2\.", ".contract."),
        (r"\.fn\.to_", ".to_"),
    ]


def _renamed(name: str, rules: Sequence[Rule]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
