"""Measures the rate and the memory of `lagem import` over 100,000 entries, and what a kill half way costs.

    make benchmark NAME=importing
    make benchmark NAME=importing ARGS="--layouts lagem --entries 30000 --workers 2"

Each layout is written to a folder with synthetic entries (benchmarks/importing_entries.py). They have few points, and
correct labels, so every test of an import runs and passes. Most entries are hard links to the same few files, which
stay in memory. The reading of a disk is therefore not measured, but the writing is.

The command runs in a separate process, and is sampled every second: how many entries have a result, and the memory of
the process and of its workers that is not backed by files (RssAnon). The rate is given for three thirds of the entries.
Growth is the slope of the memory over the entries from a tenth to the last.

Then a second import is killed by SIGKILL at half of the entries, and the same command is run again. It must give the
same bytes as the import that was not disturbed.
"""

import argparse
import csv
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from importing_entries import write_hy3d, write_lagem, write_vecset
from interleaved import write_rows
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Sample:
    """The state of an import at one moment.

    seconds: since the start of the command.
    done: number of entries that have a result on the disk.
    main, workers: memory of the command's process, and of all its workers, in MiB.
    """

    seconds: float
    done: int
    main: float
    workers: float


@dataclass(frozen=True)
class Import:
    """One run of the command.

    imported: number of entries that this run imported, as its progress says; 0 if it was killed.
    """

    samples: list[Sample]
    seconds: float
    cpu_seconds: float
    imported: int


@dataclass(frozen=True)
class Layout:
    """How a layout is written, and what its import makes.

    results: folder and ending of the file that each finished entry has.
    table: the table that lists the imported entries.
    content: folder of the files that must not depend on kills.
    """

    write: Callable[[Path, int], None]
    results: tuple[str, str]
    table: str
    content: str


LAYOUTS = {
    "lagem": Layout(write_lagem, ("shapes", ".json"), "index.csv", "shards"),
    "vecset": Layout(write_vecset, ("shapes", ".json"), "index.csv", "shards"),
    "hy3d": Layout(write_hy3d, ("meshes", ".ply"), "manifest.csv", "meshes"),
}


def results(output: Path, layout: Layout) -> int:
    """Return the number of entries that have a result in the folder of an unfinished import."""
    folder, ending = layout.results
    names = os.listdir(output / folder) if (output / folder).is_dir() else []
    return sum(name.endswith(ending) and not name.startswith(".") for name in names)


