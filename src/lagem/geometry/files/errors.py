"""What is wrong with a file of a mesh or a cloud, and which paths are files at all."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = {  # of a file; a text file takes about ten times its size in memory while it is read
    **dict.fromkeys((".obj", ".off", ".xyz"), 2**29),
    **dict.fromkeys((".ply", ".stl", ".glb", ".gltf", ".npy"), 2**31),
}
MOST_TEXT = 2**29  # bytes of a text in a format that is mostly binary (ply, stl) or holds its data elsewhere (gltf)
MOST_ELEMENTS = 20_000_000  # vertices of a file, and faces, instances counted as often as they are placed
INTEGER = re.compile(r"[+-]?\d{1,18}")


class MeshError(ValueError):
    """A file or mesh that cannot be used, with the reason and the remedy in one line."""


def checked_path(path: str | Path, endings: tuple[str, ...], what: str) -> Path:
    """The path of a regular file that is not empty, not too large, and has one of the endings."""
    path = Path(path)
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long
        raise MeshError(f"{path}: is no path of a file ({error.strerror}); check it.") from None
    if not is_file:
        found = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise MeshError(f"{path}: {found}, but a file is needed; check the path.")
    ending, size = path.suffix.lower(), path.stat().st_size
    if ending not in endings:
        raise MeshError(f"{path}: the ending `{path.suffix}` is unknown; {what} are read from {', '.join(endings)}.")
    if size == 0:
        raise MeshError(f"{path}: is empty (0 bytes); fetch or save it again.")
    if size > MOST_BYTES[ending]:
        raise MeshError(
            f"{path}: has {size} bytes, more than the {MOST_BYTES[ending]} that are read of a {ending} file; "
            "simplify the mesh, or save it in a binary format."
        )
    return path


def check_count(count: int, what: str) -> None:
    """Raise ValueError if a file holds more vertices or faces than are read."""
    if count > MOST_ELEMENTS:
        raise ValueError(f"holds {count} {what}, more than the {MOST_ELEMENTS} that are read; simplify the mesh.")


def check_text(size: int) -> None:
    """Raise ValueError if the text in a file is longer than is read."""
    if size > MOST_TEXT:
        raise ValueError(f"holds a text of {size} bytes, more than the {MOST_TEXT} that are read; save it in binary.")


def lines_of(text: str) -> list[str]:
    """Lines of a text by LF, CR LF or CR (`str.splitlines` also splits at ten other letters, inside UTF-8 names)."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def quoted(text: str) -> str:
    """The beginning of a text in a file, as an error line shows it."""
    return "`" + "".join(letter if letter.isprintable() else "?" for letter in text.strip()[:60]) + "`"


def decoded(data: bytes) -> str:
    """Text of a file: UTF-16 or UTF-8 by its byte order mark, else Latin-1, in which any byte is a character."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    return data.decode("latin-1")


def as_numbers(words: Iterable[str]) -> NDArray[np.float64]:
    """Float64 numbers of words; ValueError quotes the first that is none (Python would take `1_000`)."""
    given = list(words)
    try:
        numbers = np.fromiter(map(float, given), dtype=np.float64, count=len(given))
        if not any("_" in word for word in given):
            return numbers
    except ValueError:
        pass
    bad = next(word for word in given if not is_number(word))
    raise ValueError(f"has {quoted(bad)} in place of a number; repair it or save it again.")


def as_integers(words: list[str]) -> NDArray[np.int64]:
    """Int64 numbers of words; ValueError quotes the first that is none."""
    if bad := next((word for word in words if not INTEGER.fullmatch(word)), None):
        raise ValueError(f"has {quoted(bad)} in place of a vertex's number; repair it or save it again.")
    return np.fromiter(map(int, words), dtype=np.int64, count=len(words))


def is_number(word: str) -> bool:
    """Whether a word is a number as files write it."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word
