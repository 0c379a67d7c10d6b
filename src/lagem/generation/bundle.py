"""Bundles: a whole cascade in one folder, with an autoencoder and a stage for each of its levels.

Writing a bundle checks that its files belong together. `cascade.json` lists the safetensors files with their hashes, so
that a damaged bundle is noticed before it is used. It also records the fingerprint of the autoencoder. Reading a bundle
computes that fingerprint again from the weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lagem.device import named_device
from lagem.generation.generator import CascadedGenerator
from lagem.levels import LevelSpec
from lagem.models.denoiser import Backbone
from lagem.pretrained import pretrained_autoencoder
from lagem.reconstruction.codec import ShapeCodec
from lagem.storage.atomic import new_folder, write_json
from lagem.storage.checked.description import read_description
from lagem.storage.checked.digest import sha256_of
from lagem.storage.names import checked_name, inside
from lagem.weights.autoencoder import load_autoencoder, save_autoencoder
from lagem.weights.fingerprint import check_fingerprint, fingerprint_of
from lagem.weights.named import AUTOENCODER, CONTENTS, cascade_folder
from lagem.weights.stage import StageSpec, load_stage, save_stage

FORMAT = "lagem-cascade-1"


class BundleError(ValueError):
    """Raised if a bundle cannot be made or read; the message names the faulty file."""


def write_bundle(
    autoencoder: str | Path, stages: Sequence[str | Path], output: str | Path, *, half: bool = False
) -> Path:
    """Write a bundle, whole or not at all.

    Args:
        autoencoder: Name or path of the autoencoder, as `load_codec` takes it.
        stages: For each level, the weights of one stage, in any order: a checkpoint of `lagem fit`, a safetensors
            file, or the folder of a run.
        output: Folder to create.
        half: Store the weights as float16, which halves the size and changes samples in the last digits.

    Returns:
        The folder.

    Raises:
        ValueError: If the files do not belong together (the message names the wrong file), or if the folder already
            exists.
    """
    output = Path(output)
    if output.exists():
        raise BundleError(f"{output} already exists. Remove this folder, or give another --output.")
    network, network_spec = load_autoencoder(autoencoder)
    fingerprint = fingerprint_of(network)
    loaded = [(Path(path), *load_stage(path)) for path in stages]
    for path, _, spec in loaded:
        check_fingerprint(fingerprint, spec.autoencoder, f"the stage {path}")
    _check_together(network.levels, [(path, spec) for path, _, spec in loaded])
    with new_folder(output) as folder:
        save_autoencoder(network, folder / AUTOENCODER, num_surface_points=network_spec.num_surface_points, half=half)
        for _, backbone, spec in loaded:
            save_stage(backbone, spec, folder / f"level_{spec.level}.safetensors", half=half)
        contents = {
            "format": FORMAT,
            "autoencoder": fingerprint,
            "autoencoder_as_stored": fingerprint_of(load_autoencoder(folder / AUTOENCODER)[0]),  # differs if `half`
            "precision": "float16" if half else "float32",
            "category_names": loaded[0][2].category_names,
            "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
        }
        write_json(folder / CONTENTS, contents, indent=2, ensure_ascii=True)
    return output


def load_bundle(path: str | Path) -> CascadedGenerator:
    """Read a bundle without running code from it.

    A bundle may lack its autoencoder if this autoencoder ships with the package.

    Raises:
        ValueError: If the folder is not a bundle, or a file in it is damaged; the message names the folder or the file.
    """
    folder = Path(path)
    contents = _contents(folder)
    own = folder / AUTOENCODER
    shipped = not own.exists() and sha256_of(pretrained_autoencoder()) == contents["sha256"].get(AUTOENCODER)
    for name, expected in contents["sha256"].items():
        file = inside(folder, checked_name(name, folder / CONTENTS))
        if not (shipped and file == own) and (not file.is_file() or sha256_of(file) != expected):
            raise BundleError(f"{file}: missing or damaged; copy or make the bundle again.")
    codec = ShapeCodec(*load_autoencoder(pretrained_autoencoder() if shipped else own))
    files = [folder / f"level_{level}.safetensors" for level in range(1, len(codec.spec.levels) + 1)]
    for file in (own, *files):
        if file.name not in contents["sha256"]:
            raise BundleError(f"{folder / CONTENTS}: lacks the sha256 of {file.name}; copy or make the bundle again.")
    _check_autoencoder(codec, contents, folder)
    stages: list[tuple[Backbone, StageSpec]] = [load_stage(file) for file in files]
    for level, (file, (_, spec)) in enumerate(zip(files, stages, strict=True), 1):
        if spec.level != level:
            raise BundleError(
                f"{file}: this stage makes level {spec.level}, not {level}; copy or make the bundle again."
            )
        check_fingerprint(contents["autoencoder"], spec.autoencoder, f"the stage {file}")
    _check_together(codec.spec.levels, [(file, spec) for file, (_, spec) in zip(files, stages, strict=True)])
    return CascadedGenerator(codec, stages)


def load_cascade(name: str | Path = "furniture", *, device: str = "cpu") -> CascadedGenerator:
    """Load a cascade.

    Args:
        name: `furniture` or `meshes`, which ship with the package, or the folder of a bundle.
        device: A torch device, or `auto` for a GPU if there is one.

    Raises:
        ValueError: If there is no such cascade, it is damaged, or the device cannot be used.
    """
    return load_bundle(cascade_folder(name)).to(named_device(device))


def _check_together(levels: Sequence[LevelSpec], specs: Sequence[tuple[Path, StageSpec]]) -> None:
    """Raise BundleError unless every level has exactly one stage, and all stages fit the levels and each other."""
    by_level: dict[int, Path] = {}
    for path, spec in specs:
        if spec.levels != tuple(levels):
            raise BundleError(
                f"{path}: this stage was made for the levels {list(spec.levels)}, but the autoencoder has the levels "
                f"{list(levels)}; give a stage of this autoencoder."
            )
        for name in ("num_categories", "category_names", "condition_dim"):
            (first_path, first), found = specs[0], getattr(spec, name)
            if found != getattr(first, name):
                raise BundleError(
                    f"{path} has {name} {found}, but {first_path} has {getattr(first, name)}; give stages that agree."
                )
        if spec.level in by_level:
            raise BundleError(
                f"{by_level[spec.level]} and {path} both make level {spec.level}; give one stage for each level."
            )
        by_level[spec.level] = path
    if missing := [level for level in range(1, len(levels) + 1) if level not in by_level]:
        raise BundleError(f"no stage makes level {', '.join(map(str, missing))}; give one stage for each level.")


def _check_autoencoder(codec: ShapeCodec, contents: dict[str, Any], folder: Path) -> None:
    """Raise ValueError unless the autoencoder's weights are those with which the bundle was made.

    Storing weights in half precision changes the autoencoder's fingerprint. Earlier versions of lagem recorded only the
    fingerprint of the original weights, so their half-precision bundles cannot be checked and are refused.
    """
    recorded = str(contents.get("autoencoder_as_stored", contents["autoencoder"]))
    is_unchecked = "autoencoder_as_stored" not in contents and contents.get("precision") == "float16"
    if is_unchecked and codec.fingerprint != recorded:
        raise BundleError(
            f"{folder / CONTENTS}: lacks the field autoencoder_as_stored, so lagem cannot check whether the stages "
            "belong to the autoencoder. Earlier versions of lagem wrote such bundles in half precision. Make the "
            "bundle again from the weights of the runs, with `lagem bundle --half`."
        )
    check_fingerprint(codec.fingerprint, recorded, f"the bundle {folder}")


def _contents(folder: Path) -> dict[str, Any]:
    path = folder / CONTENTS
    if not path.is_file():
        lacks = f"there is no {CONTENTS} in it" if folder.is_dir() else "there is no such folder"
        raise BundleError(f"{folder}: not a bundle of `lagem bundle` ({lacks}); give the folder of a bundle.")
    try:
        contents = read_description(path, remedy="copy or make the bundle again")
        contents.text("format", choices=(FORMAT,))
        contents.text("autoencoder")
        for name in contents.object("sha256").values:
            contents.object("sha256").text(name)
    except ValueError as error:
        raise BundleError(str(error)) from None
    return contents.values
