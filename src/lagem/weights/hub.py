"""The Hugging Face Hub: folders of weights are fetched from it by `hf://owner/name`, and pushed to it.

This module needs the package huggingface_hub, which the extra `hub` installs. A fetched folder is read like any other
folder.
"""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lagem.weights.errors import WeightsError, quoted
from lagem.weights.folder import CARD, CONFIG

PREFIX = "hf://"
NAME = re.compile(PREFIX + r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def is_on_hub(name: str | Path) -> bool:
    """Return whether a name begins with `hf://`, which means a repository of the Hub."""
    return str(name).startswith(PREFIX)


def fetched(name: str | Path) -> Path:
    """Return the local folder of a repository of the Hub; download the repository if the local cache does not have it.

    Args:
        name: `hf://owner/name`, or `hf://owner/name@revision` for a branch, a tag or a commit.

    Raises:
        WeightsError: If the repository cannot be fetched.
    """
    found = NAME.fullmatch(str(name))
    if found is None or ".." in str(name):
        raise WeightsError(
            f"{name}: is not the name of a repository; give hf://OWNER/NAME or hf://OWNER/NAME@REVISION."
        )
    hub = _hub(name)
    try:
        folder = hub.snapshot_download(
            found["repository"],
            revision=found["revision"],
            allow_patterns=[CONFIG, "*.safetensors", CARD],
            **_library(),
        )
    except Exception as error:  # the errors of the Hub, of its HTTP client and of the disk
        raise WeightsError(
            f"{name}: cannot be fetched ({type(error).__name__}: {quoted(error)}); check the name and the network. For "
            "a private repository, run `hf auth login` first."
        ) from error
    return Path(folder)


def pushed(save: Callable[[Path], object], name: str, *, private: bool) -> str:
    """Upload a folder of weights to a repository of the Hub.

    If the repository does not exist, it is created. If the repository already has a model card (README.md), it is kept.

    Args:
        save: Writes the folder to a path.
        name: `owner/name`.
        private: Whether a new repository is private.

    Returns:
        The address of the repository.

    Raises:
        WeightsError: If the folder cannot be uploaded.
    """
    hub = _hub(name)
    with TemporaryDirectory() as folder:
        save(Path(folder) / "weights")
        try:
            api = hub.HfApi(**_library())
            address = api.create_repo(name, private=private, exist_ok=True)
            kept = [CARD] if api.file_exists(name, CARD) else None
            api.upload_folder(repo_id=name, folder_path=Path(folder) / "weights", ignore_patterns=kept)
        except Exception as error:  # the errors of the Hub, of its HTTP client and of the disk
            raise WeightsError(
                f"{name}: cannot be pushed ({type(error).__name__}: {quoted(error)}); check the name and the network, "
                "and run `hf auth login` first."
            ) from error
    return str(address)


def _library() -> dict[str, str]:
    from lagem import __version__

    return {"library_name": "lagem", "library_version": __version__}


def _hub(name: str | Path) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise WeightsError(f"{name}: the Hub needs a package; run `pip install 'lagem[hub]'`.") from None
    return huggingface_hub
