"""Zip files that may come from anybody: sizes, names and compression methods are checked before anything is unpacked.

A caller asks for a member and gets its bytes. Nothing is extracted to the disk, so a member's name is never a path.
"""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import NoReturn

from lagem.storage.names import regular

MOST_MEMBERS = 50_000
MOST_DIRECTORY = 32 * 2**20  # bytes of the list of members, which zipfile parses whole
END_OF_DIRECTORY, LARGE_DIRECTORY = b"PK\x05\x06", b"PK\x06\x07"
ENCRYPTED = 0x1  # flag of a member


class ZipMembers:
    """The members of a zip file, by name; use it in a `with` block.

    names: names of the members, in the order of the file's list.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a zip file, is damaged, has too many members, or has two members of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._path = regular(path)
        if _has_large_directory(path):
            large = f"is in ZIP64 format, or its list has over {MOST_MEMBERS:,} members or {MOST_DIRECTORY:,} bytes"
            self._refuse(large, remedy="unpack it, and pack fewer members into a plain zip file")
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
            self._refuse(f"not a zip file, or a damaged one ({error})", error)
        self._members = {member.filename: member for member in self._zip.infolist()}
        self.names = list(self._members)
        if len(self.names) > MOST_MEMBERS:  # the number that the file states may be a lie
            self._zip.close()
            self._refuse(f"holds {len(self.names):,} members, but at most {MOST_MEMBERS:,} are read")
        if len(self.names) < len(self._zip.infolist()):
            self._zip.close()
            self._refuse("holds several members of the same name")

    def __enter__(self) -> "ZipMembers":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, *, at_most: int) -> bytes:
        """Return the content of a member, after checking its stated size; its checksum (CRC-32) is verified.

        Args:
            name: Name of the member.
            at_most: The largest accepted size in bytes, unpacked.

        Raises:
            ValueError: If the member is missing, too large, encrypted, packed by an unusual method, or damaged.
        """
        if name not in self._members:
            self._refuse(f"has no member {name!r:.200}")
        member = self._members[name]
        if member.file_size > at_most:
            self._refuse(f"{name!r:.200} has {member.file_size:,} bytes, but at most {at_most:,} are read")
        if member.flag_bits & ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self._refuse(f"{name!r:.200} is encrypted, or packed by a method other than stored and deflated")
        try:
            content = self._zip.read(member)  # never more than `file_size` bytes
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError) as error:
            self._refuse(f"{name!r:.200} is damaged ({error})", error)
        if len(content) != member.file_size:
            self._refuse(f"{name!r:.200} ends after {len(content):,} of {member.file_size:,} bytes")
        return content

    def _refuse(
        self, problem: str, error: Exception | None = None, *, remedy: str = "fetch the file again"
    ) -> NoReturn:
        raise ValueError(f"{self._path}: {problem}; {remedy}.") from error


def _has_large_directory(path: Path) -> bool:
    """Return whether a zip file has the ZIP64 format, or states that it has more members than this module reads."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2**16 - 22))
        tail = file.read()
    end = tail.rfind(END_OF_DIRECTORY)
    if end < 0 or len(tail) < end + 22:
        return False
    count, length = struct.unpack("<HI", tail[end + 10 : end + 16])
    is_large = tail[max(0, end - 20) :].startswith(LARGE_DIRECTORY)  # zipfile would then read another length
    return is_large or count > MOST_MEMBERS or length > MOST_DIRECTORY
