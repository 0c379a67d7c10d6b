"""Checks that verbs make on their arguments before they import torch, so that a mistake is reported at once.

An argument that cannot be checked without torch is accepted here. When the verb runs, it checks all arguments again.
"""

from collections.abc import Iterable
from pathlib import Path

from lagem.sources.data import DataKind, data_kind
from lagem.storage.atomic import check_folder
from lagem.weights.hub import is_on_hub
from lagem.weights.named import autoencoder_file, cascade_folder, stage_file


def check_autoencoder(name: str | Path) -> None:
    """Raise ValueError if a name is neither an existing path nor the name of weights in the package.

    A name of the form hf://OWNER/NAME is not checked.
    """
    if not is_on_hub(name) and not Path(name).exists():
        autoencoder_file(name)


def check_stages(names: Iterable[str | Path]) -> None:
    """Raise ValueError if the file or folder of a stage does not exist."""
    for name in names:
        if not Path(name).exists():
            stage_file(name)


def check_cascade(name: str | Path) -> None:
    """Raise ValueError if a name is neither an existing path nor the name of a cascade in the package.

    A name of the form hf://OWNER/NAME is not checked.
    """
    if not is_on_hub(name) and not Path(name).exists():
        cascade_folder(name)


def check_data(data: str | Path, *accepted: DataKind) -> None:
    """Raise ValueError if the DATA argument names data that do not exist, or whose kind is not in `accepted`."""
    data_kind(data, accepted=accepted)


def check_output(folder: Path) -> None:
    """Raise ValueError if results cannot be written to a folder."""
    check_folder(folder)


def check_any_there(paths: Iterable[Path], remedy: str) -> None:
    """Raise ValueError if none of the files or folders exists; the message ends with `remedy`.

    If at least one exists, this check passes. The calling `lagem` command reports the missing ones later.
    """
    paths = list(paths)
    if not any(path.exists() for path in paths):
        check_there(paths, remedy)


def check_there(paths: Iterable[Path], remedy: str) -> None:
    """Raise ValueError if one of the files or folders is missing; the message ends with `remedy`."""
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: there is no such file or folder; {remedy}.")
