"""The header of a PLY file: the elements that it declares, checked against the length of the data."""

import re
from dataclasses import dataclass, field

from lagem.geometry.files.errors import check_count, check_text, lines_of, quoted

KINDS = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("int64",), "i8"),
    **dict.fromkeys(("uint64",), "u8"),
    **dict.fromkeys(("float16",), "f2"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
MOST_HEADER = 2**20  # bytes
MOST_PROPERTIES = 1000


@dataclass(frozen=True)
class Element:
    """An element, which is a table of data, as the header declares it.

    name: name of the element, such as `vertex`.
    count: number of its rows.
    properties: its columns: (name, type of a list's length, type of a list's items) for a property whose values are
        lists, and (name, None, type) for any other.
    """

    name: str
    count: int
    properties: list[tuple[str, str | None, str]] = field(default_factory=list)

    @property
    def lists(self) -> list[str]:
        """Names of the properties whose values are lists."""
        return [name for name, length, _ in self.properties if length is not None]


def read_header(data: bytes) -> tuple[str, list[Element], int]:
    """Read the header of a file.

    Args:
        data: The content of the file.

    Returns:
        The byte order (`<` or `>`; empty for a text file), the elements, and the index of the byte at which the data
        begin.

    Raises:
        ValueError: If the header is not valid, or does not match the length of the data.
    """
    begin = re.match(rb"ply[ \t]*(\r?\n|\r)", data)
    if begin is None:
        raise ValueError("does not begin with `ply`, so it is not a ply file; check its file extension.")
    # if the first line ends with CR alone, so does the last line; an LF after it is the first byte of the data
    line_end = rb"\r" if begin[1] == b"\r" else rb"\r?\n"
    end = re.compile(line_end + rb"end_header[ \t]*(?:" + line_end + rb"|\Z)").search(data, 0, MOST_HEADER)
    if end is None:
        raise ValueError("ends inside its header (no `end_header`); it was cut off: fetch or save it again.")
    start = end.end()
    byte_order: str | None = None
    elements: list[Element] = []
    for words in (line.split() for line in lines_of(data[: end.start()].decode("latin-1"))[1:]):
        match words:
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", kind, "1.0"] if kind in FORMATS:
                byte_order = FORMATS[kind]
            case ["element", name, count]:
                if not count.isdecimal() or len(count) > 18:
                    raise ValueError(
                        f"declares an invalid number of rows, {quoted(count)}, for the element {quoted(name)}; repair "
                        "the header."
                    )
                if any(name == element.name for element in elements):
                    raise ValueError(f"declares the element {quoted(name)} twice; repair the header.")
                elements.append(Element(name, int(count)))
            case ["property", kind, name] if elements and kind in KINDS:
                elements[-1].properties.append((name, None, KINDS[kind]))
            case ["property", "list", length, kind, name] if elements and {length, kind} <= KINDS.keys():
                if KINDS[length][0] == "f":
                    raise ValueError(
                        f"declares the list {quoted(name)} with lengths of type `{length}`, but a length must be an "
                        "integer; repair the header."
                    )
                elements[-1].properties.append((name, KINDS[length], KINDS[kind]))
            case _:
                raise ValueError(
                    f"has the line {quoted(' '.join(words))} in its header, which is not valid in ply (types: "
                    f"{', '.join(sorted(KINDS))}); save it with standard types."
                )
    if byte_order is None:
        raise ValueError("has no `format` line in its header; add it or save the file again.")
    for element in elements:
        names = [name for name, *_ in element.properties]
        if len(set(names)) < len(names) or len(names) > MOST_PROPERTIES:
            raise ValueError(
                f"declares more than {MOST_PROPERTIES} properties of element {quoted(element.name)}, or one of them "
                "twice; repair the header."
            )
    needed = sum(e.count * sum(int((length or kind)[1]) for _, length, kind in e.properties) for e in elements)
    if byte_order and len(data) - start < needed:
        raise ValueError(
            f"declares at least {needed} bytes of data, but only {len(data) - start} follow the header; it was cut "
            "off: fetch it again."
        )
    if not byte_order:
        check_text(len(data))
    for element in elements:
        check_count(element.count, f"rows of element {quoted(element.name)}")
        check_count(element.count * len(element.lists), f"lists of element {quoted(element.name)}")
    return byte_order, elements, start
