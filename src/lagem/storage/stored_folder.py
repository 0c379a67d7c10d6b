"""Where a folder of shards is stored: on a disk of this machine, on a shared file system, or in an object store.

A local folder is read in place. Files of a store are copied whole into a `FileCache`, once for all processes of a
machine, and read there.
"""

import errno
import hashlib
import math
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from lagem.storage.file_cache import FileCache

RETRY_AFTER = (0.5, 2.0, 8.0, 30.0)  # seconds before each further try of a download that failed


class StoredFolder(Protocol):
    """A folder that is read.

    name: what messages call it.
    open_files: most of its shards that a process keeps open.
    """

    name: str
    open_files: int

    def held(self, file: str) -> AbstractContextManager[Path]:
        """Path of a file, to be opened inside the `with`; FileNotFoundError where the folder has none of this name."""

    def is_there(self) -> bool:
        """Whether there is such a folder, with or without files."""

    def check_room(self, files: Collection[str], at_once: int | None) -> None:
        """ValueError where this machine cannot hold `at_once` of the files, or None for all, at the same time."""


class LocalFolder:
    """A folder that the system mounts."""

    open_files = 64  # each costs a memory map and its offsets

    def __init__(self, root: str | Path) -> None:
        self._root, self.name = Path(root), str(Path(root))

    def held(self, file: str) -> AbstractContextManager[Path]:
        return nullcontext(self._root / file)

    def is_there(self) -> bool:
        return self._root.is_dir()

    def check_room(self, files: Collection[str], at_once: int | None) -> None:
        """Files are read in place, which takes no room."""


class RemoteFolder:
    """A folder in a store, `s3://bucket/prefix` or what else fsspec opens, as it is when this object is made.

    Can be pickled, and used after a fork: each process makes its own connections.

    Args:
        url: The folder.
        cache: Takes its files.
    """

    open_files = 1  # an evicted file that is open still fills the disk

    def __init__(self, url: str, cache: FileCache) -> None:
        self.name, self.cache = url.rstrip("/"), cache
        self._versions: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        for inner in ("", "shards/"):
            for entry in self._listed(inner):
                if entry["type"] == "file":
                    file = inner + entry["name"].rpartition("/")[2]
                    self.sizes[file] = int(entry["size"])
                    changes = entry.get("ETag") or entry.get("mtime") or sorted(entry.items())
                    version = f"{self.name}/{file} {changes}"
                    self._versions[file] = hashlib.blake2b(version.encode(), digest_size=8).hexdigest()

    def is_there(self) -> bool:
        return bool(self.sizes)

    def check_room(self, files: Collection[str], at_once: int | None) -> None:
        sizes = sorted((self.sizes.get(file, 0) for file in files), reverse=True)
        needed, limit = sum(sizes[:at_once]), self.cache.limit
        if needed <= limit:
            return
        enough = f"data.init_args.cache.gigabytes to at least {math.ceil(needed / 1e8) / 10}"
        if at_once is None:
            raise ValueError(
                f"{self.name}: the cache may hold {limit:,} bytes, but the shards have {needed:,}, so shapes in random "
                f"order would be downloaded again and again. Set data.init_args.shuffle to shards, or {enough}."
            )
        raise ValueError(
            f"{self.name}: the cache may hold {limit:,} bytes, but the ranks of this machine read from up to {at_once} "
            f"shards at the same time, which have {needed:,}. Set {enough}, or lower data.init_args.batch_size."
        )

    @contextmanager
    def held(self, file: str) -> Iterator[Path]:
        if file not in self.sizes:
            raise FileNotFoundError(f"{self.name}/{file}")
        key = f"{self._versions[file]}-{file.rpartition('/')[2]}"
        with self.cache.held(key, self.sizes[file], lambda path: self._download(file, path)) as copy:
            yield copy

    def _listed(self, inner: str) -> list[dict[str, Any]]:
        try:
            system, root = _connected(self.name)
            return system.ls(f"{root}/{inner}", detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._refused(error) from error

    def _download(self, file: str, path: Path) -> None:
        """Write a file to a path; try again where it does not come whole."""
        for wait in (*RETRY_AFTER, None):
            try:
                system, root = _connected(self.name)
                system.get_file(f"{root}/{file}", str(path))
                came = path.stat().st_size
                if came == self.sizes[file]:
                    return
                problem = f"{came:,} of its {self.sizes[file]:,} bytes came"
            except FileNotFoundError:
                raise
            except PermissionError as error:
                raise self._refused(error) from error
            except Exception as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise ValueError(
                        f"{self.name}/{file}: no room for its copy in {path.parent} ({error.strerror}). Free some, or "
                        "name a folder on another disk by data.init_args.cache.folder."
                    ) from error
                problem = f"{type(error).__name__}: {error}"
            if wait is not None:
                time.sleep(wait)
        raise ValueError(
            f"{self.name}/{file}: could not be read in {len(RETRY_AFTER) + 1} tries ({problem}). If it was written "
            "anew, start again."
        )

    def _refused(self, error: Exception) -> ValueError:
        if isinstance(error, ImportError):
            return ValueError(f"{self.name}: this store needs a package: {error} (for s3://, pip install 'lagem[s3]').")
        return ValueError(
            f"{self.name}: cannot be read ({type(error).__name__}: {error}). Check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL for a store that is not Amazon's."
        )


def stored_folder(root: str | Path, cache: FileCache) -> StoredFolder:
    """The folder of a path, or of a URL."""
    return RemoteFolder(str(root), cache) if "://" in str(root) else LocalFolder(root)


def _connected(url: str) -> tuple[Any, str]:
    """This process's file system for a URL, and the path in it; fsspec keeps one for each process."""
    from fsspec.core import url_to_fs

    # one stream a file: pieces side by side would be held in memory, and a missing one would leave a hole in the file
    streams = {"max_concurrency": 1} if url.startswith("s3") else {}
    system, root = url_to_fs(url, use_listings_cache=False, **streams)
    return system, root.rstrip("/")
