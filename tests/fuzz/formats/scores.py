"""Fuzz what evaluations write and read again: cards, journals, and the cache of nearest training shapes."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from numpy.random import Generator

from damage import Files, in_bytes, in_json, in_text
from formats.prepared import files_below
from formats.prepared import sound as prepared
from lagem.cli import main
from lagem.evaluation.reconstruction.comparison import compare
from tries import Door, Format

ARGUMENTS = ["evaluate", "retrieval", "data", "--points", "16"]


@cache
def sound() -> Files:
    """Return a prepared folder, a finished evaluation in card/, and an unfinished evaluation in part/."""
    with TemporaryDirectory() as scratch, redirect_stdout(StringIO()):
        root = Path(scratch)
        for name, content in prepared().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        arguments = [*ARGUMENTS[:2], str(root / "data"), *ARGUMENTS[3:]]
        main([*arguments, "--output", str(root / "card")])
        main([*arguments, "--output", str(root / "part"), "--part", "0/1"])
        return {name: content.replace(f"{root}/".encode(), b"") for name, content in files_below(root).items()}


def paired(folder: Path) -> None:
    """Compare the card with itself, by `compare` and by `lagem compare`."""
    compare([folder / "card", folder / "card"])
    main(["compare", "card", "card", "--output", "out"])


def status(folder: Path) -> None:
    """Run `lagem evaluate --status` for the finished and the unfinished evaluation."""
    for name in ("card", "part"):
        main([*ARGUMENTS, "--output", name, "--status"])


def resume(folder: Path) -> None:
    """Run `lagem evaluate` for part 0/2; the run reuses the scores in the journal of part 0/1."""
    main([*ARGUMENTS, "--output", "part", "--part", "0/2"])


def finish(folder: Path) -> None:
    """Finish the evaluation in part/: `lagem evaluate` takes the scores from its journal and writes the card."""
    main([*ARGUMENTS, "--output", "part"])


def report(folder: Path) -> None:
    """Run `lagem report` on the card, and check that the page has no script."""
    main(["report", "card"])
    assert b"<script>" not in (folder / "card" / "report.html").read_bytes(), "a script on a page without shapes"


def in_scores(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage one field of a card or of one line of a journal, or damage the file as text or bytes."""
    if rng.random() < 0.3:
        return in_text(data, rng) if rng.random() < 0.5 else in_bytes(data, rng, other)
    if name.endswith(".json"):
        return in_json(data, rng)
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    lines[at] = in_json(lines[at], rng)
    return b"\n".join(lines)


def formats() -> Iterator[Format]:
    """Yield formats for cards, for journals, and for the cache of nearest training shapes."""
    doors: dict[str, Door] = {"status": status, "evaluate, resumed": resume}
    for name, targets, more, weight in (
        ("card.json", r"card/card\.json", {"compare": paired, "report": report}, 0.5),
        ("journal", r"part/\.scores.*", {}, 0.5),
        ("nearest", r"data/\.nearest.*", {"evaluate": finish}, 0.1),
    ):
        yield Format(
            name=name,
            sound=lambda _: dict(sound()),
            doors={**doors, **more},
            targets=targets,
            damage=in_scores,
            weight=weight,
        )
