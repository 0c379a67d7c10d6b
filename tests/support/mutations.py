"""Seeded damage to files of meshes and clouds: bytes, lines, numbers, and fields of JSON documents."""

import io
import json
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.random import Generator

import dialects
from dialects import Written

WORDS = [b"nan", b"-inf", b"1e999", b"1e-320", b"-1", b"0", b"1.5", b"0x10", b"1_0", b"\xc2\xb2", b"end_header", b"#"]
WORDS += [
    b"4294967295",
    b"2147483648",
    b"-2147483649",
    b"99999999999999999999",
    b"9" * 5000,
    b"/",
    b"//1",
    b"a" * 70000,
]
VALUES: list[Any] = [None, True, -1, 0, 1, 2, 255, 2**31, 2**53, 10**30, 1e308, float("nan"), "", "a", "\ud800", [], {}]
VALUES += [
    [[]],
    [0],
    {"a": 0},
    [1e300] * 16,
    [0.0] * 4,
    5125,
    5126,
    0.5,
    "x" * 5000,
    "%00",
    "../a",
    "data:;base64,AAAA",
]
INTEGERS = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def clouds() -> Iterator[tuple[str, Written]]:
    """Clouds of points, in each dialect."""
    points = dialects.ball().vertices
    for dtype in ("<f4", ">f8", "<i2"):
        file = io.BytesIO()
        np.save(file, np.asfortranarray(points.astype(dtype)) if dtype == ">f8" else points.astype(dtype))
        yield f"npy, {dtype}", {"cloud.npy": file.getvalue()}
    rows = [" ".join(map(repr, row)) for row in points.tolist()]
    yield "xyz", {"cloud.xyz": ("# a comment\n" + "\n".join(rows) + "\n").encode()}
    yield "xyz, normals", {"cloud.xyz": "\r\n".join(f"{row} {row}" for row in rows).encode()}


def mutated(files: Written, rng: Generator, other: bytes) -> Written:
    """A dialect's files with one to three kinds of damage in one of them.

    Args:
        files: The dialect.
        rng: Chooses the damage.
        other: Another file, from which pieces are spliced in.
    """
    name = str(rng.choice(list(files)))
    data = files[name]
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        if name.endswith((".gltf", ".glb")) and rng.random() < 0.75:
            data = _in_document(data, name, rng)
        elif b"\0" not in data[:200] and rng.random() < 0.5:
            data = _in_text(data, rng)
        else:
            data = _in_bytes(data, rng, other)
    return files | {name: data}


def _span(length: int, rng: Generator) -> tuple[int, int]:
    begin = int(rng.integers(0, length + 1))
    return begin, min(length, begin + int(2 ** rng.uniform(0, 9)))


def _in_bytes(data: bytes, rng: Generator, other: bytes) -> bytes:
    begin, end = _span(len(data), rng)
    piece = data[begin:end]
    if piece and rng.random() < 0.25:
        flipped = bytearray(piece)
        flipped[int(rng.integers(len(piece)))] ^= 1 << int(rng.integers(8))
        return data[:begin] + bytes(flipped) + data[end:]
    integer = int(rng.choice(INTEGERS)).to_bytes(4, "little" if rng.random() < 0.5 else "big")
    middle = [b"", piece * 2, b"\0" * len(piece), b"\0" * 8 + piece, integer, other[slice(*_span(len(other), rng))]]
    if rng.random() < 0.1:
        return data[:begin]
    return data[:begin] + middle[int(rng.integers(len(middle)))] + data[end:]


def _in_text(data: bytes, rng: Generator) -> bytes:
    word = WORDS[int(rng.integers(len(WORDS)))]
    kind = int(rng.integers(6))
    if kind < 3 and (numbers := list(re.finditer(rb"(?<!\S)[-+.\w]+", data))):
        chosen = numbers[int(rng.integers(len(numbers)))]
        return data[: chosen.start()] + word + data[chosen.end() :]
    lines = data.split(b"\n")
    at, to = (int(k) for k in rng.integers(len(lines), size=2))
    if kind == 3:
        lines[at] = lines[at] + rng.choice(np.array([b" \\", b" ", b"\r", b" # x", b"\xc3\x85"], dtype=object))
    elif kind == 4:
        lines.insert(to, lines[at])
    else:
        lines[at : at + 1] = [b" ".join([word, *lines[at].split()[1:]])] if rng.random() < 0.5 else []
    return b"\n".join(lines)


def _in_document(data: bytes, name: str, rng: Generator) -> bytes:
    """Damage to one field of a glTF document, which stays valid JSON in a valid container."""
    if name.endswith(".glb"):
        length = int.from_bytes(data[12:16], "little")
        text, rest = data[20 : 20 + length], data[20 + length :]
    else:
        text, rest = data, b""
    try:
        document = json.loads(text)
        places = list(_places(document))
    except (ValueError, RecursionError):
        return _in_text(data, rng)
    if not places:
        return data
    holder, key = places[int(rng.integers(len(places)))]
    _change(holder, key, rng, [holder[key] for holder, key in places])
    text = json.dumps(document).encode()
    if rng.random() < 0.02:
        text = text[:-1] + b', "extras": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    if not name.endswith(".glb"):
        return text
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of every field and entry, whatever its depth."""
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        yield value, key
        yield from _places(inner)


def _change(holder: Any, key: Any, rng: Generator, found: list[Any]) -> None:
    changes: list[Callable[[], Any]] = [
        lambda: holder.pop(key),
        lambda: holder.__setitem__(key, VALUES[int(rng.integers(len(VALUES)))]),
        lambda: holder.__setitem__(key, VALUES[int(rng.integers(len(VALUES)))]),
        lambda: holder.__setitem__(key, json.loads(json.dumps(found[int(rng.integers(len(found)))]))),
    ]
    if isinstance(holder, list):
        changes.append(lambda: holder.extend([holder[key]] * int(rng.choice([1, 100, 2000]))))
    if isinstance(holder[key], int | float):
        changes.append(lambda: holder.__setitem__(key, holder[key] * int(rng.choice([-1, 2, 1000])) + 1))
        changes.append(lambda: holder.__setitem__(key, holder[key] + int(rng.choice([-4, -1, 1, 4]))))
    changes[int(rng.integers(len(changes)))]()
