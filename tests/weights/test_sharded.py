"""Valid sharded checkpoints load exactly, and code that is hidden in one never runs."""

import copyreg
import io
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, ChunkStorageMetadata

from flips import flipped_copies
from lagem.weights.errors import WeightsError
from lagem.weights.metadata import read_metadata, values_of
from lagem.weights.sharded import load_sharded

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def plain_state(factor: float) -> dict:
    """Weights, and the state of an optimiser: tensors, numbers, tuples and None."""
    return {
        "state_dict": {"weight": factor * torch.arange(6.0).reshape(2, 3), "bias": factor * torch.ones(2)},
        "optimizer_0": {
            "state": {"weight": {"step": factor * torch.tensor(3.0), "exp_avg": factor * torch.ones(2, 3)}},
            "param_groups": [
                {"lr": 0.25 * factor, "betas": (0.5 * factor, 0.75), "foreach": None, "params": ["weight"]}
            ],
        },
    }


@pytest.fixture
def folder(tmp_path) -> Path:
    dcp.save(plain_state(1.0), checkpoint_id=tmp_path / "last.ckpt", no_dist=True)
    return tmp_path / "last.ckpt"


class Payload:
    """An object whose pickle is a call that creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_an_honest_sharded_checkpoint_loads_exactly(folder):
    state = plain_state(0.0)
    load_sharded(state, folder)
    expected = plain_state(1.0)
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(state["state_dict"][name], tensor)
    moments = state["optimizer_0"]["state"]["weight"]
    assert moments["step"] == 3 and torch.equal(moments["exp_avg"], torch.ones(2, 3))
    assert state["optimizer_0"]["param_groups"] == expected["optimizer_0"]["param_groups"]


def test_the_index_is_read_as_torch_reads_it(folder):
    ours, torchs = read_metadata((folder / ".metadata").read_bytes()), FileSystemReader(folder).read_metadata()
    assert ours.state_dict_metadata == torchs.state_dict_metadata
    assert ours.storage_data == torchs.storage_data


def test_the_index_that_an_early_python_3_11_wrote_is_read(folder):
    """Python 3.11.0 to 3.11.3 pickles an enum's member as a call of getattr."""
    expected = FileSystemReader(folder).read_metadata()
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=4)
    pickler.dispatch_table = copyreg.dispatch_table | {
        _MEM_FORMAT_ENCODING: lambda member: (getattr, (_MEM_FORMAT_ENCODING, member.name))
    }
    pickler.dump(expected)
    assert b"getattr" in written.getvalue()
    assert read_metadata(written.getvalue()).state_dict_metadata == expected.state_dict_metadata


def with_payload(folder: Path, part: str, payload: Payload) -> None:
    """Put a payload into the given part of a valid index, so that torch would run it when it reads the index."""
    metadata = FileSystemReader(folder).read_metadata()
    if part == "whole":
        metadata = payload
    elif part == "key":
        metadata.storage_data = {payload: None}
    elif part == "tensor":
        next(iter(metadata.state_dict_metadata.values())).size = payload
    elif part == "file":
        next(iter(metadata.storage_data.values())).relative_path = payload
    else:
        setattr(metadata, part, payload)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


@pytest.mark.parametrize("part", ["whole", "planner_data", "storage_meta", "version", "key", "tensor", "file"])
def test_a_payload_in_the_index_does_not_run(folder, tmp_path, part):
    marker = tmp_path / "marker"
    with_payload(folder, part, Payload(marker))
    with pytest.raises(WeightsError, match=r"last.ckpt/.metadata: refused, because the file names (posix|os)\.mkdir"):
        load_sharded(plain_state(0.0), folder)
    assert not marker.exists()
    FileSystemReader(folder).read_metadata() if part != "whole" else pickle.loads((folder / ".metadata").read_bytes())
    assert marker.exists()  # the payload works


