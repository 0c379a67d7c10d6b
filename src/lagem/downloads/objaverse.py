"""Objaverse 1.0 (Deitke et al. 2023): 800,000 glb files, each with its own licence, in the folder ~/.objaverse.

The package `objaverse` keeps every finished file, so a stopped download can be resumed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from lagem.downloads.collection import DownloadedMesh, package, quiet_and_named

AT_ONCE = 32  # meshes


class Objaverse:
    """The collection Objaverse, downloaded by the package `objaverse`."""

    name = "objaverse"

    def ids(self) -> list[str]:
        library = package(self.name)
        with quiet_and_named(self.name):
            return sorted(library.load_uids())

    def fetch(self, ids: Sequence[str]) -> Iterator[DownloadedMesh]:
        library = package(self.name)
        for first in range(0, len(ids), AT_ONCE):
            some = list(ids[first : first + AT_ONCE])
            with quiet_and_named(self.name):
                about, paths = library.load_annotations(some), library.load_objects(some)
            for id in some:
                if id in paths:
                    yield _mesh(id, paths[id], about.get(id, {}))


def _mesh(id: str, path: str, about: dict[str, Any]) -> DownloadedMesh:
    categories = about.get("categories") or [{}]
    return DownloadedMesh(
        id=id,
        file=path,
        category=str(categories[0].get("name", "")),
        license=str(about.get("license", "")),
        author=str((about.get("user") or {}).get("username", "")),
    )
