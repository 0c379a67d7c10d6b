"""Measures the time, memory and open files that up to 600,000 shapes cost at start-up and over an epoch.

    make benchmark NAME=index_scale

The benchmark creates folders of 6,000, 60,000 and 600,000 synthetic shapes. Each folder has a complete index and shards
of 64 shapes, whose pools hold four points each. Every measurement runs in a separate process, and the folders take
turns. The data module is set up and yields its first batches. Their shapes are in random order, so every batch opens
different shards. In addition, the index alone is read in two ways: as in this version, and as in earlier versions,
which read it row by row with csv.DictReader into lists of strings. Start-up is the CPU time of the process without
imports. Memory is the private memory of the process: RssAnon on Linux or, for a loading process, the pages that it no
longer shares with its parent.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.geometry.frame import Frame
from lagem.preparation.packing import COLUMNS
from lagem.preparation.settings import Settings
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import OCCUPANCY, ShapeArrays, write_shard
from lagem.storage.folder_index import read_index
from lagem.storage.sharded_folder import shard_name

SIZES = (6_000, 60_000, 600_000)
PER_SHARD = 64
POINTS = 4  # number of points per pool
CATEGORIES = 100


def make_folder(root: Path, shapes: int) -> None:
    """Write a prepared folder with the given number of shapes; one in 20 is for validation."""
    OCCUPANCY.begin(root, settings=asdict(Settings(surface=POINTS, shapes_per_shard=PER_SHARD)))
    (root / "shards").mkdir()
    ids = sorted(f"category_{n % CATEGORIES:03d}__{hashlib.md5(str(n).encode()).hexdigest()}" for n in range(shapes))
    with (root / "index.csv").open("w", newline="") as file:
        index = csv.writer(file, lineterminator="\n")
        index.writerow(COLUMNS)
        for first in track(range(0, shapes, PER_SHARD), f"{shapes:,} shapes", transient=True):
            members = ids[first : first + PER_SHARD]
            name = shard_name(first // PER_SHARD, members)
            splits = ["val" if (first + row) % 20 == 0 else "train" for row in range(len(members))]
            categories = [id.partition("__")[0] for id in members]
            shapes = [shape(id, categories[row], splits[row]) for row, id in enumerate(members)]
            write_shard(root / "shards" / name, shapes)
            for row, id in enumerate(members):
                index.writerow(
                    [id, categories[row], splits[row], name, row, 12345, "0.123456", *[125_000] * len(POOLS)]
                )


def shape(id: str, category: str, split: str) -> ShapeArrays:
    """Return a shape with a few points in each pool."""
    return ShapeArrays(
        id=id,
        category=category,
        split=split,
        frame=Frame(center=np.zeros(3), scale=1.0),
        faces=1,
        volume_drawn_inside=1,
        volume_drawn_outside=1,
        near_sigmas=(0.005, 0.05),
        pools={pool: np.ones((POINTS, 3), dtype=kind) for pool, (kind, _) in POOLS.items()},
    )


def begin(root: Path, batches: int, workers: int) -> dict[str, float]:
    """Set up the data module, read the first batches of an epoch, and return the measurements by name."""
    before, start = own_memory("self"), time.process_time()
    data = OccupancyDataModule(
        root=str(root), batch_size=16, num_surface_points=4, num_volume_queries=4, num_near_queries=4, num_workers=0
    )
    data.setup("fit")
    set_up = time.process_time() - start
    data.num_workers = workers
    loader = iter(data.train_dataloader())
    next(loader)
    found = {"set-up, s": set_up, "set-up and first batch, s": time.process_time() - start}
    found["memory after it, MiB"] = own_memory("self") - before
    process = "self" if workers == 0 else str(loader._workers[0].pid)
    memory, files = [], []
    for number in range(2, max(2, batches) + 1):
        next(loader)
        if number % max(1, batches // 10) == 0:
            memory.append(own_memory(process) if workers == 0 else unshared_memory(process))
            files.append(open_files(process))
    found["memory grown over the batches, MiB"] = memory[-1] - memory[0]
    found["most open files and maps"] = max(files)
    found["peak resident, MiB"] = status("self", "VmHWM")
    return found


def index_alone(root: Path, side: str) -> dict[str, float]:
    """Read the index as this version does (`columns`) or as earlier ones did, and return the measurements by name."""
    before, start = own_memory("self"), time.process_time()
    kept = read_index(root / "index.csv", "index") if side == "columns" else as_lists(root / "index.csv")
    seconds = time.process_time() - start
    found = {"index, s": seconds, "index, MiB": own_memory("self") - before}
    assert kept
    return found


def as_lists(path: Path) -> list[list[Any]]:
    """Return the index as five lists: ids, categories, splits, shards and rows."""
    columns: list[list[Any]] = [[], [], [], [], []]
    words: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            columns[0].append(row["id"])
            for column, name in zip(columns[1:4], ("category", "split", "shard"), strict=True):
                column.append(words.setdefault(row[name], row[name]))
            columns[4].append(int(row["row"]))
    if len(set(columns[0])) < len(columns[0]):
        raise ValueError("an id occurs more than once")
    return columns


def status(process: str, name: str) -> float:
    """Return a field of /proc/<process>/status, in MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def own_memory(process: str) -> float:
    """Return the resident memory of a process in MiB, not counting pages backed by files."""
    return status(process, "RssAnon")


def unshared_memory(process: str) -> float:
    """Return the memory that a forked process does not share with its parent, in MiB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Private_Dirty:"))


def open_files(process: str) -> int:
    """Return the number of open file descriptors and mapped shards of a process."""
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    return len(os.listdir(f"/proc/{process}/fd")) + sum(line.endswith(".safetensors") for line in maps)


CASES = {
    "alone": lambda root, batches: begin(root, batches, 0),
    "with 2 loading processes": lambda root, batches: begin(root, batches, 2),
    "index in columns": lambda root, batches: index_alone(root, "columns"),
    "index in lists, as before": lambda root, batches: index_alone(root, "lists"),
}


def main() -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes per case (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=1000, metavar="N", help="batches to read (default: %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="shapes in each folder")
    parser.add_argument("--one", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(CASES[args.one[0]](Path(args.one[1]), args.batches)))
        return
    results: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for size in args.sizes:
            make_folder(Path(name) / str(size), size)
            print(f"{size:,} shapes: index.csv has {(Path(name) / str(size) / 'index.csv').stat().st_size:,} bytes")
        for _ in track(range(args.rounds), "measuring", transient=True):
            for case in CASES:
                for size in args.sizes:
                    command = [sys.executable, __file__, "--batches", str(min(args.batches, size * 19 // 20 // 16))]
                    command += ["--one", case, f"{name}/{size}"]
                    run = subprocess.run(command, capture_output=True, text=True, check=True)
                    results.setdefault((case, size), []).append(json.loads(run.stdout.splitlines()[-1]))
    table = Table("case", "measured", *(f"{size:,} shapes" for size in args.sizes), title="median (least to most)")
    for case in CASES:
        for measured in results[case, args.sizes[0]][0]:
            values = [[round_[measured] for round_ in results[case, size]] for size in args.sizes]
            cells = [f"{np.median(column):.4g} ({min(column):.4g} to {max(column):.4g})" for column in values]
            table.add_row(case, measured, *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
