"""A damaged safetensors file is refused with the same message each time it is read."""

import json
from pathlib import Path

import pytest

from lagem.storage.checked.arrays import ArrayFile


def write(path: Path, count: int) -> None:
    """Write a safetensors file whose header states `count` arrays that begin beyond the end of the file."""
    header = json.dumps({f"a{k}": {"dtype": "U8", "shape": [1], "data_offsets": [99, 100]} for k in range(count)})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())


def test_several_wrong_arrays_give_the_same_message_each_time(tmp_path):
    write(tmp_path / "wrong.safetensors", 30)
    messages = set()
    for _ in range(10):
        with pytest.raises(ValueError, match="not a shard, or a damaged one") as refusal:
            ArrayFile(tmp_path / "wrong.safetensors", entry="lagem", what="a shard", remedy="copy it again")
        messages.add(str(refusal.value))
    assert len(messages) == 1
    assert "offset" in messages.pop()
