"""What a mesh file promises, checked before a parser believes it.

Parsers clip, allocate or follow what a file declares. These checks look only at counts, lengths and links, never at
the geometry; each raises ValueError with what was wrong and what to do, and the caller adds the file's name.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16", "float16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64", "int64", "uint64"), 8),
}
UNREADABLE_EXTENSIONS = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}


def check_ply(path: Path) -> None:
    """Declared counts must fit into the bytes that follow the header (ascii: into its lines)."""
    with open(path, "rb") as file:
        if file.readline(8).strip() != b"ply":
            raise ValueError("does not begin with `ply`, so it is no ply file; check its ending.")
        lines: list[str] = []
        while (line := file.readline(4096)).strip() != b"end_header":
            if not line:
                raise ValueError("ends inside its header (no `end_header`); it was cut off, fetch or save it again.")
            lines.append(line.decode("latin-1"))
        body = file.tell()
        ascii_lines = None
        if any(line.split()[:2] == ["format", "ascii"] for line in lines):
            ascii_lines = sum(1 for line in file if line.strip())
    needed = rows = count = 0
    for words in (line.split() for line in lines):
        if words[:1] == ["element"]:
            if not words[2].isdigit():
                raise ValueError(
                    f"declares `{words[2]}` of element `{words[1]}`, which is no count; repair its header."
                )
            count = int(words[2])
            rows += count
        elif words[:1] == ["property"]:
            kind = words[2] if words[1] == "list" else words[1]  # an empty list still stores its length
            if kind not in PLY_BYTES:
                raise ValueError(f"declares a property of unknown type `{kind}`; save it with standard types.")
            needed += count * PLY_BYTES[kind]
    left = path.stat().st_size - body
    if ascii_lines is not None and ascii_lines < rows:
        raise ValueError(f"declares {rows} rows, but {ascii_lines} follow the header; it was cut off, fetch it again.")
    if ascii_lines is None and left < needed:
        raise ValueError(
            f"declares at least {needed} bytes of data, but {left} follow the header; it was cut off, fetch it again."
        )


def check_stl(path: Path) -> None:
    """A binary file must be as long as its triangle count says; a text file must close what it opens."""
    data = path.read_bytes()
    count = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + 50 * count:
        return
    if not data.lstrip()[:5].lower() == b"solid":
        raise ValueError(
            f"declares {count} triangles ({84 + 50 * count} bytes), but has {len(data)} bytes, and is no text stl; "
            "it was cut off or is no stl, fetch or save it again."
        )
    for word in (b"solid", b"facet"):
        opened, closed = (
            len(re.findall(rb"^[ \t]*" + prefix + word + rb"\b", data, re.MULTILINE | re.IGNORECASE))
            for prefix in (b"", b"end")
        )
        if opened != closed:
            name = word.decode()
            raise ValueError(f"has {opened} `{name}` but {closed} `end{name}`; it was cut off, fetch or save it again.")


def check_off(path: Path) -> None:
    """Declared vertices and faces must all have a line."""
    text = path.read_text(encoding="latin-1")
    lines = [stripped for line in text.splitlines() if (stripped := line.split("#")[0].strip())]
    match = re.match(r"[A-Z4]*OFF(.*)", lines[0] if lines else "", re.IGNORECASE)
    if match is None:
        raise ValueError("does not begin with `OFF`, so it is no off file; check its ending.")
    counts, rows = match[1].split(), lines[1:]  # the counts may stand beside `OFF` or on the next line
    if not counts and rows:
        counts, rows = rows[0].split(), rows[1:]
    if len(counts) < 2 or not all(word.isdigit() for word in counts[:2]):
        raise ValueError("has no line of vertex and face counts after `OFF`; add it or save the file again.")
    declared = int(counts[0]) + int(counts[1])
    if declared > len(rows):
        raise ValueError(f"declares {declared} vertices and faces, but {len(rows)} lines follow; it was cut off.")


def check_obj(path: Path) -> None:
    """Indices count from 1, and negative ones must not depend on where they stand (the parser ignores that)."""
    data = path.read_bytes()
    if zero := re.search(rb"^[ \t]*f(?:[ \t]+\S+)*?[ \t]+0+(?=[/\s]|\Z)", data, re.MULTILINE):
        line = data.count(b"\n", 0, zero.start()) + 1
        raise ValueError(f"line {line} uses vertex 0, but obj counts from 1; repair the file's indices.")
    negative = re.search(rb"^[ \t]*f(?:[ \t]+\S+)*?[ \t]+-\d", data, re.MULTILINE)
    if negative and re.search(rb"^[ \t]*v[ \t]", data[negative.end() :], re.MULTILINE):
        line = data.count(b"\n", 0, negative.start()) + 1
        raise ValueError(
            f"line {line} counts vertices backwards and more vertices follow; save the file with positive indices."
        )


def first_bad_obj_line(path: Path) -> str | None:
    """The first vertex line of an obj file whose coordinates are not numbers, in words; None where all are."""
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, start=1):
            words = line.split()
            if words[:1] == ["v"]:
                try:
                    [float(word) for word in words[1:4]]
                except ValueError:
                    return f"line {number}, `{line.strip()[:60]}`, is no vertex of three numbers; repair that line."
    return None


def check_gltf(path: Path) -> None:
    """Nodes must be trees, buffers must stay in the folder, and accessors must not promise more than there is."""
    check_gltf_document(json.loads(path.read_bytes()), path)


def check_glb(path: Path) -> None:
    """As `check_gltf`, and the declared lengths must fit into the file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(20)
        declared, chunk = int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")
        if len(head) < 20 or head[:4] != b"glTF" or head[16:] != b"JSON":
            raise ValueError(f"has no glb header in its {size} bytes; it was cut off or is no glb, save it again.")
        if declared > size or chunk > size - 20:
            raise ValueError(
                f"declares {declared} bytes with {chunk} of JSON, but has {size} bytes; it was cut off, fetch it again."
            )
        check_gltf_document(json.loads(file.read(chunk)), path)


