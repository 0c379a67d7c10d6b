"""Read the `.wandb` file of an offline W&B run, which is a log of protobuf records in LevelDB's framing."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import ArtifactRecord, Record

BLOCK, HEADER, PREAMBLE = 32768, 7, 7  # bytes: of a block, before each part, and of the file's own mark
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> list[Record]:
    """Return all records of the file."""
    data = path.read_bytes()
    found, parts, place = [], b"", PREAMBLE
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:  # the rest of a block is padding
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts = (b"" if kind in (WHOLE, FIRST) else parts) + data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(parts))
    return found


def history(path: Path) -> list[dict]:
    """Return the logged values of each step of the run, by key."""
    return [_by_key(record.history.item) for record in records(path) if record.HasField("history")]


def config(path: Path) -> dict:
    """Return the configuration of the run: all updates that it sent, merged in their order."""
    sent = {}
    for record in records(path):
        update = record.config if record.HasField("config") else record.run.config
        sent |= _by_key(update.update)
    return sent


def artifacts(path: Path) -> list[ArtifactRecord]:
    """Return all artifacts that the run logged."""
    return [record.artifact for record in records(path) if record.HasField("artifact")]


def _by_key(items: Iterable) -> dict:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
