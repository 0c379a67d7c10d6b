"""A glTF 2.0 document and its buffers. Fields are checked when they are read, and accessors become arrays.

A field of the wrong type, an index out of range, or an accessor that reaches beyond its buffer is refused with a
message that names it.
"""

import base64
import json
import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import MOST_BYTES, check_count, check_text, quoted

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# extensions that a file may require: those that do not change positions or faces, and those that are supported
HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "EXT_texture_", "EXT_lights_", "MSFT_texture_")
READ = ("KHR_mesh_quantization",)
MOST_VALUES = 5_000_000  # number of fields and entries in the JSON
# A small document may refer to the same data many times, in accessors, morph targets, skins and nodes. So the amount of
# data that may be read or placed is limited by these bounds, or by the size of the document and its buffers if that
# allows more.
MOST_REPEATED = 30_000_000  # number of numbers that may be read
READS_A_BYTE = 20  # number of numbers that may be read per byte
COST_OF_A_STEP = 1000  # opening an accessor or primitive counts as reading this number of numbers
MOST_COPIED = 2_000_000  # number of vertices, and of faces, that may be placed
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942


class Document:
    """The JSON document of a file, and its buffers.

    root: the JSON object.
    """

    def __init__(self, path: Path) -> None:
        """Read a .gltf or .glb file.

        Raises:
            ValueError: If the file is not glTF 2, is damaged, or requires an extension that is not supported.
        """
        self.path = path
        data = path.read_bytes()
        text, self._binary = _chunks(data) if path.suffix.lower() == ".glb" else (data, b"")
        check_text(len(text))
        if (values := sum(map(text.count, (b"{", b"[", b",")))) > MOST_VALUES:
            raise ValueError(f"holds {values} values in its JSON, but the limit is {MOST_VALUES}; simplify the scene.")
        self._buffers: dict[int, bytes] = {}
        self._bytes, self._numbers = len(data), 0
        try:
            self.root = json.loads(text.decode("utf-8-sig"))
        except RecursionError:
            raise ValueError("is nested too deeply to be a glTF document; save it again from its source.") from None
        except ValueError as error:
            raise ValueError(f"is cut off or is not glTF: its JSON is not valid ({error}); save it again.") from None
        version = self.object("asset", self.root).get("version")
        if not isinstance(version, str) or not version.startswith("2."):
            raise ValueError(f"has glTF version {quoted(str(version))}, but only version 2 is supported; convert it.")
        for name in self.list("extensionsRequired", self.root):
            if not isinstance(name, str) or not (name in READ or name.startswith(HARMLESS)):
                raise ValueError(
                    f"requires the extension {quoted(str(name))}, which is not supported; save the file without that "
                    "extension."
                )

    def count_numbers(self, numbers: int) -> None:
        """Add to the count of numbers that were read, and check it against a limit.

        Raises:
            ValueError: If the count exceeds what a file of this size can plausibly need.
        """
        self._numbers += numbers + COST_OF_A_STEP
        if self._numbers > max(MOST_REPEATED, READS_A_BYTE * self._bytes):
            raise ValueError(
                "reading its accessors gives far more numbers than the file holds, since they repeat its data or have "
                "no data; save the file again with each mesh stored once."
            )

    def check_copies(self, count: int, what: str) -> None:
        """Raise ValueError if more vertices or faces are placed than a file of this size can plausibly need."""
        check_count(count, what)
        if count > max(MOST_COPIED, self._bytes):
            raise ValueError(
                f"has at least {count} {what}, counted once for each place where a mesh is used; a file with "
                f"{self._bytes} bytes of data may have at most {max(MOST_COPIED, self._bytes)} {what}. Simplify its "
                "meshes, or place them fewer times."
            )

    # Methods that read a field and check its type; `where` is the object that holds the field.

    def object(self, name: str, where: dict[str, Any]) -> dict[str, Any]:
        """Return the field `name` of `where`, or {} if it is absent; raises ValueError if it is not an object."""
        value = where.get(name, {}) if isinstance(where, dict) else None
        return value if isinstance(value, dict) else _wrong(name, value, "an object")

    def list(self, name: str, where: dict[str, Any]) -> list[Any]:
        """Return the field `name` of `where`, or [] if it is absent; raises ValueError if it is not a list."""
        value = where.get(name, []) if isinstance(where, dict) else None
        return value if isinstance(value, list) else _wrong(name, value, "a list")

    def integer(self, name: str, where: dict[str, Any], default: int | None = None, most: int = 2**40) -> int:
        """Return the field `name` of `where`; raises ValueError if the field is not an integer from 0 to `most`.

        If the field is absent, return `default`; if there is no default either, raise ValueError.
        """
        value = where.get(name, default) if isinstance(where, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        return _wrong(name, value, f"an integer from 0 to {most}")

    def numbers(self, name: str, where: dict[str, Any], count: int | None) -> NDArray[np.float64] | None:
        """Return the field `name` of `where` as an array, or None if it is absent.

        Raises ValueError if the field is not a list of `count` finite numbers. If `count` is None, the list may have
        any length.
        """
        value = where.get(name)
        if value is None:
            return None
        if isinstance(value, list) and (count is None or len(value) == count) and all(map(_is_finite, value)):
            return np.array(value, dtype=np.float64)
        return _wrong(name, value, f"{count or 'a list of'} finite numbers")

    def indexed(self, kind: str, index: Any) -> dict[str, Any]:
        """Return entry `index` of the document's list `kind`, such as `nodes`; raises ValueError if there is none."""
        entries = self.list(kind, self.root)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(entries):
            raise ValueError(
                f"refers to entry {quoted(str(index))} of `{kind}`, which has {len(entries)} entries; save it again."
            )
        entry = entries[index]
        return entry if isinstance(entry, dict) else _wrong(f"{kind}/{index}", entry, "an object")

    # Methods that read data

    def accessor(self, index: Any, *, kind: str, indices: bool = False) -> NDArray[Any]:
        """Read the values of an accessor.

        Normalised integers are divided by the largest value of their type. The values of a sparse accessor
        replace the items that its indices name.

        Args:
            index: Index of the accessor, as the file states it. This method checks that such an accessor exists.
            kind: The type that the accessor must have, such as `VEC3`.
            indices: True if the values are indices, which must be unsigned integers.

        Returns:
            (count, components) float64, or int64 if `indices` is True.
        """
        accessor = self.indexed("accessors", index)
        count = self.integer("count", accessor)
        check_count(count, f"items in accessor {index}")
        component = COMPONENTS.get(self.integer("componentType", accessor), "")
        if not component or accessor.get("type") != kind or (indices and component not in ("<u1", "<u2", "<u4")):
            raise ValueError(
                f"has accessor {index} of type {quoted(str(accessor.get('type')))} and component type "
                f"{quoted(str(accessor.get('componentType')))}, which do not fit its use; save it again."
            )
        width = WIDTHS[kind]
        self.count_numbers(count * width)
        if "bufferView" in accessor:
            values = self._view(accessor, count, component, width, index)
        else:
            values = np.zeros((count, width), dtype=component)
        if sparse := self.object("sparse", accessor):
            values = values.copy()
            changed = self.integer("count", sparse, most=count)
            at, new = self.object("indices", sparse), self.object("values", sparse)
            kind_at = COMPONENTS.get(self.integer("componentType", at), "")
            if kind_at not in ("<u1", "<u2", "<u4"):
                raise ValueError(f"has sparse indices of the wrong type in accessor {index}; save it again.")
            rows = self._view(at, changed, kind_at, 1, index)[:, 0].astype(np.int64)
            if changed and rows.max() >= count:
                raise ValueError(
                    f"replaces item {rows.max()}, counted from 0, of accessor {index}, which has {count} items; save "
                    "it again."
                )
            values[rows] = self._view(new, changed, component, width, index)
        if indices:
            return values.astype(np.int64)
        if accessor.get("normalized") is True and component != "<f4":
            return np.maximum(values.astype(np.float64) / np.iinfo(component).max, -1.0)
        return values.astype(np.float64)

    def _view(self, where: dict[str, Any], count: int, component: str, width: int, index: Any) -> NDArray[Any]:
        view = self.indexed("bufferViews", where.get("bufferView"))
        buffer = self._buffer(self.integer("buffer", view))
        item = np.dtype(component).itemsize * width
        stride = self.integer("byteStride", view, item, most=255) or item
        begin, length = self.integer("byteOffset", view, 0), self.integer("byteLength", view)
        offset = self.integer("byteOffset", where, 0)
        last = offset + stride * (count - 1) + item if count else 0
        if stride < item or last > length or begin + length > len(buffer):
            raise ValueError(
                f"declares {count} items in accessor {index}, which need {last} bytes, but its part of the buffer has "
                f"{min(length, max(len(buffer) - begin, 0))}; fetch the file again if it was cut off, or repair it."
            )
        whole = np.frombuffer(buffer, dtype=np.uint8, offset=begin + offset, count=last - offset if count else 0)
        if not count:
            return np.zeros((0, width), dtype=component)
        rows = np.lib.stride_tricks.as_strided(whole, (count, item), (stride, 1), writeable=False)
        return np.ascontiguousarray(rows).view(component).reshape(count, width)

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            buffer = self.indexed("buffers", index)
            uri, declared = buffer.get("uri"), self.integer("byteLength", buffer)
            self._bytes += declared
            if self._bytes > MOST_BYTES[".gltf"]:
                raise ValueError(
                    f"has at least {self._bytes} bytes together with its buffers, more than the limit of "
                    f"{MOST_BYTES['.gltf']}; simplify the mesh."
                )
            if uri is None and index == 0 and self.path.suffix.lower() == ".glb":
                data = self._binary
            elif isinstance(uri, str):
                data = self._fetched(uri, declared)
            else:
                _wrong("uri", uri, "the name of a buffer's file")
            if len(data) < declared:
                raise ValueError(
                    f"declares {declared} bytes in buffer {index}, but only {len(data)} were found; the buffer was cut "
                    "off: fetch it again."
                )
            self._buffers[index] = data[:declared]
        return self._buffers[index]

    def _fetched(self, uri: str, declared: int) -> bytes:
        if uri[:5].lower() == "data:":
            head, _, body = uri.partition(",")
            if not head.lower().endswith(";base64"):
                raise ValueError("keeps a buffer in a data URI that is not base64; save it again.")
            try:
                return base64.b64decode(unquote(body), validate=True)
            except ValueError as error:
                raise ValueError(f"keeps a buffer in a damaged data URI ({error}); save it again.") from None
        folder = Path(os.path.realpath(self.path.parent))
        try:
            target = Path(os.path.realpath(folder / unquote(uri)))
            is_file = target.is_file()
        except (OSError, ValueError):  # the path is too long, or has characters that a path cannot have
            raise ValueError(f"keeps a buffer in {quoted(uri)}, which is not a valid path; save it again.") from None
        if ":" in uri.split("/")[0] or not target.is_relative_to(folder):
            raise ValueError(
                f"keeps a buffer in {quoted(uri)}, outside its folder, which is not allowed; "
                "put the buffer's file into that folder."
            )
        if not is_file:
            raise ValueError(f"keeps a buffer in {quoted(uri)}, which is missing; put that file into the same folder.")
        with target.open("rb") as file:
            return file.read(declared)


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """Return the JSON chunk and the binary chunk of a .glb file; the latter is empty if the file has none."""
    size = len(data)
    if size < 20 or data[:4] != b"glTF" or int.from_bytes(data[16:20], "little") != JSON_CHUNK:
        raise ValueError(f"has {size} bytes, but no glb header; it was cut off, or is not a glb: save it again.")
    declared, length = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12))
    if declared != size or length > size - 20:
        raise ValueError(
            f"declares {declared} bytes, {length} of them JSON, but has {size} bytes; it is damaged: fetch it again."
        )
    rest = data[20 + length :]
    if not rest:
        return data[20 : 20 + length], b""
    if len(rest) < 8:
        raise ValueError(f"ends {len(rest)} bytes after its JSON, in the header of its data; fetch it again.")
    binary = int.from_bytes(rest[:4], "little")
    if binary > len(rest) - 8:
        raise ValueError(
            f"declares {binary} bytes of data, too many for its {size} bytes; it is damaged: fetch it again."
        )
    is_binary = int.from_bytes(rest[4:8], "little") == BINARY_CHUNK
    return data[20 : 20 + length], rest[8 : 8 + binary] if is_binary else b""


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _wrong(name: str, found: Any, expected: str) -> Any:
    kinds = {dict: "an object", list: "a list", type(None): "nothing"}
    shown = kinds.get(type(found)) or quoted(json.dumps(found))
    raise ValueError(f"has {shown} as `{name}`, but {expected} is expected; save it again from its source.")
