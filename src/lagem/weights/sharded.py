"""Loads a sharded checkpoint, which is a folder of torch.distributed.checkpoint, without running code from it.

A shard holds tensors and other entries. torch itself would unpickle the folder's index and these other entries. Each
entry, tensor or not, is a zip file inside a shard, and torch would ignore the checksums in these zip files.
"""

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader, load
from torch.distributed.checkpoint._nested_dict import set_element
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.futures import Future

from lagem.storage.names import inside, regular
from lagem.weights.errors import WeightsError, quoted
from lagem.weights.file import refused
from lagem.weights.metadata import LARGEST, read_metadata
from lagem.weights.zip_records import check_records

INDEX = ".metadata"
OF_FSDP1, OF_FSDP2 = "model", "state_dict"  # what Lightning calls the weights of a module


def load_sharded(state: dict[str, Any], folder: Path) -> None:
    """Load a sharded checkpoint into a state dict in place; every rank of a process group must call it.

    Raises:
        WeightsError: If the folder is damaged, holds anything but plain data, or is of another model.
    """
    metadata = _metadata_of(folder)
    for file in sorted({info.relative_path for info in metadata.storage_data.values()}):
        if not inside(folder, file, source=folder / INDEX).is_file():
            raise WeightsError(f"{folder / file}: the shard is missing; copy the checkpoint again, or give another.")
    try:
        load(state, storage_reader=_CheckedReader(folder, metadata), planner=_PlainPlanner())
    except CheckpointException as error:  # a BaseException that holds the exception of each rank that failed
        reason = next(iter(error.failures.values()))[0]
        if isinstance(reason, WeightsError):
            raise reason from error
        if isinstance(reason, pickle.UnpicklingError):
            raise refused(folder, reason) from error
        raise WeightsError(
            f"{folder}: damaged, or of another model ({quoted(reason)}); give another folder."
        ) from error


def check_not_of_fsdp1(folder: Path) -> None:
    """Raise WeightsError if a folder is a sharded checkpoint of FSDP1, or if its index is missing or damaged.

    Only sharded checkpoints of FSDP2 can be loaded.
    """
    _metadata_of(folder)


def _metadata_of(folder: Path) -> Metadata:
    index = folder / INDEX
    if not index.is_file():
        raise WeightsError(f"{folder}: not a sharded checkpoint, because it has no file {INDEX}; give another folder.")
    try:
        with regular(index).open("rb") as file:
            metadata = read_metadata(file.read(LARGEST + 1))
    except ValueError as error:
        raise WeightsError(f"{index}: refused, because the file {error}; loading it could run code.") from error
    entries = {name.partition(".")[0] for name in metadata.state_dict_metadata}
    if OF_FSDP1 in entries and OF_FSDP2 not in entries:
        raise WeightsError(
            f"{folder}: a sharded checkpoint of FSDP1, which lagem does not load. If you trust the folder, make it one "
            f"file with `python -m lightning.pytorch.utilities.consolidate_checkpoint {folder}`, and give that file."
        )
    return metadata


class _CheckedReader(FileSystemReader):
    """Reads the shards that the checked index names, and verifies the checksums of the entries that a rank reads."""

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        super().__init__(folder)
        self._folder, self._metadata = folder, metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        self._metadata.storage_meta = StorageMeta(load_id=self.load_id)
        return self._metadata

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        entries = [self._metadata.storage_data[item.storage_index] for item in plan.items]
        for name, offset, length in sorted({(entry.relative_path, entry.offset, entry.length) for entry in entries}):
            file = self._folder / name
            with file.open("rb") as shard:
                shard.seek(offset)
                content = BytesIO(shard.read(min(length, file.stat().st_size)))
            if damage := check_records(content):
                raise WeightsError(f"{file}: damaged ({damage}); copy the checkpoint again, or give another.")
        return super().read_data(plan, planner)


class _PlainPlanner(DefaultLoadPlanner):
    """Reads entries that are not tensors as plain data, without unpickling them."""

    def load_bytes(self, read_item: ReadItem, value: BytesIO) -> None:
        entry = torch.load(value, map_location="cpu", weights_only=True)
        set_element(self.original_state_dict, self.mappings[read_item.dest_index.fqn], entry)
