"""The cache of files of an object store: always bounded, one download per file, and no eviction of a copy in use."""

import fcntl
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from lagem.storage.file_cache import FileCache

SIZE = 1000
CONTEXT = multiprocessing.get_context("fork")


def cache_of(folder: Path, files: float) -> FileCache:
    return FileCache(folder=str(folder / "cache"), gigabytes=files * SIZE / 1e9)


def bytes_held(cache: FileCache) -> int:
    return sum(path.stat().st_size for path in cache.path.iterdir())


def content(key: str) -> bytes:
    return key.encode() * (SIZE // len(key))


class Store:
    """A store with slow downloads. At the end of each download, the store writes the cache's size to a mark file."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.marks, self.seconds = folder / "marks", seconds
        self.marks.mkdir(exist_ok=True)

    def downloads(self, key: str) -> int:
        return len(list(self.marks.glob(f"{key}.*")))

    def bytes_held(self) -> list[int]:
        """Return the size of the cache in bytes at the end of each download."""
        return [int(mark.read_text()) for mark in self.marks.iterdir()]

    def read(self, cache: FileCache, key: str) -> bytes:
        def download(path: Path) -> None:
            mark = self.marks / f"{key}.{time.monotonic_ns()}.{os.getpid()}"
            mark.touch()
            with path.open("wb") as file:
                file.write(content(key)[: SIZE // 2])
                file.flush()
                time.sleep(self.seconds)
                file.write(content(key)[SIZE // 2 :])
            with (cache.path / ".lock").open("rb") as folder:
                fcntl.flock(folder, fcntl.LOCK_EX)  # no file comes or goes while they are counted
                mark.write_text(str(bytes_held(cache)))

        with cache.held(key, SIZE, download) as path:
            return path.read_bytes()


def test_a_file_is_downloaded_once(tmp_path):
    store, cache = Store(tmp_path), cache_of(tmp_path, 2)
    assert [store.read(cache, "aaaa") for _ in range(3)] == [content("aaaa")] * 3
    assert store.downloads("aaaa") == 1


def test_what_was_used_last_stays(tmp_path):
    store, cache = Store(tmp_path), cache_of(tmp_path, 2)
    for key in ("aaaa", "bbbb", "aaaa", "cccc"):
        time.sleep(0.01)  # times of use are told apart by the file system's clock
        store.read(cache, key)
    store.read(cache, "aaaa")
    assert [store.downloads(key) for key in ("aaaa", "bbbb", "cccc")] == [1, 1, 1]
    store.read(cache, "bbbb")
    assert store.downloads("bbbb") == 2


def test_a_file_larger_than_the_cache_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"aaaa has 1,000 bytes, more than the limit of the cache .* raise data.init_args.cache"
    ):
        Store(tmp_path).read(cache_of(tmp_path, 0.5), "aaaa")


def test_processes_that_want_a_file_at_once_share_one_download(tmp_path):
    store, cache = Store(tmp_path, seconds=0.3), cache_of(tmp_path, 2)
    with CONTEXT.Pool(4) as pool:
        found = pool.starmap(store.read, [(cache, "aaaa")] * 4, chunksize=1)
    assert found == [content("aaaa")] * 4
    assert store.downloads("aaaa") == 1


def test_the_bound_holds_while_processes_read_more_than_fits(tmp_path):
    store, cache = Store(tmp_path, seconds=0.002), cache_of(tmp_path, 3)
    keys = [f"{number:04d}" for number in range(8)] * 12
    with CONTEXT.Pool(4) as pool:
        assert pool.starmap(store.read, [(cache, key) for key in keys], chunksize=1) == [content(key) for key in keys]
    assert max(store.bytes_held()) == 3 * SIZE


def test_a_reader_keeps_its_file_while_others_fill_the_cache(tmp_path):
    store, cache = Store(tmp_path), cache_of(tmp_path, 2)
    store.read(cache, "aaaa")
    with cache.held("aaaa", SIZE, lambda path: pytest.fail("it is there")) as path, CONTEXT.Pool(1) as pool:
        pool.starmap(store.read, [(cache, "bbbb"), (cache, "cccc"), (cache, "dddd")])
        assert path.read_bytes() == content("aaaa")
    assert bytes_held(cache) == 2 * SIZE


def test_a_download_that_fails_leaves_nothing_and_goes_to_the_next_process(tmp_path):
    cache = cache_of(tmp_path, 2)

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise ValueError("the network is gone")

    with pytest.raises(ValueError, match="the network is gone"), cache.held("aaaa", SIZE, fails):
        pass
    assert [path.name for path in cache.path.iterdir()] == [".lock"]
    assert Store(tmp_path).read(cache, "aaaa") == content("aaaa")


def test_a_killed_download_is_done_by_another_process_and_its_bytes_are_freed(tmp_path):
    slow, store, cache = Store(tmp_path, seconds=60), Store(tmp_path), cache_of(tmp_path, 1)
    process = CONTEXT.Process(target=slow.read, args=(cache, "aaaa"))
    process.start()
    while not list(cache.path.glob(".*aaaa.tmp")):
        assert process.is_alive()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert store.read(cache, "bbbb") == content("bbbb")  # fits only if the half-written file is removed
    assert not list(cache.path.glob(".*.tmp"))
    assert store.read(cache, "aaaa") == content("aaaa")


def test_a_copy_cut_short_on_the_disk_is_downloaded_again(tmp_path):
    store, cache = Store(tmp_path), cache_of(tmp_path, 2)
    store.read(cache, "aaaa")
    (copy,) = cache.path.glob("*aaaa")
    os.truncate(copy, SIZE // 2)
    assert store.read(cache, "aaaa") == content("aaaa")
    assert store.downloads("aaaa") == 2


def test_files_of_others_are_neither_evicted_nor_counted(tmp_path):
    store, cache = Store(tmp_path), cache_of(tmp_path, 1)
    store.read(cache, "aaaa")
    foreign = [folder / name for folder in (cache.path.parent, cache.path) for name in ("2024-thesis.tar", "notes.txt")]
    for path in foreign:
        path.write_bytes(b"kept")
    assert store.read(cache, "bbbb") == content("bbbb")
    assert [path.read_bytes() for path in foreign] == [b"kept"] * 4
    assert [path.name for path in cache.path.glob("copy-*")] == ["copy-1000-bbbb"]


def test_a_cache_that_another_user_has_made_in_the_temporary_folder_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache = FileCache()
    with cache.held("key", 3, lambda path: path.write_bytes(b"abc")) as copy:
        assert copy.read_bytes() == b"abc"
    other = os.getuid() + 1
    cache.path.rename(tmp_path / f"lagem-cache-{other}")
    monkeypatch.setattr("os.getuid", lambda: other)
    with pytest.raises(ValueError, match="belongs to another user"), cache.held("key", 3, lambda path: None):
        pass
