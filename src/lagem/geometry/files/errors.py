"""Errors in files of meshes and point clouds, limits on the size of such files, and checks that all readers share."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = {  # limit on the size of a file; reading a text file takes memory of about ten times its size
    **dict.fromkeys((".obj", ".off", ".xyz"), 2**29),
    **dict.fromkeys((".ply", ".stl", ".glb", ".gltf", ".npy"), 2**31),
}
MOST_TEXT = 2**29  # bytes of text in formats that are mostly binary (ply, stl) or have their data in other files (gltf)
MOST_ELEMENTS = 20_000_000  # vertices per file, and faces per file; a mesh counts each time a scene places it
INTEGER = re.compile(r"[+-]?\d{1,18}")


class MeshError(ValueError):
    """A file or mesh cannot be used. The message gives the reason and a remedy in one line."""


def checked_path(path: str | Path, endings: tuple[str, ...], what: str) -> Path:
    """Check that a path leads to a regular file that is not empty, is not too large, and has an accepted extension.

    Args:
        path: The path.
        endings: The file extensions that are accepted, such as `.ply`.
        what: The content of files with these extensions, for example `meshes`; a message names it.

    Returns:
        The path.

    Raises:
        MeshError: If a check fails.
    """
    path = Path(path)
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long
        raise MeshError(f"{path}: is not a valid path ({error.strerror}); check it.") from None
    if not is_file:
        found = "is a folder" if path.is_dir() else "is not a regular file" if path.exists() else "does not exist"
        raise MeshError(f"{path}: {found}, but a file is needed; check the path.")
    ending, size = path.suffix.lower(), path.stat().st_size
    if ending not in endings:
        raise MeshError(f"{path}: the extension `{path.suffix}` is unknown; {what} are read from {', '.join(endings)}.")
    if size == 0:
        raise MeshError(f"{path}: is empty (0 bytes); fetch or save it again.")
    if size > MOST_BYTES[ending]:
        raise MeshError(
            f"{path}: has {size} bytes, more than the limit of {MOST_BYTES[ending]} for a {ending} file; "
            "simplify the mesh, or save it in a binary format."
        )
    return path


def check_count(count: int, what: str) -> None:
    """Raise ValueError if a file holds more elements, such as vertices or faces, than the limit.

    Args:
        count: Number of elements.
        what: What they are, for the message.
    """
    if count > MOST_ELEMENTS:
        raise ValueError(f"holds {count} {what}, more than the limit of {MOST_ELEMENTS}; simplify the mesh.")


def check_text(size: int) -> None:
    """Raise ValueError if the text in a file has more bytes than the limit."""
    if size > MOST_TEXT:
        raise ValueError(f"holds {size} bytes of text, more than the limit of {MOST_TEXT}; save it in binary.")


def lines_of(text: str) -> list[str]:
    """Split a text at LF, CR LF or CR only.

    `str.splitlines` also splits at eight other characters, but these may occur in a name in the file.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def quoted(text: str) -> str:
    """Quote the first 60 characters of a file's text for an error message; unprintable ones become question marks."""
    return "`" + "".join(letter if letter.isprintable() else "?" for letter in text.strip()[:60]) + "`"


def decoded(data: bytes) -> str:
    """Decode a text as UTF-8 or UTF-16 if it has a byte order mark, else as Latin-1, in which any byte is valid."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    return data.decode("latin-1")


def as_numbers(words: Iterable[str]) -> NDArray[np.float64]:
    """Convert words to float64.

    Raises:
        ValueError: If a word is not a number; the message quotes the first such word. `1_000` is refused, although
            `float` accepts it.
    """
    given = list(words)
    try:
        numbers = np.fromiter(map(float, given), dtype=np.float64, count=len(given))
        if not any("_" in word for word in given):
            return numbers
    except ValueError:
        pass
    bad = next(word for word in given if not is_number(word))
    raise ValueError(f"has {quoted(bad)} instead of a number; repair it or save it again.")


def as_integers(words: list[str]) -> NDArray[np.int64]:
    """Convert words to int64; if a word is not an integer, raises a ValueError that quotes the first such word."""
    if bad := next((word for word in words if not INTEGER.fullmatch(word)), None):
        raise ValueError(f"has {quoted(bad)} instead of a vertex index; repair it or save it again.")
    return np.fromiter(map(int, words), dtype=np.int64, count=len(words))


def is_number(word: str) -> bool:
    """Return whether a word is a number as mesh files write it, without underscores."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word
