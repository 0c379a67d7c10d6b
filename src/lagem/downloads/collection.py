"""`Collection` is the interface of a downloadable collection of meshes. `DownloadedMesh` is one of its meshes."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from types import ModuleType
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class DownloadedMesh:
    """A mesh on the disk.

    file: Path of the file.
    category: Category in the collection; "" if it has none.
    license: Licence of the mesh, in the words of the collection.
    author: Name of the author, whom the licence may require you to credit.
    """

    id: str
    file: str
    category: str
    license: str
    author: str


class Collection(Protocol):
    """A collection of meshes.

    name: Name of the collection, and of the Python package that downloads it.
    """

    name: str

    def ids(self) -> list[str]:
        """Return the ids of all meshes."""

    def fetch(self, ids: Sequence[str]) -> Iterator[DownloadedMesh]:
        """Yield the meshes with these ids, and download those that are not on the disk yet."""


def package(name: str) -> ModuleType:
    """Import and return the Python package of a collection.

    Raises:
        ValueError: If the package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(f"{name}: its package is not installed; run `pip install {name}`.") from None


@contextmanager
def quiet_and_named(name: str) -> Iterator[None]:
    """Hide what a package prints inside the `with`. If the package fails, raise ValueError with a message of one line.

    The usual cause of a failure is a missing internet connection.

    Args:
        name: Name of the collection, for the message.
    """
    try:
        with redirect_stdout(StringIO()):
            yield
    except Exception as error:  # raised by its HTTP client, its readers or the disk
        text = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{name}: cannot be downloaded ({type(error).__name__}: {text}); check the network and the disk. The same "
            "command resumes the download."
        ) from error
