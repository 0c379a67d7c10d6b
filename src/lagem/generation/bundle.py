"""Cascades as folders of weights: an autoencoder, and a stage for each of its levels.

When such a folder is written or read, its networks are checked to belong together.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lagem.device import named_device
from lagem.generation.generator import CascadedGenerator
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.models.denoiser import Backbone
from lagem.reconstruction.codec import ShapeCodec
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.fingerprint import check_fingerprint, encoder_of, fingerprint_of
from lagem.weights.folder import REMEDY, WeightsFolder
from lagem.weights.named import cascade_folder
from lagem.weights.saving import save_weights
from lagem.weights.stage import StageSpec, load_stage


class BundleError(ValueError):
    """Raised if networks do not make a cascade; the message names the faulty file or the missing level."""


def write_bundle(
    autoencoder: str | Path,
    stages: Sequence[str | Path],
    output: str | Path,
    *,
    trained_with: str | Path | None = None,
    half: bool = False,
) -> Path:
    """Write a folder of weights from files, whole or not at all.

    Args:
        autoencoder: Name or path of the autoencoder, as `load_codec` takes it.
        stages: For each level, the weights of one stage, in any order: a checkpoint of `lagem fit`, a safetensors
            file, or the folder of a run. If there are no stages, the folder of weights holds only the autoencoder.
        output: Folder to create.
        trained_with: Name or path of the autoencoder whose latents the stages learned, if the given one has the same
            encoder but another decoder (`freeze_encoder` in `AutoencoderModule`). None means the given one.
        half: Store the weights as float16, which halves the size and changes samples in the last digits.

    Returns:
        The folder.

    Raises:
        ValueError: If the files do not belong together, or if the folder already exists.
    """
    network, network_spec = load_autoencoder(autoencoder)
    fingerprint = fingerprint_of(network)
    learned = network if trained_with is None else load_autoencoder(trained_with)[0]
    if not _have_the_same_encoder(learned, network):
        raise BundleError(
            f"{autoencoder}: its encoder is not that of {trained_with}, so the stages learned other latents than its "
            "own. Give an autoencoder that started from the other one and was trained with freeze_encoder."
        )
    levels, loaded = tuple(network.levels), [(Path(path), *load_stage(path)) for path in stages]
    learned_fingerprint = fingerprint_of(learned)
    for path, _, spec in loaded:
        check_fingerprint(learned_fingerprint, spec.autoencoder, f"the stage {path}")
    if loaded:
        _check_together(learned.levels, [(path, spec) for path, _, spec in loaded])
    # Embeddings of partial clouds stay the same too.
    now = {encoder_of(learned_fingerprint): encoder_of(fingerprint)}
    kept = [
        (backbone, replace(spec, levels=levels, autoencoder=fingerprint, encoder=now.get(spec.encoder, spec.encoder)))
        for _, backbone, spec in loaded
    ]
    return save_weights(network, network_spec, kept, output, half=half)


def load_bundle(path: str | Path) -> CascadedGenerator:
    """Read a cascade from a folder of weights, without running code from it.

    Raises:
        ValueError: If the folder holds no cascade, or a file is damaged; the message names the file.
    """
    folder = WeightsFolder(Path(path))
    if not folder.has_stages:
        raise BundleError(f"{folder.config}: holds an autoencoder without stages; load it with lagem.load_codec.")
    codec = ShapeCodec(*load_autoencoder(folder))
    files = [folder.stage(level) for level in range(1, len(codec.spec.levels) + 1)]
    stages: list[tuple[Backbone, StageSpec]] = [load_stage(file) for file in files]
    for level, (file, (_, spec)) in enumerate(zip(files, stages, strict=True), 1):
        if spec.level != level:
            raise BundleError(f"{file}: this stage makes level {spec.level}, not {level}; {REMEDY}.")
        check_fingerprint(folder.fingerprint, spec.autoencoder, f"the stage {file}")
    _check_together(codec.spec.levels, [(file, spec) for file, (_, spec) in zip(files, stages, strict=True)])
    stated, names = folder.category_names, list(stages[0][1].category_names)
    if stated is not None and stated != names:
        raise BundleError(
            f"{folder.config}: category_names is {reprlib.repr(stated)}, but the stages have {reprlib.repr(names)}; "
            f"{REMEDY}. The categories of trained stages cannot be edited."
        )
    return CascadedGenerator(codec, stages)


def load_cascade(name: str | Path = "furniture", *, device: str = "cpu") -> CascadedGenerator:
    """Load a cascade.

    Args:
        name: `furniture` or `meshes`, which ship with the package; a folder that `lagem bundle` or
            `CascadedGenerator.save` wrote; or `hf://owner/name`, such a folder on the Hugging Face Hub.
        device: A torch device, or `auto` for a GPU if there is one.

    Raises:
        ValueError: If there is no such cascade, it is damaged, or the device cannot be used.
    """
    return load_bundle(cascade_folder(name)).to(named_device(device))


def _have_the_same_encoder(first: Autoencoder, second: Autoencoder) -> bool:
    """Return whether two autoencoders encode all points to the same latents, because their encoders are the same."""
    levels, others = ([replace(level, depth=0) for level in network.levels] for network in (first, second))
    ours, theirs = (network.encoder_layers.state_dict() for network in (first, second))
    return (
        levels == others
        and first.single_head_cross == second.single_head_cross
        and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    )


def _check_together(levels: Sequence[LevelSpec], specs: Sequence[tuple[Path, StageSpec]]) -> None:
    """Raise BundleError unless every level has exactly one stage, and all stages fit the levels and each other."""
    by_level: dict[int, Path] = {}
    for path, spec in specs:
        if spec.levels != tuple(levels):
            raise BundleError(
                f"{path}: this stage was made for the levels {list(spec.levels)}, but the autoencoder has the levels "
                f"{list(levels)}; give a stage of this autoencoder."
            )
        for name in ("num_categories", "category_names", "condition_dim", "encoder"):
            (first_path, first), found = specs[0], getattr(spec, name)
            if found != getattr(first, name):
                raise BundleError(
                    f"{path} has {name} {found}, but {first_path} has {getattr(first, name)}; give stages that agree."
                )
        other, known = next(((other, stated.up) for other, stated in specs if stated.up is not None), (path, None))
        if spec.up not in (None, known):  # stages of earlier versions do not state it
            raise BundleError(
                f"{path} learned shapes with {spec.up} up, but {other} learned shapes with {known} up; give stages "
                "that agree."
            )
        if spec.level in by_level:
            raise BundleError(
                f"{by_level[spec.level]} and {path} both make level {spec.level}; give one stage for each level."
            )
        by_level[spec.level] = path
    if missing := [level for level in range(1, len(levels) + 1) if level not in by_level]:
        raise BundleError(f"no stage makes level {', '.join(map(str, missing))}; give one stage for each level.")
