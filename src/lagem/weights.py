"""Save, load and import an autoencoder's weights, never running code from a file.

Our own file is safetensors with the architecture as JSON in its metadata; a Lightning checkpoint
carries the same description under the key `autoencoder` and is read with `weights_only=True`.
"""

import argparse
import json
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder

FORMAT = "lagem-autoencoder-1"


class WeightsError(ValueError):
    """A file that holds no weights we can use, named with its reason."""


def describe_autoencoder(autoencoder: Autoencoder, *, num_surface_points: int) -> dict[str, Any]:
    """Architecture in plain types: what `load_autoencoder` builds the network from."""
    return {
        "format": FORMAT,
        "levels": [asdict(level) for level in autoencoder.levels],
        "width": autoencoder.width,
        "skip": autoencoder.skip,
        "num_surface_points": num_surface_points,
    }


def save_autoencoder(autoencoder: Autoencoder, path: str | Path, *, num_surface_points: int) -> None:
    """Write weights and architecture to one safetensors file, atomically.

    Args:
        autoencoder: The network.
        path: File to write.
        num_surface_points: N the network was trained with, the default when it is used.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    description = describe_autoencoder(autoencoder, num_surface_points=num_surface_points)
    state = {name: tensor.detach().contiguous() for name, tensor in autoencoder.state_dict().items()}
    temporary = path.with_name(path.name + ".part")
    save_file(state, temporary, metadata={"autoencoder": json.dumps(description)})
    os.replace(temporary, path)


def load_autoencoder(path: str | Path) -> tuple[Autoencoder, int]:
    """Read an autoencoder from a Lightning checkpoint or from our safetensors file.

    From a checkpoint of a run with weight averaging these are the averaged weights.

    Returns:
        The network in evaluation mode, and N, the number of surface points it was trained with.

    Raises:
        WeightsError: Where the file is absent, unreadable or of another kind.
    """
    path = Path(path)
    description, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)
    if description.get("format") != FORMAT:
        raise WeightsError(f"{path}: its weights have format {description.get('format')!r}, but {FORMAT!r} is needed.")
    levels = [LevelSpec(**level) for level in description["levels"]]
    autoencoder = Autoencoder(levels=levels, width=description["width"], skip=description["skip"])
    _load_state(autoencoder, state, path)
    return autoencoder.eval(), description["num_surface_points"]


def import_published(path: str | Path, *, num_latents: Sequence[int] = (2048, 512, 128)) -> Autoencoder:
    """Read the authors' `.pth` layout without running the code pickled in it.

    Args:
        path: The published checkpoint: a dict whose `model` entry is the state dict.
        num_latents: M_i, fine to coarse; the weights do not depend on them, so the file does not say.
    """
    path = Path(path)
    loaded = _load_torch(path)
    published = loaded.get("model", loaded) if isinstance(loaded, dict) else None
    if not isinstance(published, dict) or "point_embed.mlp.weight" not in published:
        raise WeightsError(f"{path}: no `model` state dict in the published layout is in this file.")
    try:
        return from_published_state(published, num_latents=num_latents, source=path)
    except (KeyError, IndexError) as error:
        raise WeightsError(f"{path}: this is not the published LaGeM layout: {error} is missing.") from error


def from_published_state(
    published: Mapping[str, Tensor], *, num_latents: Sequence[int], source: str | Path = "state dict"
) -> Autoencoder:
    """Build an autoencoder from a state dict in the published layout (level index 0 = finest)."""
    count = 1 + max((int(name.split(".")[1]) for name in published if name.startswith("networks.")), default=-1)
    if len(num_latents) != count:
        raise WeightsError(f"{source}: it has {count} levels, but num_latents names {len(num_latents)}.")
    levels = []
    for index, latents in enumerate(num_latents):
        blocks = {match[1] for name in published if (match := re.match(rf"networks\.{index}\.layers\.(\d+)\.", name))}
        latent_dim = len(published[f"networks.{index}.pre_bottleneck_proj.weight"])
        levels.append(LevelSpec(num_latents=latents, latent_dim=latent_dim, depth=len(blocks)))
    autoencoder = Autoencoder(levels=levels, width=len(published["point_embed.mlp.weight"]))
    state = {_our_name(name, count): tensor for name, tensor in published.items() if name != "point_embed.basis"}
    _load_state(autoencoder, state, source)
    return autoencoder.eval()


def _our_name(name: str, num_levels: int) -> str:
    """Name of a published parameter in `Autoencoder`."""
    rules: list[tuple[str, str]] = [
        (r"^point_embed\.mlp\.", "point_embedding.linear."),
        (r"^to_outputs\.", "to_logits."),
        (r"^networks\.(\d+)\.(gamma|beta)$", r"bottlenecks.\1.\2"),
        (r"^networks\.(\d+)\.pre_bottleneck_proj\.", r"bottlenecks.\1.down."),
        (r"^networks\.(\d+)\.post_bottleneck_proj\.", r"bottlenecks.\1.up."),
        (r"^networks\.(\d+)\.cross_attend_blocks\.", r"downsample.\1."),
        (r"^networks\.(\d+)\.layers\.", r"self_attention.\1."),
        # These two count from the coarsest level, ours from the finest.
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


def _load_state(autoencoder: Autoencoder, state: Mapping[str, Tensor], source: str | Path) -> None:
    try:
        autoencoder.load_state_dict(dict(state))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"{source}: the weights do not fit the architecture it describes: {first}") from error


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return json.loads(metadata.get("autoencoder", "{}")), state
    except (SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}).") from error


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    checkpoint = _load_torch(path)
    if not isinstance(checkpoint, dict) or not {"autoencoder", "state_dict"} <= checkpoint.keys():
        raise WeightsError(
            f"{path}: this is no checkpoint of `lagem fit` for an autoencoder. "
            "Weights of the authors come in through `lagem import-weights`."
        )
    prefix = "autoencoder."
    state = checkpoint["state_dict"].items()
    return checkpoint["autoencoder"], {
        name.removeprefix(prefix): tensor for name, tensor in state if name.startswith(prefix)
    }


def refused(path: str | Path, error: pickle.UnpicklingError) -> WeightsError:
    """What to say of a file that holds more than plain data."""
    reason = next((line for line in str(error).splitlines() if "GLOBAL" in line), "it is no plain state dict")
    return WeightsError(f"{path}: refused, because loading it would run code from the file ({reason.strip()}).")


def _load_torch(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file.")
    try:
        # The authors' files hold an argparse.Namespace, which is plain data; anything else stays refused.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path}: not a readable checkpoint ({next(iter(str(error).splitlines()), type(error).__name__)})."
        ) from error
