"""Feed damaged files to everything that reads files, for a set time, and count the outcomes.

    make fuzz SECONDS=60 SEED=0

A try should end in a result, or in one error line with exit code 2. Anything else is a finding: a traceback or another
exit code; a process that dies, takes longer than 20 s, or needs over 2 GiB more than at its start; a reader that runs
code from a file, starts a program, opens a connection, or writes or removes a file outside the folder of the try. The
files of the first three tries with the same finding are stored. `--only N` repeats try N.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from catalogue import all_formats
from tries import Format, Outcome, Try, attempt, make_try
from worker import Worker

STORED = 3  # tries whose files are stored, for each finding


def main() -> int:
    """Make tries until the time is over; return the exit code, which is 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", help="names of the formats to try (default: all)")
    parser.add_argument("--output", type=Path, default=Path("runs/fuzz"), help="folder of findings and summary.json")
    parser.add_argument("--only", type=int, help="number of a try to repeat; give the same --seed and --formats")
    options = parser.parse_args()
    formats = [each for each in all_formats() if options.formats is None or each.name in options.formats]

    def make(number: int) -> Try:
        return make_try(formats, options.seed, number)

    if options.only is not None:
        folder = Path(tempfile.mkdtemp())
        one = make(options.only)
        print(one.format.name, one.door, folder, attempt(one, folder), sep="\n")
        return 0
    report = Report(options.output, options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        worker = Worker(make, Path(scratch), formats)
        number, end = 0, time.monotonic() + options.seconds
        while time.monotonic() < end:
            report.add(number, make(number), worker.run(number))
            number += 1
        worker.stop()
    report.write(formats)
    return 1 if report.findings else 0


class Report:
    """Counts of outcomes for each format and door (function that reads it), and of findings for each place in the code.

    Args:
        output: Folder of the report.
        seed: Seed of the tries.
    """

    def __init__(self, output: Path, seed: int) -> None:
        self._output, self._seed = output, seed
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self.findings: Counter[str] = Counter()

    def add(self, number: int, one: Try, found: Outcome) -> None:
        """Count an outcome; for the first three findings at each place in the code, store the files of the try."""
        self._counts[one.format.name, one.door, found.kind if not found.is_finding else "finding"] += 1
        if not found.is_finding:
            return
        name = f"{found.kind}: {place_of(found.text)}"
        self.findings[name] += 1
        if self.findings[name] == 1:
            print(f"try {number}, {one.format.name}, {one.door}: {name}", flush=True)
        if self.findings[name] <= STORED:
            folder = self._output / re.sub(r"[^\w.]+", "_", name)[:120] / str(number)
            shutil.rmtree(folder, ignore_errors=True)
            for path, content in one.files.items():
                (folder / "input" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "input" / path).write_bytes(content)  # for a link: its target
            about = f"seed {self._seed}, try {number}, {one.format.name}, {one.door}, {found.kind}\n{found.text}\n"
            (folder / "finding.txt").write_text(about, errors="backslashreplace")

    def write(self, formats: list[Format]) -> None:
        """Print the table of outcomes and the findings, and write both to summary.json."""
        outcomes = ("read", "refused", "finding")
        print(f"{'format':14}{'door':24}{'tries':>8}" + "".join(f"{name:>9}" for name in outcomes))
        rows = []
        for format in formats:
            for door in sorted(format.doors):
                counts = {outcome: self._counts[format.name, door, outcome] for outcome in outcomes}
                rows.append({"format": format.name, "door": door, **counts})
                numbers = [sum(counts.values()), *counts.values()]
                print(f"{format.name:14}{door:24}{numbers[0]:8}" + "".join(f"{number:9}" for number in numbers[1:]))
        for name, count in self.findings.most_common():
            print(f"{count:6}  {name}")
        total = self._counts.total()
        print(f"{total} tries, {self.findings.total()} findings in {len(self.findings)} places, seed {self._seed}")
        self._output.mkdir(parents=True, exist_ok=True)
        content = {"seed": self._seed, "tries": total, "counts": rows, "findings": dict(self.findings)}
        (self._output / "summary.json").write_text(json.dumps(content, indent=1))


def place_of(text: str) -> str:
    """Return where a finding happened: the last frame in lagem, the last frame of all, and the error.

    If the text of the finding has no traceback, return its first 100 characters.
    """
    frames = re.findall(r'File "([^"]+)", line (\d+)', text)
    if not frames:
        return re.sub(r"\d+|/\S*/", "#", text)[:100]
    if "(most recent call first)" in text:
        frames.reverse()
    ours = [frame for frame in frames if re.search(r"/(lagem|callbacks|data_modules)/", frame[0])]
    named = [f"{os.path.basename(path)}:{line}" for path, line in dict.fromkeys([*ours[-1:], frames[-1]])]
    last = re.sub(r"\d+|'[^']*'|/\S*/", "#", (text.strip().splitlines() or [""])[-1])
    return " ".join([*named, "" if "most recent call first" in text else last[:60]]).strip()


if __name__ == "__main__":
    sys.exit(main())
