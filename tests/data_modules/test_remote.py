"""A data set in an S3 store gives the samples of a local copy; processes share downloads; an error is one line."""

import itertools
import threading
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
import torch

from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.prepared.shard_file import ShardFile, write_shard
from lagem.prepared.shards import Shards
from lagem.storage.file_cache import FileCache

COUNTS = {"num_surface_points": 32, "num_volume_queries": 16, "num_near_queries": 16}


@pytest.fixture
def bucket(request) -> str:
    """Return the name of a bucket, which is different for each test."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[-60:].strip("-")


@pytest.fixture
def url(store, many_shards, bucket) -> str:
    return store.upload(many_shards, bucket)


def room_for(shards: int, folder: Path) -> int:
    """Return how many bytes are enough for this number of shards of a folder, whichever they are."""
    return shards * max(path.stat().st_size for path in (folder / "shards").iterdir())


def module(root, cache_folder, room=10**9, place=(0, 1), **kwargs) -> OccupancyDataModule:
    cache = FileCache(folder=str(cache_folder), gigabytes=room / 1e9)
    data = OccupancyDataModule(root=str(root), cache=cache, **{"num_workers": 0, "batch_size": 2, **COUNTS, **kwargs})
    data._rank = lambda: place
    data.setup("fit")
    return data


@pytest.mark.parametrize("shuffle", ["shapes", "shards"])
def test_a_store_gives_the_tensors_of_the_local_folder(url, many_shards, tmp_path, shuffle):
    remote, local = (
        module(root, tmp_path / "cache", shuffle=shuffle, num_workers=workers)
        for root, workers in ((url, 2), (many_shards, 0))
    )
    for loader in ("train_dataloader", "val_dataloader"):
        pairs = list(zip(getattr(remote, loader)(), getattr(local, loader)(), strict=True))
        assert len(pairs) == (20 if loader == "train_dataloader" else 3)
        for ours, theirs in pairs:
            assert ours.ids == theirs.ids
            assert torch.equal(ours.surface_points, theirs.surface_points)
            assert torch.equal(ours.near_points, theirs.near_points)


def test_processes_share_one_download_of_each_shard(store, url, bucket, tmp_path):
    data = module(url, tmp_path / "cache", num_workers=4)
    assert len(list(data.train_dataloader())) == 20
    assert Counter(store.downloads(bucket)).most_common(1)[0][1] == 1
    assert len(store.downloads(bucket)) == 12


def bytes_in(folder: Path) -> int:
    """Return the size of a folder's files in bytes, without files that a loading process removes meanwhile."""
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_each_rank_reads_its_own_part_once_in_a_cache_smaller_than_the_data(store, url, bucket, many_shards, tmp_path):
    """Each rank has one loading process. On a busy machine, one of two can fall behind, and then needs an old shard."""
    room = room_for(4, many_shards)
    for rank in range(2):
        cache = tmp_path / f"cache_{rank}"
        data = module(url, cache, room=room, place=(rank, 2), shuffle="shards", num_workers=1)
        for _ in data.train_dataloader():
            assert bytes_in(cache / "lagem-cache") <= room
        if rank == 0:
            assert len(store.downloads(bucket)) <= 12 / 2 + 2
    assert len(store.downloads(bucket)) <= 12 + 4  # each of four lanes may share its last shard with the next lane


def test_a_shard_that_was_written_anew_is_downloaded_anew(url, many_shards, tmp_path):
    cache = FileCache(folder=str(tmp_path / "cache"))
    before = Shards(url, cache).read(0, "surface_points")
    path = sorted((many_shards / "shards").iterdir())[0]
    shapes = [ShardFile(path).shape(row) for row in range(4)]
    mirrored = [
        replace(shape, pools={**shape.pools, "surface_points": -shape.pools["surface_points"]}) for shape in shapes
    ]
    write_shard(tmp_path / path.name, mirrored)
    fsspec.filesystem("s3").pipe_file(f"{url}/shards/{path.name}", (tmp_path / path.name).read_bytes())
    assert (Shards(url, cache).read(0, "surface_points") == -before).all()


