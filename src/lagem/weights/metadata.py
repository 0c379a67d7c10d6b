"""Reads the index of a sharded checkpoint, which is its file `.metadata`, without unpickling it.

torch writes the index with pickle, whose instructions may call any function by name. This reader accepts only the
instructions that torch needs to write an index. From them it builds tuples, lists, dicts and named records, and it
calls nothing. Then it makes instances of torch's classes from the records, and checks every field. The time and the
memory that this takes are bounded by the size of the file.
"""

import math
import pickletools
from dataclasses import dataclass
from itertools import product
from pathlib import PurePath
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

LARGEST = 2**28  # maximum size of the index in bytes; a chunk of a tensor takes about 150
MOST_DIMENSIONS = 64  # as in torch
MOST_CUT = 4  # axes along which a tensor may be divided into chunks
CLASSES = "torch.distributed.checkpoint.metadata"
STORAGE_INFO = ("torch.distributed.checkpoint.filesystem", "_StorageInfo")
SIZE = ("torch", "Size")
KNOWN_CLASSES = (
    "Metadata",
    "TensorStorageMetadata",
    "BytesStorageMetadata",
    "TensorProperties",
    "ChunkStorageMetadata",
    "MetadataIndex",
    "StorageMeta",
    "_MEM_FORMAT_ENCODING",
)
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
KNOWN = {
    *((CLASSES, name) for name in KNOWN_CLASSES),
    *(("torch", name) for name in DTYPES),
    *((module, name) for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath")),
    STORAGE_INFO,
    SIZE,
    ("torch.serialization", "_get_layout"),
    ("builtins", "getattr"),  # in Python 3.11.0 to 3.11.3, which write an enum's member as getattr(enum, name)
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
WITH_VALUE = ("BININT", "BININT1", "BININT2", "LONG1", "SHORT_BINUNICODE", "BINUNICODE")


@dataclass(eq=False)
class Record:
    """What a pickle says about an object: the name of its class, its arguments and its state. No class is called."""

    name: Any
    arguments: Any
    state: Any = None


def read_metadata(content: bytes) -> Metadata:
    """Return the index of a sharded checkpoint, given the content of its file `.metadata`.

    Raises:
        ValueError: If the content is not an index as torch writes it. The message is a predicate, such as `is damaged`;
            the caller puts it after the file's name.
    """
    if len(content) > LARGEST:
        raise ValueError(f"has more bytes than the limit of {LARGEST:,}")
    try:
        return _Index(len(content)).metadata(values_of(content))
    except (TypeError, IndexError, KeyError, AttributeError, UnicodeError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from error


def values_of(content: bytes) -> Any:
    """Return what a pickle describes, as plain values and records.

    The result of a hostile file may contain itself, or the same object many times.

    Raises:
        ValueError: If the pickle contains an instruction, a class, a function or a type of dict key that torch does not
            use in the index of a sharded checkpoint.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: list[Any] = []

    def since_mark() -> list[Any]:
        first = marks.pop()
        items = stack[first:]
        del stack[first:]
        return items

    for instruction, argument, _ in pickletools.genops(content):
        match instruction.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                break
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            case name if name in WITH_VALUE:
                stack.append(argument)
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = since_mark()
                stack[-1].extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][_key(key)] = value
            case "SETITEMS":
                items = since_mark()
                stack[-1].update(zip(map(_key, items[::2]), items[1::2], strict=True))
            case "MEMOIZE":
                memo.append(stack[-1])
            case "BINGET" | "LONG_BINGET":
                assert isinstance(argument, int)
                stack.append(memo[argument])
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not (type(module) is type(name) is str and (module, name) in KNOWN):
                    raise ValueError(f"names {str(module)[:40]}.{str(name)[:40]}, which is not part of this format")
                stack.append((module, name))
            case "NEWOBJ" | "REDUCE":
                arguments, name = stack.pop(), stack.pop()
                stack.append(Record(name, arguments))
            case "BUILD":
                state = stack.pop()
                stack[-1].state = state
            case name:
                raise ValueError(f"holds the pickle instruction {name}, which is not part of this format")
    return stack.pop()


def _key(key: Any) -> Any:
    """Return a dict key unchanged if it is a string or a `Record`; raises ValueError otherwise.

    Any other key could be a deeply nested tuple. Computing its hash would exhaust the C stack.
    """
    if not isinstance(key, str | Record):
        raise ValueError(f"has a key of type {type(key).__name__}, which is not part of this format")
    return key


class _Index:
    """Makes instances of torch's classes from records, and checks each field.

    Args:
        most: Maximum number of records to read, so that a hostile file cannot take for ever by repeating a record.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def metadata(self, value: Any) -> Metadata:
        fields = self._fields(value, (CLASSES, "Metadata"))
        entries = {_text(name): self._entry(entry) for name, entry in _items(fields["state_dict_metadata"])}
        storage = {self._position(key): self._storage(info) for key, info in _items(fields["storage_data"])}
        if len({(info.relative_path, info.offset) for info in storage.values()}) < len(storage):
            raise ValueError("has two entries at the same offset of a shard")
        return Metadata(state_dict_metadata=entries, storage_data=storage)

    def _entry(self, value: Any) -> TensorStorageMetadata | BytesStorageMetadata:
        if isinstance(value, Record) and value.name == (CLASSES, "BytesStorageMetadata"):
            return BytesStorageMetadata()
        fields = self._fields(value, (CLASSES, "TensorStorageMetadata"))
        properties = self._record(fields["properties"], (CLASSES, "TensorProperties")).state
        dtype, _, requires_grad, *_ = properties
        if dtype[0] != "torch" or dtype[1] not in DTYPES:
            raise ValueError("has a tensor of an unknown dtype")
        size, chunks = self._size(fields["size"]), [self._chunk(chunk) for chunk in fields["chunks"]]
        if not _fill(chunks, size):
            raise ValueError("has a tensor with chunks that do not fill it exactly once")
        properties = TensorProperties(dtype=DTYPES[dtype[1]], requires_grad=requires_grad is True)
        return TensorStorageMetadata(properties=properties, size=size, chunks=chunks)

    def _chunk(self, value: Any) -> ChunkStorageMetadata:
        fields = self._fields(value, (CLASSES, "ChunkStorageMetadata"))
        return ChunkStorageMetadata(offsets=self._size(fields["offsets"]), sizes=self._size(fields["sizes"]))

    def _position(self, value: Any) -> MetadataIndex:
        fields = self._fields(value, (CLASSES, "MetadataIndex"))
        offset, index = fields.get("offset"), fields.get("index")
        return MetadataIndex(
            _text(fields["fqn"]),
            None if offset is None else self._size(offset),
            None if index is None else _number(index),
        )

    def _storage(self, value: Any) -> _StorageInfo:
        fields = self._fields(value, STORAGE_INFO)
        file = _text(fields["relative_path"])
        if PurePath(file).name != file or not file.endswith(".distcp") or not file.isprintable():
            raise ValueError(f"names the file {file[:80]!r}, which cannot be a shard of this checkpoint")
        if fields.get("transform_descriptors"):
            raise ValueError("has compressed shards, which lagem neither writes nor reads")
        return _StorageInfo(file, _number(fields["offset"]), _number(fields["length"]))

    def _size(self, value: Any) -> torch.Size:
        (numbers,) = self._record(value, SIZE).arguments
        if type(numbers) is not tuple or len(numbers) > MOST_DIMENSIONS:
            raise ValueError(f"has a size that is not a tuple of at most {MOST_DIMENSIONS} numbers")
        return torch.Size([_number(number) for number in numbers])

    def _fields(self, value: Any, name: tuple[str, str]) -> dict[str, Any]:
        state = self._record(value, name).state
        if type(state) is not dict:
            raise ValueError(f"has a {name[1]} without fields")
        return state

    def _record(self, value: Any, name: tuple[str, str]) -> Record:
        self._left -= 1
        if self._left < 0:
            raise ValueError("describes more objects than it has bytes")
        if not isinstance(value, Record) or value.name != name:
            raise ValueError(f"lacks an object of the class {name[1]} where the format requires one")
        return value


def _fill(chunks: list[ChunkStorageMetadata], size: torch.Size) -> bool:
    """Return whether chunks fill a tensor without gap or overlap; torch would not load elements that lie in a gap.

    Chunks fill a tensor if their volumes add up to the tensor's volume and, among the corners of all chunks, exactly
    the corners of the tensor occur an odd number of times. If a tensor is divided along more than MOST_CUT axes, the
    result is False.
    """
    boxes = [tuple(zip(chunk.offsets, chunk.sizes, strict=False)) for chunk in chunks]
    if any(len(chunk.sizes) != len(size) or len(chunk.offsets) != len(size) for chunk in chunks):
        return False
    if any(offset + length > most for box in boxes for (offset, length), most in zip(box, size, strict=True)):
        return False
    if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(size):
        return False
    cut = [axis for axis, most in enumerate(size) if any(box[axis] != (0, most) for box in boxes)]
    if len(cut) > MOST_CUT:
        return False
    odd: set[tuple[int, ...]] = set()
    for box in boxes:
        for corner in product(*((box[axis][0], sum(box[axis])) for axis in cut)):
            odd ^= {corner}
    return odd == set(product(*((0, size[axis]) for axis in cut))) or math.prod(size) == 0


def _items(value: Any) -> Any:
    if type(value) is not dict:
        raise ValueError("has a state_dict_metadata or storage_data that is not a dict")
    return value.items()


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("has a name that is not a string")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("has a number that is not an integer from 0 to 2**63 - 1")
    return value