def anonymous(process: int) -> float:
    """Return the memory of a process in MiB that no file backs; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")), 0.0)


def run_import(
    layout: str, source: Path, output: Path, workers: int, *, every: float, kill_at: float = float("inf")
) -> Import:
    """Run `lagem import`, and sample it; kill it once `kill_at` entries have a result."""
    command = [sys.executable, "-m", "lagem", "import", layout, str(source), "--output", str(output)]
    spent, start, samples = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), []
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen([*command, "--workers", str(workers)], stdout=printed, stderr=subprocess.STDOUT)
        while process.poll() is None:
            before = time.monotonic()
            done = results(output, LAYOUTS[layout])
            if done >= kill_at:
                process.kill()
                break
            with_children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            children = with_children.read_text().split() if with_children.exists() else []
            memory = sum(anonymous(int(child)) for child in children)
            samples.append(Sample(before - start, done, anonymous(process.pid), memory))
            time.sleep(max(every, 20 * (time.monotonic() - before)))
        process.wait()
        seconds = time.monotonic() - start
        printed.seek(0)
        text = printed.read()
    if process.returncode and kill_at == float("inf"):
        raise RuntimeError(text[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
    counted = re.findall(r"^(?:preparing|importing) (\d+)/", text, re.MULTILINE)
    return Import(samples, seconds, cpu, int(counted[-1]) if counted and not process.returncode else 0)


def rates(samples: list[Sample]) -> list[float]:
    """Return the entries per second of an import in the first, the second and the last third of its entries."""
    done, seconds = np.array([[sample.done, sample.seconds] for sample in samples]).T
    last = int(done.argmax())
    begun = max(int((done > 0).argmax()) - 1, 0)
    done, seconds = done[begun : last + 1], seconds[begun : last + 1]
    limits = np.linspace(done[0], done[-1], 4)
    return [float(step) for step in np.diff(limits) / np.diff(np.interp(limits, done, seconds))]


def growth(samples: list[Sample], memory: str) -> float:
    """Return by how many bytes a memory grew per entry, from a tenth of the entries to the last."""
    most = max(sample.done for sample in samples)
    reached = [sample.done for sample in samples].index(most)
    points = [(s.done, getattr(s, memory)) for s in samples[: reached + 1] if s.done >= most / 10]
    if len({done for done, _ in points}) < 2:
        return float("nan")
    return float(np.polyfit(*zip(*points, strict=True), 1)[0]) * 2**20


def digest(output: Path, layout: Layout) -> str:
    """Return a digest of the table and of the files that an import wrote."""
    found = hashlib.sha256()
    for path in [output / layout.table, *sorted((output / layout.content).iterdir())]:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def measure(name: str, folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Import the entries of a layout without a kill and with one, and return the row of results."""
    layout, source = LAYOUTS[name], folder / name
    layout.write(source, args.entries)
    load = os.getloadavg()[0]
    whole = run_import(name, source, folder / "whole", args.workers, every=args.every)
    expected = digest(folder / "whole", layout)
    with (folder / "whole" / layout.table).open(newline="") as file:
        imported = sum(1 for _ in csv.reader(file)) - 1
    shutil.rmtree(folder / "whole")
    half = args.entries // 2
    killed = run_import(name, source, folder / "killed", args.workers, every=args.every, kill_at=half)
    is_complete = (folder / "killed" / layout.table).exists()  # it ended before it could be killed
    kept = args.entries if is_complete else results(folder / "killed", layout)
    resumed = run_import(name, source, folder / "killed", args.workers, every=args.every)
    if digest(folder / "killed", layout) != expected:
        raise RuntimeError(f"{name}: the resumed import gave other files than the one that was not disturbed")
    shutil.rmtree(folder / "killed")
    samples = whole.samples
    written = next(sample.seconds for sample in samples if sample.done == max(s.done for s in samples))
    return {
        "layout": name,
        "entries": args.entries,
        "imported": imported,
        "workers": args.workers,
        "load": [load, os.getloadavg()[0]],
        "seconds": whole.seconds,
        "cpu_seconds": whole.cpu_seconds,
        "rates": rates(samples),
        "seconds_after_last_entry": whole.seconds - written,
        "peak_mib": {part: max(getattr(s, part) for s in samples) for part in ("main", "workers")},
        "growth_bytes": {part: growth(samples, part) for part in ("main", "workers")},
        "kept_after_kill": kept,
        "imported_after_kill": resumed.imported,
        "seconds_killed": [killed.seconds, resumed.seconds],
        "samples": [asdict(sample) for sample in samples],
    }


def show(rows: list[dict]) -> None:
    """Print a table with a column for each layout."""
    table = Table("measured", *(row["layout"] for row in rows), title=f"{rows[0]['entries']:,} entries")

    def add(title: str, cell: Callable[[dict], str]) -> None:
        table.add_row(title, *(cell(row) for row in rows))

    add("entries imported", lambda row: f"{row['imported']:,}")
    add("seconds, CPU seconds", lambda row: f"{row['seconds']:,.0f}, {row['cpu_seconds']:,.0f}")
    add("entries/s in each third", lambda row: ", ".join(f"{rate:.1f}" for rate in row["rates"]))
    add("seconds after the last entry", lambda row: f"{row['seconds_after_last_entry']:.1f}")
    add("most memory of the command, MiB", lambda row: f"{row['peak_mib']['main']:.0f}")
    add("most memory of all workers, MiB", lambda row: f"{row['peak_mib']['workers']:.0f}")
    add("growth of the command, bytes an entry", lambda row: f"{row['growth_bytes']['main']:.0f}")
    add("growth of all workers, bytes an entry", lambda row: f"{row['growth_bytes']['workers']:.0f}")
    add("kept after the kill, then imported", lambda r: f"{r['kept_after_kill']:,}, {r['imported_after_kill']:,}")
    add("seconds before and after the kill", lambda row: ", ".join(f"{s:,.0f}" for s in row["seconds_killed"]))
    add("load of the machine, first and last", lambda row: ", ".join(f"{load:.1f}" for load in row["load"]))
    Console(width=120).print(table)


def main() -> None:
    """Measure the layouts, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS), help="default: all")
    parser.add_argument("--entries", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between samples (default: 1)")
    parser.add_argument("--folder", type=Path, help="where to work, on the disk to be measured (default: temporary)")
    parser.add_argument("--output", type=Path, default=Path("runs/importing.json"), help="default: %(default)s")
    args = parser.parse_args()
    rows = []
    for name in args.layouts:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            rows.append(measure(name, Path(folder), args))
    show(rows)
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