def test_shapes_in_random_order_need_a_cache_for_all_shards(url, many_shards, tmp_path):
    data = module(url, tmp_path / "cache", room=room_for(6, many_shards))
    with pytest.raises(ValueError, match=r"again and again. Set data.init_args.shuffle to shards, or .* to at least"):
        data.train_dataloader()
    data.val_dataloader()


def test_a_cache_too_small_for_the_shards_read_at_once_is_refused(url, many_shards, tmp_path):
    data = module(url, tmp_path / "cache", room=room_for(3, many_shards), shuffle="shards")
    with pytest.raises(ValueError, match=r"up to 4 shards at the same time, .* lower data.init_args.batch_size"):
        data.train_dataloader()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_shard_is_named(url, many_shards, tmp_path, workers):
    gone = sorted((many_shards / "shards").iterdir())[0].name
    fsspec.filesystem("s3").rm(f"{url}/shards/{gone}")
    data = module(url, tmp_path / "cache", num_workers=workers)
    with pytest.raises(ValueError, match=f"{url}/shards/{gone}: the shard is missing; run `lagem prepare` again."):
        list(data.train_dataloader())


def test_a_bucket_that_does_not_exist_is_said_to_be_absent(store, tmp_path):
    with pytest.raises(ValueError, match=r"^s3://no-such-bucket/data: there is no such folder; prepare meshes"):
        module("s3://no-such-bucket/data", tmp_path / "cache")


def test_a_wrong_key_is_refused_with_what_to_check(store, url, tmp_path):
    store.check_keys_after("0")
    with pytest.raises(ValueError, match=r"^s3://.*cannot be read \(PermissionError: .*Check AWS_ACCESS_KEY_ID"):
        module(url, tmp_path / "cache")


def test_no_key_at_all_is_refused_with_what_to_set(store, url, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    type(fsspec.filesystem("s3")).clear_instance_cache()
    with pytest.raises(ValueError, match=r"NoCredentialsError: .*Check AWS_ACCESS_KEY_ID"):
        module(url, tmp_path / "cache")


def test_a_store_whose_package_is_absent_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"^abfs://data/x: this store needs a package \(.*adlfs"):
        module("abfs://data/x", tmp_path / "cache")


class Shortening(BaseHTTPRequestHandler):
    """Forwards requests to the store, and removes the checksums. The first few requests for shards get half a shard."""

    server: "ShorteningServer"

    def do_GET(self) -> None:
        request = urllib.request.Request(f"{self.server.store}{self.path}", headers=dict(self.headers))
        with urllib.request.urlopen(request) as answer:
            body = answer.read()
            if "/shards/" in self.path and next(self.server.count) < self.server.times:
                body = body[: len(body) // 2]
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if not name.lower().startswith(("content-length", "connection", "x-amz-checksum")):
                    self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


class ShorteningServer(ThreadingHTTPServer):
    def __init__(self, port: int, times: int) -> None:
        super().__init__(("127.0.0.1", 0), Shortening)
        self.store, self.times, self.count = f"http://127.0.0.1:{port}", times, itertools.count()


@pytest.fixture
def shortened(store, url, point_to, monkeypatch):
    """Return a function of a number n; it makes the next n requests for shards end after half a shard."""
    monkeypatch.setattr("lagem.storage.stored_folder.RETRY_AFTER", (0.01, 0.01))
    running = []

    def begin(times: int) -> None:
        running.append(ShorteningServer(store.port, times))
        threading.Thread(target=running[0].serve_forever, daemon=True).start()
        point_to(running[0].server_port)

    yield begin
    running[0].shutdown()
    running[0].server_close()


def test_a_download_that_comes_short_is_tried_again(url, many_shards, tmp_path, shortened):
    shortened(2)
    remote, local = Shards(url, FileCache(folder=str(tmp_path))), Shards(many_shards)
    assert (remote.read(0, "near_inside") == local.read(0, "near_inside")).all()


def test_a_download_that_always_comes_short_is_refused_and_not_kept(url, tmp_path, shortened):
    shortened(99)
    with pytest.raises(ValueError, match=r"could not be read in 3 tries \([\d,]+ of its [\d,]+ bytes arrived\)"):
        Shards(url, FileCache(folder=str(tmp_path))).read(0, "near_inside")
    assert not [path for path in tmp_path.iterdir() if "00000-" in path.name]