@pytest.mark.parametrize("protocol", range(6))
def test_a_payload_of_any_protocol_does_not_run(protocol, tmp_path):
    with pytest.raises(ValueError, match="not part of this format|damaged"):
        read_metadata(pickle.dumps(Payload(tmp_path / "marker"), protocol=protocol))
    assert not (tmp_path / "marker").exists()


def test_a_payload_in_a_shard_does_not_run(folder, tmp_path):
    marker = tmp_path / "marker"
    state = plain_state(1.0)
    state["optimizer_0"]["param_groups"][0]["lr"] = Payload(marker)
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    with pytest.raises(WeightsError, match=r"last.ckpt: refused, because loading it would run code.*mkdir"):
        load_sharded(plain_state(0.0), folder)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"half",
        b"\x80\x04N.",
        b"\x80\x04\x8c\x05torch\x8c\x08__dict__\x93.",
        b"\x80\x04\x8c\x05torch\x8c\x0fSize.__new__.im\x93.",
        b"\x80\x04c" + b"os\nsystem\n.",
        b"\x80\x04Nr\xff\xff\xff\x7f.",  # the position 2^31 - 1 of the memo, for which pickle would reserve 32 GiB
        b"\x80\x04" + b"]\x94h\x00a" + b".",  # a list that contains itself
        b"\x80\x04}" + b")" + b"\x85" * 200_000 + b"Ns.",  # a key so nested that its hash would exhaust the stack
        b"\x80\x04h\x07.",
        b"\x80\x04t.",
        b"\x80\x04)b.",
        b"\x80\x04\x8c\x01ab.",
        b"\x80\x04\x82\x01.",
    ],
)
def test_bytes_that_are_no_index_are_refused(content):
    with pytest.raises(ValueError):
        read_metadata(content)


def test_every_cut_index_is_refused(folder):
    content = (folder / ".metadata").read_bytes()
    for length in range(0, len(content), 7):
        with pytest.raises(ValueError):
            read_metadata(content[:length])


def test_an_index_that_repeats_one_list_ten_thousand_times_is_refused(folder):
    """A few hundred kilobytes that describe ten million chunks."""
    metadata = FileSystemReader(folder).read_metadata()
    entry = metadata.state_dict_metadata["state_dict.weight"]
    entry.size, entry.chunks = torch.Size((1_000, 1)), boxes(*((row, 0, 1, 1) for row in range(1_000)))
    metadata.state_dict_metadata = {f"{number}": entry for number in range(10_000)}
    content = pickle.dumps(metadata)
    with pytest.raises(ValueError, match="more objects than it has bytes"):
        read_metadata(content)


def boxes(*rows: tuple[int, int, int, int]) -> list[ChunkStorageMetadata]:
    """Return chunks of a matrix, given first row, first column, number of rows and number of columns of each."""
    return [ChunkStorageMetadata(torch.Size((a, b)), torch.Size((c, d))) for a, b, c, d in rows]


@pytest.mark.parametrize(
    ("chunks", "fit"),
    [
        (boxes((0, 0, 4, 6)), True),
        (boxes((0, 0, 2, 6), (2, 0, 2, 6)), True),
        (boxes((0, 0, 2, 6), (2, 0, 2, 6), (4, 0, 0, 6)), True),  # a rank without rows
        (boxes((0, 0, 4, 2), (0, 2, 4, 1), (0, 3, 4, 3)), True),
        (boxes((0, 0, 2, 4), (0, 4, 4, 2), (2, 0, 2, 4)), True),
        (boxes(), False),
        (boxes((0, 0, 4, 5)), False),
        (boxes((0, 0, 2, 6), (0, 0, 2, 6)), False),
        (boxes((0, 0, 2, 6), (1, 0, 2, 6)), False),
        (boxes((0, 0, 2, 6), (64, 0, 2, 6)), False),
        (boxes((0, 0, 4, 6), (0, 0, 4, 6)), False),
        (boxes((0, 0, 2, 4), (0, 4, 4, 2), (1, 0, 2, 4)), False),
    ],
)
def test_the_chunks_of_a_tensor_must_fill_it(folder, chunks, fit):
    metadata = FileSystemReader(folder).read_metadata()
    entry = metadata.state_dict_metadata["state_dict.weight"]
    entry.size, entry.chunks = torch.Size((4, 6)), chunks
    if fit:
        assert read_metadata(pickle.dumps(metadata)).state_dict_metadata["state_dict.weight"].chunks == chunks
    else:
        with pytest.raises(ValueError, match="chunks that do not fill it"):
            read_metadata(pickle.dumps(metadata))


