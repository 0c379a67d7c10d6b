"""The weights that a user names: a file, a folder, a repository of the Hub, or weights that ship with the package.

Every command, setting and function that takes weights takes these names. If the current folder and the package have
weights of the same name, those in the current folder are used.
"""

from pathlib import Path

from lagem.pretrained import AUTOENCODERS, CASCADES, pretrained_autoencoder, pretrained_cascade
from lagem.weights.errors import WeightsError
from lagem.weights.folder import WeightsFolder, is_weights_folder
from lagem.weights.hub import fetched, is_on_hub

OF_LATENTS = "autoencoder.safetensors"  # name of the autoencoder's file in a latent cache
LAST = Path("checkpoints", "last.ckpt")


def autoencoder_file(name: str | Path) -> Path:
    """Return the file of the autoencoder that a user names; see `located_autoencoder`."""
    return located_autoencoder(name)[0]


def located_autoencoder(name: str | Path) -> tuple[Path, WeightsFolder | None]:
    """Return the file of the autoencoder that a user names, and the folder of weights that it was found in, if any.

    Args:
        name: A checkpoint of `lagem fit`; a safetensors file; a folder of weights; the folder of a run (its
            checkpoints/last.ckpt is used); a latent cache; another folder that holds only one file of weights;
            `hf://owner/name`; or one of `AUTOENCODERS` or `CASCADES`. A cascade's name gives its autoencoder.

    Raises:
        WeightsError: If there are no such weights.
    """
    path = fetched(name) if is_on_hub(name) else Path(name)
    if _is_no_folder(path):
        return path, None
    if is_weights_folder(path):
        folder = WeightsFolder(path)
        return folder.autoencoder(), folder
    if found := _in_folder(path, LAST, Path(OF_LATENTS)):
        return found, None
    if str(name) in AUTOENCODERS:
        return pretrained_autoencoder(str(name)), None
    if str(name) in CASCADES:
        folder = WeightsFolder(pretrained_cascade(str(name)))
        return folder.autoencoder(), folder
    names = ", ".join((*AUTOENCODERS, *CASCADES))
    raise _no_weights(path, f"a checkpoint, a safetensors file, a folder, hf://OWNER/NAME, or one of {names}")


def stage_file(name: str | Path) -> Path:
    """Return the file of the stage that a user names.

    Args:
        name: A checkpoint of `lagem fit`; a safetensors file; the folder of a run (its checkpoints/last.ckpt is
            used); or another folder that holds only one file of weights.

    Raises:
        WeightsError: If there are no such weights.
    """
    path = Path(name)
    if _is_no_folder(path):
        return path
    if found := _in_folder(path, LAST):
        return found
    raise _no_weights(path, "a checkpoint, a safetensors file, or the folder of a run")


def cascade_folder(name: str | Path) -> Path:
    """Return the folder of the cascade that a user names.

    Args:
        name: A folder of weights, `hf://owner/name`, or one of `CASCADES`.

    Raises:
        WeightsError: If there is no such cascade.
    """
    path = fetched(name) if is_on_hub(name) else Path(name)
    if str(name) in CASCADES and not is_weights_folder(path):
        return pretrained_cascade(str(name))
    if path.exists():
        return path
    if str(name) in AUTOENCODERS:
        raise WeightsError(f"{str(name)!r} is an autoencoder, not a cascade; load it with lagem.load_codec({name!r}).")
    raise WeightsError(
        f"there is no cascade {str(name)!r}: give {' or '.join(map(repr, CASCADES))}, a folder that lagem saved, or "
        "hf://OWNER/NAME."
    )


def _is_no_folder(path: Path) -> bool:
    """Return whether a path exists and is not a folder. A pipe or a device is refused later, when it is read."""
    return path.exists() and not path.is_dir()


def _in_folder(folder: Path, *known: Path) -> Path | None:
    """Return the first of the `known` files that exists in a folder, else the only file of weights in the folder.

    If no known file exists, and the folder holds no file of weights or several, return None.
    """
    for file in known:
        if (folder / file).is_file():
            return folder / file
    found = [*folder.glob("[!.]*.safetensors"), *folder.glob("[!.]*.ckpt")]
    return found[0] if len(found) == 1 else None


def _no_weights(path: Path, choices: str) -> WeightsError:
    if path.is_dir():
        return WeightsError(f"{path}: the folder holds no weights, or several; give the file.")
    return WeightsError(f"{path}: there is no such file, and no weights of this name; give {choices}.")
