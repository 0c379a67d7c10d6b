"""Random damage inside safetensors, GLB and zip files. Most damaged files are still valid containers."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from functools import cache
from typing import Any

from numpy.random import Generator

from damage import Files, chosen, in_bytes, in_json

MARKER = "executed"  # the folder that pickled code makes if a reader runs it
BOMB = 3 * 2**30  # bytes that a zip bomb unpacks to


class Payload:
    """An object whose pickle runs code when it is loaded: it makes the folder `MARKER`."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (MARKER,)


def in_safetensors(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Return a safetensors file with random damage.

    The damage is in the JSON header, in the stated length of the header, in the tensors, or anywhere in the file.
    """
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], data[8 + length :]
    kind = int(rng.integers(7))
    if kind == 0:
        return data[:8] + header + in_bytes(body, rng, other)
    if kind == 6:
        return data[:8] + header + filled(header, body, rng)
    if kind == 1:
        return (
            int(chosen([0, 1, length - 1, length + 1, 2**31, 2**62, 2**64 - 1], rng)).to_bytes(8, "little") + data[8:]
        )
    if kind == 2:
        return in_bytes(data, rng, other)
    header = in_metadata(header, rng) if kind < 5 and b"__metadata__" in header else in_json(header, rng)
    return len(header).to_bytes(8, "little") + header + body


def filled(header: bytes, body: bytes, rng: Generator) -> bytes:
    """Return the bytes of all tensors, after one value was written to every byte of one tensor."""
    tensors = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
    begin, end = tensors[chosen(sorted(tensors), rng)]["data_offsets"]
    return body[:begin] + bytes([chosen([0, 0, 1, 0x7F, 0x80, 0xFF], rng)]) * (end - begin) + body[end:]


def in_metadata(header: bytes, rng: Generator) -> bytes:
    """Damage one JSON document in the metadata of a safetensors header."""
    tree = json.loads(header)
    key = chosen(sorted(tree["__metadata__"]), rng)
    tree["__metadata__"][key] = in_json(tree["__metadata__"][key].encode(), rng).decode()
    return json.dumps(tree).encode()


def unchecked(files: Files, rng: Generator) -> Files:
    """Return the files; in half of the cases, remove the checksums from safetensors files.

    Files of earlier versions have no checksums either. With a checksum, any damage is noticed at once, so the other
    checks of a reader would not be tried.
    """
    if rng.random() < 0.5:
        return files
    return {name: without_checksums(data) if name.endswith(".safetensors") else data for name, data in files.items()}


def without_checksums(data: bytes) -> bytes:
    """Return a safetensors file without its checksums; return it unchanged if its header cannot be parsed."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        for key, text in header["__metadata__"].items():
            description = json.loads(text)
            description.pop("crc32", None)
            header["__metadata__"][key] = json.dumps(description)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return data
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + data[8 + length :]


def in_glb(data: bytes, rng: Generator) -> bytes:
    """Damage one field of the JSON document in a GLB file."""
    length = int.from_bytes(data[12:16], "little")
    text, rest = in_json(data[20 : 20 + length], rng), data[20 + length :]
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest


def in_zip(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Return a zip file with a random change.

    The change damages, removes or renames a member, replaces one by pickled code or a bomb, adds a damaged copy of one,
    or compresses all members.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > 2**28:
            raise ValueError("the zip file is a bomb, which earlier damage made")
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = int(rng.integers(len(members)))
    pickles = [index for index, (name, _) in enumerate(members) if name.endswith(".pkl")]
    if pickles and rng.random() < 0.5:
        at = chosen(pickles, rng)
    name, content = members[at]
    kind, packed = int(rng.integers(10)), zipfile.ZIP_STORED
    if kind < 3:
        members[at] = name, in_bytes(content, rng, other)
    elif kind == 3:
        del members[at]
    elif kind == 4:
        members.append((name, in_bytes(content, rng, other)))
    elif kind == 5:
        packed = zipfile.ZIP_DEFLATED
    elif kind == 6:
        members[at] = chosen([f"../{name}", "", "../canary/keep", name.upper()], rng), content
    elif kind == 7 and rng.random() < 0.3:
        return with_bomb(members, at)
    else:
        members[at if name.endswith(".pkl") else pickles[0] if pickles else at] = name, pickled_code(rng)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", packed) as archive:
        for member, content in members:
            archive.writestr(zipfile.ZipInfo(member or "x"), content, packed)
    return written.getvalue()


def pickled_code(rng: Generator) -> bytes:
    """Return a pickle that runs code when it is loaded: a `Payload`, alone or inside dicts and lists."""
    value = chosen([Payload(), {"state_dict": Payload()}, [1, {"a": (Payload(),)}]], rng)
    return pickle.dumps(value, protocol=int(chosen([0, 2, 4], rng)))


def with_bomb(members: list[tuple[str, bytes]], at: int) -> bytes:
    """Return a zip file of the members, with number `at` replaced by a bomb: few bytes that unpack to `BOMB` zeros."""
    stream, size, crc = zeros()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for index, (name, content) in enumerate(members):
            archive.writestr(name, stream if index == at else content)
    data = bytearray(written.getvalue())
    name = members[at][0].encode()
    small = struct.pack("<LLL", zlib.crc32(stream), len(stream), len(stream))
    large = struct.pack("<LLL", crc, len(stream), size)
    for signature, method_at, name_at in ((b"PK\3\4", 8, 30), (b"PK\1\2", 10, 46)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            if data[start + name_at : start + name_at + len(name)] == name and small in data[start : start + name_at]:
                data[start + method_at : start + method_at + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
                sizes = data.find(small, start)
                data[sizes : sizes + 12] = large
    return bytes(data)


@cache
def zeros() -> tuple[bytes, int, int]:
    """Return `BOMB` zeros, compressed as a deflate stream; their number; and their CRC-32."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = 2**24
    first = packer.compress(b"\0" * block) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(BOMB // block):
        crc = zlib.crc32(b"\0" * block, crc)
    return first * (BOMB // block) + packer.flush(), BOMB, crc
