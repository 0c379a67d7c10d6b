"""Thingi10K (Zhou and Jacobson 2016): 10,000 models for 3D printing, each with its own licence.

The package `thingi10k` downloads one archive of all original files, and keeps it unpacked in the cache of Hugging Face
data sets.
"""

from collections.abc import Iterator, Sequence

from lagem.downloads.collection import DownloadedMesh, package, quiet_and_named


class Thingi10K:
    """The collection Thingi10K, downloaded by the package `thingi10k`."""

    name = "thingi10k"

    def ids(self) -> list[str]:
        library = package(self.name)
        with quiet_and_named(self.name):
            library.init(variant="raw")
            return sorted(str(entry["file_id"]) for entry in library.dataset())

    def fetch(self, ids: Sequence[str]) -> Iterator[DownloadedMesh]:
        library = package(self.name)
        with quiet_and_named(self.name):
            library.init(variant="raw")
            entries = {str(entry["file_id"]): entry for entry in library.dataset()}
        for id in ids:
            if (entry := entries.get(id)) is not None:
                yield DownloadedMesh(
                    id=id,
                    file=entry["file_path"],
                    category=entry["category"] or "",
                    license=entry["license"] or "",
                    author=entry["author"] or "",
                )