def test_two_entries_at_one_place_of_a_shard_are_refused(folder):
    metadata = FileSystemReader(folder).read_metadata()
    first, second, *_ = metadata.storage_data
    metadata.storage_data[first] = replace(metadata.storage_data[second])
    with pytest.raises(ValueError, match="two entries at the same offset"):
        read_metadata(pickle.dumps(metadata))


@pytest.mark.parametrize("name", ["../x.distcp", "/x.distcp", "a/b.distcp", "x", "..", "a\n.distcp", "\0.distcp", ""])
def test_an_index_that_names_a_file_outside_is_refused(folder, name):
    metadata = FileSystemReader(folder).read_metadata()
    next(iter(metadata.storage_data.values())).relative_path = name
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(WeightsError, match=r"\.metadata: refused, because the file names the file"):
        load_sharded(plain_state(0.0), folder)


def test_a_shard_that_is_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (shard,) = folder.glob("*.distcp")
    shard.rename(tmp_path / "elsewhere.distcp")
    shard.symlink_to(tmp_path / "elsewhere.distcp")
    with pytest.raises(ValueError, match=r"\.metadata: '__0_0\.distcp' leads out of the folder"):
        load_sharded(plain_state(0.0), folder)


def test_a_checkpoint_of_another_model_is_refused(folder):
    state = plain_state(0.0)
    state["state_dict"]["weight"] = torch.zeros(4, 4)
    with pytest.raises(WeightsError, match="of another model"):
        load_sharded(state, folder)


def test_no_flipped_bit_changes_what_is_loaded(folder):
    def loaded(_: Path) -> dict:
        load_sharded(state := plain_state(0.0), folder)
        return state

    before = repr(loaded(folder))
    assert before == repr(plain_state(1.0))
    for file in (folder / ".metadata", *folder.glob("*.distcp")):
        content = file.read_bytes()
        for copy in flipped_copies(content, 200):
            file.write_bytes(copy)
            try:
                assert repr(loaded(folder)) == before
            except ValueError as error:
                assert "\n" not in str(error) and "last.ckpt" in str(error)
        file.write_bytes(content)


def test_a_flipped_tensor_in_a_shard_is_refused_where_torch_accepts_it(folder):
    (shard,) = folder.glob("*.distcp")
    content = shard.read_bytes()
    values = torch.ones(2, 3).numpy().tobytes()
    assert content.count(values) == 1
    shard.write_bytes(content.replace(values, (2 * torch.ones(2, 3)).numpy().tobytes()))
    dcp.load(state := plain_state(0.0), checkpoint_id=folder, no_dist=True)
    assert (state["optimizer_0"]["state"]["weight"]["exp_avg"] == 2).all()
    with pytest.raises(WeightsError, match=rf"{shard.name}: damaged \(Bad CRC-32 for file .*copy the checkpoint again"):
        load_sharded(plain_state(0.0), folder)


def test_a_missing_shard_is_named(folder):
    (shard,) = folder.glob("*.distcp")
    shard.unlink()
    with pytest.raises(WeightsError, match=f"{shard.name}: the shard is missing"):
        load_sharded(plain_state(0.0), folder)


def test_pickle_values_are_plain(folder):
    assert values_of(pickle.dumps([1, "a", (2, 3, 4, 5), {"b": None}, [True]])) == [
        1,
        "a",
        (2, 3, 4, 5),
        {"b": None},
        [True],
    ]
