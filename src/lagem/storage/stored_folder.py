"""Read access to a sharded folder on a local disk, on a shared file system, or in an object store.

A mounted folder is read in place. A file of an object store is copied whole into a `FileCache`, once for all processes
of a machine, and the copy is read.
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
from lagem.storage.names import inside, regular

RETRY_AFTER = (0.5, 2.0, 8.0, 30.0)  # seconds to wait before each retry of a failed download


class StoredFolder(Protocol):
    """Read access to a folder.

    name: the folder's name in messages.
    open_files: maximum number of shards that a process keeps open.
    """

    name: str
    open_files: int

    def held(self, file: str) -> AbstractContextManager[Path]:
        """Yield the path of a file of the folder. The caller must open the file inside the `with` block.

        Raises:
            FileNotFoundError: If there is no such file.
            NameRefused: If it is not a regular file, or lies outside the folder.
        """

    def is_there(self) -> bool:
        """Return whether the folder exists; an object store has no empty folders."""

    def check_room(self, files: Collection[str], at_once: int | None) -> None:
        """Raise ValueError if this machine's cache is too small for the files that are read at the same time.

        Args:
            files: Names of all files that will be read.
            at_once: Number of these files that are read at the same time; None for all of them.
        """


class LocalFolder:
    """A folder of a mounted file system."""

    open_files = 64  # each open shard takes a memory map, and memory for its offsets

    def __init__(self, root: str | Path) -> None:
        self._root, self.name = Path(root), str(Path(root))

    def held(self, file: str) -> AbstractContextManager[Path]:
        return nullcontext(regular(inside(self._root, file)))

    def is_there(self) -> bool:
        return self._root.is_dir()

    def check_room(self, files: Collection[str], at_once: int | None) -> None:
        """Accept any number of files, since they are read in place."""


class RemoteFolder:
    """A folder in an object store, given as `s3://bucket/prefix` or another URL that fsspec supports.

    The folder's files are listed once, at construction. The object can be pickled and used after a fork, since each
    process opens its own connections.

    Args:
        url: URL of the folder.
        cache: Cache for the folder's files.
    """

    open_files = 1  # as long as a file is open, it occupies the disk even if it was evicted

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
                f"{self.name}: the cache is limited to {limit:,} bytes, but the shards have {needed:,} bytes, so "
                f"reading shapes in random order would download them again and again. Set data.init_args.shuffle to "
                f"shards, or {enough}."
            )
        raise ValueError(
            f"{self.name}: the cache is limited to {limit:,} bytes, but the ranks of this machine read from up to "
            f"{at_once} shards at the same time, up to {needed:,} bytes in total. Set {enough}, or lower "
            "data.init_args.batch_size."
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
        """Download a file to a path, and retry if the download fails or is incomplete."""
        for wait in (*RETRY_AFTER, None):
            try:
                system, root = _connected(self.name)
                system.get_file(f"{root}/{file}", str(path))
                arrived = path.stat().st_size
                if arrived == self.sizes[file]:
                    return
                problem = f"{arrived:,} of its {self.sizes[file]:,} bytes arrived"
            except FileNotFoundError:
                raise
            except PermissionError as error:
                raise self._refused(error) from error
            except Exception as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise ValueError(
                        f"{self.name}/{file}: no room for a copy of this file in {path.parent} ({error.strerror}). "
                        "Free some space, or set data.init_args.cache.folder to a folder on another disk."
                    ) from error
                problem = f"{type(error).__name__}: {error}"
            if wait is not None:
                time.sleep(wait)
        raise ValueError(
            f"{self.name}/{file}: could not be read in {len(RETRY_AFTER) + 1} tries ({problem}). If the file was "
            "replaced meanwhile, start the command again."
        )

    def _refused(self, error: Exception) -> ValueError:
        if isinstance(error, ImportError):
            return ValueError(
                f"{self.name}: this store needs a package ({error}); for s3://, run `pip install 'lagem[s3]'`."
            )
        return ValueError(
            f"{self.name}: cannot be read ({type(error).__name__}: {error}). Check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, and AWS_ENDPOINT_URL for a store that is not Amazon's."
        )


def stored_folder(root: str | Path, cache: FileCache) -> StoredFolder:
    """Return access to the folder at a path or a URL; `cache` is used for a URL only."""
    return RemoteFolder(str(root), cache) if "://" in str(root) else LocalFolder(root)


def _connected(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the folder's path in it; fsspec keeps the system for later calls."""
    from fsspec.core import url_to_fs

    # one stream per file: pieces read in parallel would be held in memory, and a failed one would leave a gap
    streams = {"max_concurrency": 1} if url.startswith("s3") else {}
    system, root = url_to_fs(url, use_listings_cache=False, **streams)
    return system, root.rstrip("/")
