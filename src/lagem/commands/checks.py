"""Checks of arguments for which torch is not needed, made by verbs before they import it, which takes seconds.

Each check accepts what it cannot judge; the work itself checks everything again.
"""

from collections.abc import Iterable
from pathlib import Path

from lagem.sources.data import DataKind, data_kind
from lagem.storage.atomic import check_folder
from lagem.weights.hub import is_on_hub
from lagem.weights.named import autoencoder_file, cascade_folder, stage_file


def check_autoencoder(name: str | Path) -> None:
    """Raise ValueError if a name means no weights of an autoencoder."""
    if not is_on_hub(name) and not Path(name).exists():
        autoencoder_file(name)


def check_stages(names: Iterable[str | Path]) -> None:
    """Raise ValueError if a name means no weights of a stage."""
    for name in names:
        if not Path(name).exists():
            stage_file(name)


def check_cascade(name: str | Path) -> None:
    """Raise ValueError if a name means no cascade."""
    if not is_on_hub(name) and not Path(name).exists():
        cascade_folder(name)


def check_data(data: str | Path, *accepted: DataKind) -> None:
    """Raise ValueError if a DATA argument names nothing, or data of a kind that is not accepted."""
    data_kind(data, accepted=accepted)


def check_output(folder: Path) -> None:
    """Raise ValueError if results cannot be written to a folder."""
    check_folder(folder)


def check_any_there(paths: Iterable[Path], remedy: str) -> None:
    """Raise ValueError if all files or folders are missing; the work itself lists a single missing one."""
    paths = list(paths)
    if not any(path.exists() for path in paths):
        check_there(paths, remedy)


def check_there(paths: Iterable[Path], remedy: str) -> None:
    """Raise ValueError, which ends in the remedy, if one of the files or folders is missing."""
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: there is no such file or folder; {remedy}.")
