"""Tar files that may come from anybody, plain or compressed by gzip, read once from start to end.

A caller gets the bytes of the regular files. Nothing is extracted to the disk, so a member's name is never a path, and
links are not followed. Names come from the headers of ustar, GNU tar and pax. Sizes, the number of members and the
headers with long names are bounded, which Python's tarfile does not do; sparse files, whose size is any number that
their header states, are refused.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from lagem.storage.failures import failures_named
from lagem.storage.names import regular

BLOCK = 512  # bytes
MOST_MEMBERS = 500_000  # headers, counting those that only hold a name
MOST_BYTES = 2**40  # of all members together, unpacked
MOST_NAMING = 2**16  # bytes of the data of a header that only holds a name
MOST_PADDING, PIECE = 2**20, 2**20  # bytes
GZIP = b"\x1f\x8b"
REGULAR, LONG_NAME, LONG_TARGET, FIELDS, COMMON_FIELDS = (b"0", b"\0", b"7"), b"L", b"K", b"x", b"g"
# Members of these kinds have no data, whatever size their headers state.
KINDS = {
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
}
NUMBER = re.compile(rb"[ \0]*([0-7]{1,11})[ \0]*")
RECORD = re.compile(rb"([1-9][0-9]{0,4}) ([^=\n]+)=")  # of a pax header: its length, and the name of a field


@dataclass(frozen=True)
class TarMember:
    """A member of a tar file; its content can be read once, before the next member is asked for.

    name: its name, as it was written; it may lead anywhere.
    kind: `a file`, or `a link`, `a device`, `a folder` or `a pipe`, which have no content.
    size: bytes of its content.
    """

    name: str
    kind: str
    size: int
    _path: Path
    _file: BinaryIO

    def read(self, *, at_most: int) -> bytes:
        """Return the content; raises ValueError if it has more than `at_most` bytes, or the file is damaged."""
        if self.size > at_most:
            raise ValueError(f"has {self.size:,} bytes, but at most {at_most:,} are read.")
        with _damage_named(self._path):
            return _exactly(self._file, self.size)


def tar_members(path: Path) -> Iterator[TarMember]:
    """Yield the members of a tar file, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a tar file, is damaged or incomplete, exceeds a bound, or holds a sparse file. The
            members before the damage were yielded.
    """
    with regular(path).open("rb") as stored:
        start = stored.read(2)
        stored.seek(0)
        file: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=stored)) if start == GZIP else stored
        with file:
            total, name, size = 0, "", None  # name and size of the next member, if a header before it states them
            for _ in range(MOST_MEMBERS):
                with _damage_named(path):
                    block = _exactly(file, BLOCK)
                    if not any(block):
                        file.read(MOST_PADDING)  # to the end of a gzip file, so that its checksum is verified
                        return
                    header = _Header.of(block)
                    length, kind = (header.size if size is None else size), KINDS.get(header.kind, "a file")
                    if kind != "a file":
                        length = 0
                    elif header.kind in (LONG_NAME, FIELDS):
                        if header.size > MOST_NAMING:
                            raise ValueError(f"a header of {header.size:,} bytes; at most {MOST_NAMING:,} are read")
                        data = _exactly(file, _padded(header.size))[: header.size]
                        if header.kind == LONG_NAME:
                            name = _text(data)
                        else:
                            fields = _fields(data)
                            name = _text(fields.get(b"path", name.encode()))
                            size = _decimal(fields[b"size"]) if b"size" in fields else size
                        continue
                    elif header.kind not in (*REGULAR, LONG_TARGET, COMMON_FIELDS):
                        sparse = "it holds a sparse file, which is not read; pack the tar file without sparse storage"
                        raise ValueError(sparse if header.kind == b"S" else f"a member of unknown kind {header.kind!r}")
                    if (total := total + length) > MOST_BYTES:
                        raise ValueError(f"its members together have more than {MOST_BYTES:,} bytes")
                    after = file.tell() + _padded(length)
                if header.kind not in (LONG_TARGET, COMMON_FIELDS):
                    yield TarMember(name or header.name, kind, length, path, file)
                    name, size = "", None
                with _damage_named(path):
                    file.seek(after)
    raise ValueError(f"{path}: holds more than {MOST_MEMBERS:,} members; split it into several files.")


@dataclass(frozen=True)
class _Header:
    name: str
    size: int
    kind: bytes

    @classmethod
    def of(cls, block: bytes) -> "_Header":
        """Parse a block; raises ValueError if its checksum is wrong."""
        if _number(block[148:156]) != sum(block[:148]) + sum(block[156:]) + 8 * ord(" "):
            raise ValueError("a header does not match its checksum")
        name, prefix = _text(block[:100]), _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
        return cls(f"{prefix}/{name}" if prefix else name, _number(block[124:136]), block[156:157])


def _fields(data: bytes) -> dict[bytes, bytes]:
    """Parse the records of a pax header, each of which is `<its length> <name>=<value>` and a line end."""
    fields, at = {}, 0
    while at < len(data):
        found = RECORD.match(data, at)
        end = at + int(found[1]) if found else 0
        if found is None or not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ValueError("a header of extended fields is damaged")
        if found[2].startswith(b"GNU.sparse."):
            raise ValueError("it holds a sparse file, which is not read; pack the tar file without sparse storage")
        fields[found[2]], at = data[found.end() : end - 1], end
    return fields


def _number(field: bytes) -> int:
    if (found := NUMBER.fullmatch(field)) is None:
        raise ValueError("a header holds a number that is damaged, or above 8 GiB")
    return int(found[1], 8)


def _decimal(field: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,13}", field):
        raise ValueError("a header states a size that is no number, or too large")
    return int(field)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _exactly(file: BinaryIO, size: int) -> bytes:
    """Return the next `size` bytes; raises EOFError if there are fewer. A too large `size` costs no memory."""
    pieces, left = [], size
    while left:
        pieces.append(file.read(min(left, PIECE)))
        left -= len(pieces[-1])
        if not pieces[-1]:
            raise EOFError("it ends in the middle")
    return b"".join(pieces)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn an error that a damaged file causes inside the `with` into a ValueError of one line that names the file."""
    try:
        with failures_named(path):
            yield
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ValueError(f"{path}: is damaged, or is not a tar file ({error}); fetch the file again.") from None
