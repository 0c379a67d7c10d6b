"""A folder in an object store other than S3.

A changed file is fetched again. If the local disk is full, the error is reported at once, without a retry.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest

from lagem.storage.file_cache import FileCache
from lagem.storage.stored_folder import RemoteFolder


@pytest.fixture
def url() -> Iterator[str]:
    """URL of a folder in the memory of this process; its listing has neither ETag nor mtime."""
    system = fsspec.filesystem("memory")
    system.pipe_file("/stored/index.csv", b"before")
    yield "memory://stored"
    system.rm("/stored", recursive=True)


class FullDisk(FileCache):
    """A cache that writes every copy to a device that is always full."""

    @contextmanager
    def held(self, key: str, size: int, download: Callable[[Path], None]) -> Iterator[Path]:
        download(Path("/dev/full"))
        yield Path("/dev/full")


def read(url: str, cache: FileCache) -> bytes:
    with RemoteFolder(url, cache).held("index.csv") as path:
        return path.read_bytes()


def test_a_file_written_anew_with_the_same_size_comes_anew(url, tmp_path):
    cache = FileCache(folder=str(tmp_path))
    assert read(url, cache) == b"before"
    fsspec.filesystem("memory").pipe_file("/stored/index.csv", b"after!")
    assert read(url, cache) == b"after!"


def test_a_full_disk_is_not_tried_again_and_its_setting_is_named(url):
    with pytest.raises(
        ValueError, match=r"index.csv: no room .*No space left.*cache.folder to a folder on another disk\.$"
    ):
        read(url, FullDisk())