def check_gltf_document(document: dict[str, Any], path: Path) -> None:
    """The checks that gltf and glb share."""
    if unreadable := UNREADABLE_EXTENSIONS.intersection(document.get("extensionsRequired", [])):
        raise ValueError(f"is compressed with {', '.join(sorted(unreadable))}; save it without compression.")
    children = [list(node.get("children", [])) for node in document.get("nodes", [])]
    has_parent = {child for several in children for child in several}
    if len(has_parent) < sum(map(len, children)):
        raise ValueError("has a node with two parents, so its nodes are no tree; save it again from its source.")
    reached = [index for index in range(len(children)) if index not in has_parent]
    for index in reached:  # grows while it is walked; every node has one parent at most, so no node comes twice
        reached.extend(children[index])
    if len(reached) != len(children):
        raise ValueError("has a cycle in its node graph; save it again from its source.")
    folder, available = path.parent.resolve(), path.stat().st_size
    for uri in (buffer.get("uri", "data:") for buffer in document.get("buffers", [])):
        if uri.startswith("data:"):
            continue
        target = Path(os.path.abspath(folder / unquote(uri)))
        if ":" in uri.split("/")[0] or not target.is_relative_to(folder):
            raise ValueError(
                f"keeps a buffer in `{uri}`, outside its folder, which is not read; move it beside the file."
            )
        if not target.is_file():
            raise ValueError(f"keeps a buffer in `{uri}`, which is missing; put it beside the file.")
        available += target.stat().st_size
    for index, accessor in enumerate(document.get("accessors", [])):
        if not 0 <= accessor["count"] <= available:
            raise ValueError(
                f"declares {accessor['count']} items in accessor {index}, but has {available} bytes; repair the file."
            )


FILE_CHECKS: dict[str, Callable[[Path], None]] = {
    ".obj": check_obj,
    ".ply": check_ply,
    ".off": check_off,
    ".stl": check_stl,
    ".glb": check_glb,
    ".gltf": check_gltf,
}
