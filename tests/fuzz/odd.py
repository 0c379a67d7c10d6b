"""Odd texts, names and numbers, drawn at random."""

from numpy.random import Generator

from damage import chosen

ODD = ["", " ", "a b", "Stuhl für 2", "椅子", "🪑", "e\u0301", "\u200b", "'\"", ";", ",", "a,b\nc", "\t", "NaN", "1e5"]
ODD += [
    "-",
    "__",
    "x" * 200,
    "con",
    "%s",
    "{0}",
    "#",
    "=1+1",
    "\u202etxt",
    "ﬁ",
    "null",
    "a.b",
    "\ufeffid",
    "\r",
    "\u2028",
]


def text(rng: Generator) -> str:
    """Return one of the texts in `ODD`, or random characters of any script."""
    if rng.random() < 0.5:
        return ODD[int(rng.integers(len(ODD)))]
    points = rng.integers(32, chosen([127, 0x3000, 0x10FFFF], rng), size=rng.integers(1, 12))
    return "".join(chr(p) for p in points.tolist() if not 0xD800 <= p < 0xE000)


def name(rng: Generator) -> str:
    """Return an odd text that is a valid id, so it can be a part of a file name."""
    found = "".join(letter for letter in text(rng) if letter.isprintable() and letter not in "/\\").lstrip(".")
    return found.strip()[:40] or f"shape{rng.integers(10**6)}"


def names(rng: Generator, count: int) -> list[str]:
    """Return at most `count` + 1 different names, sorted."""
    return sorted({name(rng) for _ in range(count)} | {"last"})


def number(rng: Generator) -> float:
    """Return a random number that is 0 or more, of any magnitude."""
    usual = (abs(rng.normal()), 10.0 ** rng.uniform(-30, 30))
    return float(chosen([0.0, 5e-324, 1e-300, 1 / 3, 1.0, 123456789.125, 1e300, *usual], rng))
