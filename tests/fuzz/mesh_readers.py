"""Give the mesh readers damaged files for a while, and count what comes of it: `make fuzz SECONDS=60 SEED=0`.

A try ends in a mesh, a cloud or one line that names the file. Anything else (another error, a process that dies, takes
longer than 20 s or asks for 2 GiB more) is printed with its number, and the exit code is 1. `--only N` repeats try N.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import mesh_tries
from lagem.sources.child import Failure, Limits
from lagem.sources.processes import run_in_processes


def main() -> int:
    """Run tries until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, help="run this try alone")
    options = parser.parse_args()
    if options.only is not None:
        print(*mesh_tries.attempt((options.seed, options.only)), sep=": ")
        return 0

    def tries(end: float) -> Iterator[tuple[int, int]]:
        return itertools.takewhile(
            lambda _: time.monotonic() < end, zip(itertools.repeat(options.seed), itertools.count())
        )

    counts: Counter[tuple[str, str]] = Counter()
    faults: Counter[str] = Counter()
    end = time.monotonic() + options.seconds
    limits = Limits(seconds=mesh_tries.SECONDS)
    for (_, number), result in run_in_processes(
        mesh_tries.attempt_within_limits, tries(end), workers=options.workers, limits=lambda item: limits
    ):
        kind, found = ("process", str(result)) if isinstance(result, Failure) else result
        counts[kind, found if found in ("read", "refused") else "fault"] += 1
        if found not in ("read", "refused"):
            line = mesh_tries.last_line(found)
            faults[line] += 1
            if faults[line] == 1:
                print(f"try {number}: {line}", flush=True)
    print(f"{'format':10}{'tries':>9}{'read':>9}{'refused':>9}{'faults':>9}")
    for kind in sorted({kind for kind, _ in counts}):
        row = [counts[kind, outcome] for outcome in ("read", "refused", "fault")]
        print(f"{kind:10}" + "".join(f"{number:9}" for number in (sum(row), *row)))
    print(f"{counts.total()} tries, {faults.total()} faults of {len(faults)} kinds, seed {options.seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
