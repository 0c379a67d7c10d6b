"""A store to read from: moto's HTTP server in a separate process, standing in for S3."""

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pytest
import s3fs

from lagem.geometry.frame import Frame
from lagem.preparation.packing import COLUMNS, index_rows
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import OCCUPANCY, ShapeArrays, write_shard
from lagem.storage.csv_table import write_csv
from lagem.storage.sharded_folder import shard_name

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
NO_CHECK = "inf"  # number of requests that the server answers without checking the access key


@dataclass
class Store:
    """A running server and the log of its requests."""

    port: int
    log: Path

    def upload(self, folder: Path, bucket: str) -> str:
        """Upload a folder to a new bucket, and return the URL of the copy."""
        system = fsspec.filesystem("s3")
        system.mkdir(bucket)
        for path in folder.rglob("*"):
            if path.is_file():
                system.pipe_file(f"{bucket}/data/{path.relative_to(folder)}", path.read_bytes())
        return f"s3://{bucket}/data"

    def downloads(self, bucket: str) -> list[str]:
        """Return the names of the shards that were downloaded from a bucket, one entry for each download."""
        requests = [line.split('"GET ')[1].split()[0] for line in self.log.read_text().splitlines() if '"GET ' in line]
        return [path.rpartition("/")[2] for path in requests if path.startswith(f"/{bucket}/data/shards/")]

    def check_keys_after(self, requests: str) -> None:
        """Let the server accept any access key for the given number of requests, and then known access keys only."""
        address = f"http://127.0.0.1:{self.port}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, data=requests.encode(), headers=plain)).close()


@pytest.fixture(scope="session")
def running_store(tmp_path_factory) -> Iterator[Store]:
    log = tmp_path_factory.mktemp("store") / "requests.log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        ) as server,
    ):
        port = int(next(line for line in server.stdout if line.strip().isdigit()))
        yield Store(port, log)
        server.stdin.close()


@pytest.fixture
def point_to(monkeypatch) -> Callable[[int], None]:
    """Return a function that points this process and its child processes to the store at a port.

    It also sets an access key, which the store accepts as long as it does not check access keys.
    """

    def set_environment(port: int) -> None:
        settings = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()

    return set_environment


@pytest.fixture
def store(running_store, point_to) -> Iterator[Store]:
    point_to(running_store.port)
    yield running_store
    running_store.check_keys_after(NO_CHECK)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def many_shards(tmp_path_factory) -> Path:
    """A prepared folder of 46 shapes, 41 of them to train on, in 12 shards; all points are random."""
    root = tmp_path_factory.mktemp("many") / "prepared"
    OCCUPANCY.begin(root, settings={"surface": 80, "seed": 0})
    (root / "shards").mkdir()
    shapes = [random_shape(f"shape_{number:02d}", "val" if number % 8 == 7 else "train") for number in range(46)]
    names = []
    for number in range(12):
        members = shapes[4 * number : 4 * number + 4]
        names.append(shard_name(number, [shape.id for shape in members]))
        write_shard(root / "shards" / names[-1], members)
    write_csv(root / "index.csv", COLUMNS, index_rows(root / "shards", names))
    return root


def random_shape(id: str, split: str) -> ShapeArrays:
    rng = np.random.default_rng([7, *id.encode()])
    sizes = dict.fromkeys(POOLS, 40) | {"surface_points": 80, "surface_normals": 80}
    return ShapeArrays(
        id=id,
        category="thing",
        split=split,
        frame=Frame(center=np.zeros(3), scale=1.0),
        faces=12,
        volume_drawn_inside=100,
        volume_drawn_outside=100,
        near_sigmas=(0.005, 0.05),
        pools={
            pool: (rng.integers(-90, 91, (sizes[pool], 3)) * (1 if kind == np.int8 else 250)).astype(kind)
            for pool, (kind, *_) in POOLS.items()
        },
    )
