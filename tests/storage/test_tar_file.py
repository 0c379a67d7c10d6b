"""Tar files are read as tarfile reads them, but links are not followed.

Hostile and damaged files are refused with a message of one line.
"""

import gzip
import io
import os
import random
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from lagem.storage.checked import tar_file
from lagem.storage.checked.tar_file import MOST_NAMING, tar_members

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def packed(members: dict[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar file with these members."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=format) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return content.getvalue()


def changed(data: bytes, at: int, field: bytes) -> bytes:
    """Overwrite the bytes at position `at` of the first header with `field`, and return the resulting tar file.

    The checksum in the header is computed again.
    """
    header = bytearray(data[:512])
    header[at : at + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def contents(path: Path) -> list[tuple[str, str, bytes]]:
    return [(member.name, member.kind, member.read(at_most=2**40)) for member in tar_members(path)]


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_members_are_those_of_tarfile(format: int, is_compressed: bool, tmp_path: Path):
    rng = random.Random(format)
    names = ["a.npz", "00/b.npz", f"{'folder' * 9}/{'c' * 64}.ply", "d" * 99]
    names += [] if format == tarfile.USTAR_FORMAT else ["e" * 300, "für/椅子" * 20]
    data = packed({name: rng.randbytes(rng.choice([0, 1, 511, 512, 513, 5000])) for name in names}, format)
    (tmp_path / "a.tar").write_bytes(gzip.compress(data) if is_compressed else data)
    with tarfile.open(tmp_path / "a.tar") as file:
        expected = [(info.name, "a file", file.extractfile(info).read()) for info in file]  # type: ignore[union-attr]
    assert contents(tmp_path / "a.tar") == expected
    assert [member.name for member in tar_members(tmp_path / "a.tar")] == names  # without reading the contents


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.DIRTYPE, "a folder"),
    ],
)
def test_links_devices_pipes_and_folders_have_no_content(type: bytes, kind: str, tmp_path: Path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        info = tarfile.TarInfo("a")
        info.type, info.linkname = type, "/etc/passwd"
        file.addfile(info)
        file.addfile(tarfile.TarInfo("b"))
    stating_a_size = changed(content.getvalue(), 124, b"00000077777\0")
    for data in (content.getvalue(), stating_a_size):
        (tmp_path / "a.tar").write_bytes(data)
        (first, *others) = contents(tmp_path / "a.tar")
        assert (first[0].rstrip("/"), *first[1:]) == ("a", kind, b"")
        assert others == [("b", "a file", b"")]


def pax(records: bytes, *, size: int | None = None) -> bytes:
    """Return a tar file that begins with a pax header of these records; `size` replaces the header's size field."""
    data = packed({"fields": records, "a": b"x"})
    return changed(changed(data, 156, b"x"), 124, b"%011o\0" % (len(records) if size is None else size))


SOUND = packed({"a": b"x" * 2000, "b": b"y"})
DAMAGED = {
    "empty": b"",
    "not a tar file": b"hello" * 300,
    "no end": SOUND[:3584],
    "ends in a header": SOUND[:100],
    "ends in a member": SOUND[:1500],
    "ends in a compressed member": gzip.compress(random.Random(0).randbytes(9000))[:5000],
    "flipped bit in a compressed file": gzip.compress(SOUND)[:-8] + b"\0" * 8,
    "checksum": SOUND[:10] + b"z" + SOUND[11:],
    "a size in base 256": changed(SOUND, 124, b"\x80" + b"\0" * 10 + b"\x01"),
    "a negative size": changed(SOUND, 124, b"-0000000001\0"),
    "a size beyond the end": changed(SOUND, 124, b"77777777777\0"),
    "sparse as GNU tar": changed(SOUND, 156, b"S"),
    "sparse as pax": pax(b"22 GNU.sparse.major=1\n"),
    "unknown kind": changed(SOUND, 156, b"V"),
    "record without end": pax(b"9 path=aa"),
    "record longer than the header": pax(b"99999 path=a\n"),
    "record of length 0": pax(b"0 path=a\n"),
    "record without a name": pax(b"8 pathab\n"),
    "a size in words": pax(b"13 size=many\n"),
    "a size of pax that is too large": pax(b"28 size=9999999999999999999\n"),
    "a size of pax beyond the end": pax(b"18 size=999999999\n"),
    "a long header": pax(b"9 path=a\n", size=MOST_NAMING + 1),
    "a long name": changed(changed(SOUND, 156, b"L"), 124, b"%011o\0" % (MOST_NAMING + 1)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_refused_in_one_line(data: bytes, tmp_path: Path):
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="fetch the file again") as error:
        contents(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_bomb_takes_no_memory(tmp_path: Path):
    with gzip.open(tmp_path / "a.tar", "wb", compresslevel=1) as file:
        file.write(changed(SOUND, 124, b"%011o\0" % 2**28)[:512])
        for _ in range(2**8):
            file.write(bytes(2**20))
        file.write(bytes(1024))
    tracemalloc.start()
    for member in tar_members(tmp_path / "a.tar"):
        with pytest.raises(ValueError, match="has 268,435,456 bytes"):
            member.read(at_most=2**20)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("data", [packed({str(n): b"" for n in range(9)}), changed(SOUND, 156, b"K")[:2560] * 9])
def test_the_number_of_headers_is_bounded(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tar_file, "MOST_MEMBERS", 5)
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ValueError, match="more than 5 members"):
        list(tar_members(tmp_path / "a.tar"))


def test_the_bytes_of_all_members_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tar_file, "MOST_BYTES", 2000)
    (tmp_path / "a.tar").write_bytes(SOUND)
    with pytest.raises(ValueError, match="more than 2,000 bytes"):
        list(tar_members(tmp_path / "a.tar"))


def test_a_pipe_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(ValueError, match="is a pipe"):
        list(tar_members(tmp_path / "a.tar"))


def test_random_damage_raises_nothing_but_value_errors(tmp_path: Path):
    rng, path = random.Random(0), tmp_path / "a.tar"
    damages: list[Callable[[bytearray], None]] = [
        lambda data: data.__setitem__(rng.randrange(len(data)), rng.randrange(256)),
        lambda data: data.__delitem__(slice(rng.randrange(len(data)), None)),
        lambda data: data.__delitem__(slice(rng.randrange(len(data)), rng.randrange(len(data)))),
    ]
    for format in FORMATS:
        sound = packed({"a" * 90: b"x" * 700, ("b" * 80 + "/") * 2 + "c": b"y"}, format)
        for number in range(300):
            data = bytearray(gzip.compress(sound) if number % 3 == 0 else sound)
            rng.choice(damages)(data)
            repaired = number % 3 == 1 and len(data) > 512
            path.write_bytes(changed(bytes(data), 0, b"") if repaired else bytes(data))
            try:
                contents(path)
            except ValueError as error:
                assert str(path) in str(error) or "bytes" in str(error)
