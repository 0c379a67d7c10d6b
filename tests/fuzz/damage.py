"""Random damage to files: to bytes, to words and lines of texts, and to fields of nested dicts and lists."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from numpy.random import Generator

Files = dict[str, bytes]  # content by name

CANARY = "../canary/keep"  # a file next to the folder of every try, which no try may touch
WORDS = [b"nan", b"-inf", b"1e999", b"1e-320", b"-1", b"0", b"1.5", b"0x10", b"1_0", b"\xc2\xb2", b"end_header", b"#"]
WORDS += [b"4294967295", b"2147483648", b"-2147483649", b"99999999999999999999", b"9" * 5000, b"/", b"//1"]
WORDS += [b"a" * 70_000, b'"', b",", b";", b"", b"\xff\xfe", b"\xef\xbb\xbf", b"\0", b"null", b"true", b"[", b"{"]
WORDS += [CANARY.encode(), b"../../../canary/keep", b"a" * 200_000, b"train", b"Val", b"\xed\xa0\x80"]
WORDS += [b"01", b"\\u0663", b"a\\\n" * 100_000]
VALUES: list[Any] = [None, True, -1, 0, 1, 2, 255, 2**31, 2**53, 2**62, 10**30, 1e308, float("nan"), float("inf"), ""]
VALUES += ["a", "\ud800", "\0", [], {}, [[]], [0], {"a": 0}, [1e300] * 16, [0.0] * 4, 5125, 5126, 0.5, "x" * 5000]
VALUES += ["%00", "../a", "data:;base64,AAAA", CANARY, f"../{CANARY}", "a/b", ".", "..", "lagem-stage-1", 10**5, 10**7]
INTEGERS = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
MOST_PLACES = 100_000  # fields from which the damaged one is chosen; nested lists with repetitions can have billions
MANY = 50_000  # columns and rows that damage adds to a table
NESTING = 50_000  # levels of brackets; Python's parsers give up at about 1,000


class Link(bytes):
    """The target of a symbolic link; `Files` holds it in place of the content of a file or folder."""


def chosen(options: Any, rng: Generator) -> Any:
    """Return a random entry of a list."""
    return options[int(rng.integers(len(options)))]


def in_bytes(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Return the bytes of a file with one random change.

    The change flips a bit, cuts off the end, doubles the file, or removes, doubles, zeroes, shifts or replaces a piece.
    A piece is replaced by an extreme integer or by a piece of `other`, the content of another file.
    """
    begin, end = _span(len(data), rng)
    piece = data[begin:end]
    if piece and rng.random() < 0.25:
        flipped = bytearray(piece)
        flipped[int(rng.integers(len(piece)))] ^= 1 << int(rng.integers(8))
        return data[:begin] + bytes(flipped) + data[end:]
    integer = int(chosen(INTEGERS, rng)).to_bytes(4, "little" if rng.random() < 0.5 else "big")
    middle = [b"", piece * 2, b"\0" * len(piece), b"\0" * 8 + piece, integer, other[slice(*_span(len(other), rng))]]
    if rng.random() < 0.1:
        return data[:begin]
    if rng.random() < 0.05:
        return data + data
    return data[:begin] + chosen(middle, rng) + data[end:]


def in_text(data: bytes, rng: Generator) -> bytes:
    """Return a text with a random change to a word, a line or the encoding, or with many columns and rows added."""
    word = chosen(WORDS, rng)
    kind = int(rng.integers(21))
    if kind < 10 and (words := list(re.finditer(rb"[-+.\w]+", data))):
        word_at = chosen(words, rng)
        return data[: word_at.start()] + word + data[word_at.end() :]
    if kind == 10:
        return b"\xef\xbb\xbf" + data
    if kind == 11:
        return data.decode(errors="replace").encode(chosen(["utf-16", "utf-32", "latin-1"], rng), errors="replace")
    lines = data.split(b"\n")
    at, to = (int(k) for k in rng.integers(len(lines), size=2))
    if kind < 14:
        lines[at] = lines[at] + chosen([b" \\", b" ", b"\r", b" # x", b"\xc3\x85", b",", b",,,x"], rng)
    elif kind < 16:
        lines.insert(to, lines[at])
    elif kind == 20:
        titles = b",".join(b"%d" % number for number in range(MANY))
        lines = [lines[0] + b"," + titles, *lines[1:], *[b"1"] * MANY]
    elif kind < 18:
        lines[at : at + 1] = [b" ".join([word, *lines[at].split()[1:]])]
    else:
        del lines[at]
    return b"\n".join(lines)


def in_json(text: bytes, rng: Generator) -> bytes:
    """Damage one field of a JSON document; content that is not JSON is damaged as text.

    Now and then, extremely deep nesting is added, or every key of the document is given twice.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return in_text(text, rng)
    tree = in_tree(tree, rng)
    text = json.dumps(tree).encode()
    if rng.random() < 0.02 and text.endswith(b"}") and text != b"{}":
        text = text[:-1] + b', "extras": ' + b"[" * NESTING + b"]" * NESTING + b"}"
    if rng.random() < 0.03 and text.startswith(b"{") and text != b"{}":
        text = b"{" + text[1:-1] + b", " + text[1:-1] + b"}"
    return text


def copied(value: Any) -> Any:
    """Return a deep copy of nested dicts and lists."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def in_tree(tree: Any, rng: Generator) -> Any:
    """Damage one field of nested dicts and lists in place, and return them; now and then, return another value."""
    if rng.random() < 0.03 or not (places := list(islice(_places(tree), MOST_PLACES))):
        return chosen(VALUES, rng)
    holder, key = chosen(places, rng)
    _change(holder, key, rng, [holder[key] for holder, key in places])
    return tree


def _span(length: int, rng: Generator) -> tuple[int, int]:
    begin = int(rng.integers(0, length + 1))
    return begin, min(length, begin + int(2 ** rng.uniform(0, 9)))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (holder, key) of every entry of nested dicts and lists: the entry is holder[key]."""
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        yield value, key
        yield from _places(inner)


def _change(holder: Any, key: Any, rng: Generator, found: list[Any]) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: holder.pop(key),
        lambda: holder.__setitem__(key, chosen(VALUES, rng)),
        lambda: holder.__setitem__(key, chosen(VALUES, rng)),
        lambda: holder.__setitem__(key, copied(chosen(found, rng))),
    ]
    if isinstance(holder, list):
        changes.append(lambda: holder.extend([holder[key]] * int(chosen([1, 100, 2000], rng))))
    else:
        changes.append(lambda: holder.__setitem__(str(chosen(VALUES, rng)), holder[key]))
    if isinstance(holder[key], int | float):
        changes.append(lambda: holder.__setitem__(key, holder[key] * int(chosen([-1, 2, 1000], rng)) + 1))
        changes.append(lambda: holder.__setitem__(key, holder[key] + int(chosen([-4, -1, 1, 4], rng))))
    chosen(changes, rng)()
