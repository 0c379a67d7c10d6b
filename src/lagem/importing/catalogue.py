"""Reads furniture catalogues of Sweet Home 3D (.sh3f files): the pieces, their names, creators and licence.

The category of a piece is derived from its name.

A .sh3f file is a zip with `PluginFurnitureCatalog.properties`, a Java properties file in Latin-1. Piece number n has
the keys `name#n`, `category#n`, `model#n`, `width#n` and so on.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lagem.storage.checked.zip_file import ZipMembers

PROPERTIES = "PluginFurnitureCatalog.properties"
MOST_PROPERTIES = 16 * 2**20  # bytes
MOST_PIECES = 20_000
LONGEST_PROPERTY = 2_000  # characters of a key with its value; the rest is left out
LONGEST_TEXT = 500  # characters of a name, a creator or a licence
LONGEST_STEM = 80  # maximum number of bytes that the name of a model takes in an id
OTHER = "other"

# for each category, the nouns that name its pieces
CATEGORIES = {
    "armchair": ("armchair", "recliner"),
    "bathtub": ("bathtub", "bath", "jacuzzi"),
    "bed": ("bed", "crib", "futon", "mattress"),
    "bench": ("bench",),
    "bookcase": ("bookcase", "shelves", "shelf", "bookshelf", "rack"),
    "bottle": ("bottle", "flacon"),
    "cabinet": ("cabinet", "cupboard", "wardrobe", "dresser", "chest", "locker", "unit", "sideboard", "vanity"),
    "chair": ("chair", "seat", "wheelchair", "rocker"),
    "desk": ("desk", "workbench"),
    "door": ("door",),
    "lamp": ("lamp", "light", "lantern", "spotlight", "chandelier", "lamppost"),
    "person": ("female", "male", "boy", "girl", "woman", "man"),
    "plant": ("plant", "tree", "ficus", "cactus", "hedge", "bush", "flowers", "tulips", "orchids", "bamboo", "maple"),
    "sofa": ("sofa", "couch", "lounge", "settee"),
    "stool": ("stool", "ottoman", "puff", "pouf"),
    "table": ("table", "nightstand", "stand"),
    "vase": ("vase", "pot", "jar"),
    "vehicle": ("car", "sedan", "truck", "bus", "van", "suv", "bicycle", "bike", "scooter", "motorbike"),
    "washbasin": ("washbasin", "basin", "sink", "lavatory"),
    "window": ("window", "panes"),
}
OF_NOUN = {noun: category for category, nouns in CATEGORIES.items() for noun in nouns}
HEAD_ENDS = re.compile(r"\b(?:with|for|in|on|and|of|by|under|without)\b|[(,/]")


@dataclass(frozen=True)
class Piece:
    """One piece of a catalogue.

    archive: the .sh3f file.
    member: name of the model in it.
    rotation: row by row, the rotation matrix that stands the model upright.
    size: width, depth and height in centimetres.
    """

    archive: str
    member: str
    id: str
    name: str
    category: str
    group: str
    creator: str
    licence: str
    rotation: tuple[float, ...]
    size: tuple[float, float, float]


def read_catalogue(path: Path) -> list[Piece]:
    """List those pieces of a .sh3f file that have a model; raises ValueError if the file is not a valid .sh3f file."""
    with ZipMembers(path) as members:
        values = parse_properties(members.read(PROPERTIES, at_most=MOST_PROPERTIES).decode("latin-1"))
    numbers = sorted(int(key[6:]) for key in values if re.fullmatch("model#(0|[1-9][0-9]{0,5})", key))
    if len(numbers) > MOST_PIECES:
        raise ValueError(
            f"{path}: lists {len(numbers)} pieces, more than the limit of {MOST_PIECES}; split the catalogue."
        )
    pieces, stems = [], set()
    for number in numbers:

        def text(key: str, default: str = "", number: int = number) -> str:
            return " ".join(values.get(f"{key}#{number}", default).split())[:LONGEST_TEXT]

        member = values[f"model#{number}"].strip().lstrip("/")
        stem = re.sub(r"[^\w-]+", "-", Path(member).stem).encode()[:LONGEST_STEM].decode(errors="ignore") or "piece"
        while stem in stems:
            stem = f"{stem}-{number}"
        stems.add(stem)
        pieces.append(
            Piece(
                archive=str(path),
                member=member,
                id=f"{re.sub(r'[^A-Za-z0-9-]+', '-', path.stem)[:60]}__{stem}",
                name=text("name"),
                category=category_of(text("name")),
                group=text("category"),
                creator=text("creator", values.get("provider", "unknown")),
                licence=" ".join(values.get("license", "unknown").split())[:LONGEST_TEXT],
                rotation=_numbers(text("modelRotation"), 9) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
                size=_size(text("width"), text("depth"), text("height")),
            )
        )
    return pieces


def category_of(name: str) -> str:
    """Return the category of a piece, given its name.

    Only the part of the name before the first preposition, `and`, comma, slash or bracket counts. The last
    noun of this part that is listed in `CATEGORIES` determines the category. If no noun of this part is listed, the
    category is `other`.
    """
    head = HEAD_ENDS.split(name.lower())[0]
    for word in reversed(re.findall(r"[a-z]+", head)):
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in OF_NOUN:
                return OF_NOUN[form]
    return OTHER


def parse_properties(text: str) -> dict[str, str]:
    """Return the keys and values of a Java properties file; the last of two equal keys counts, as in Java."""
    values: dict[str, str] = {}
    whole = ""
    for line in text.splitlines():
        line = line.lstrip()
        if not whole and line[:1] in ("", "#", "!"):
            continue
        continues = (len(line) - len(line.rstrip("\\"))) % 2
        whole = (whole + (line[:-1] if continues else line))[:LONGEST_PROPERTY]
        if continues:
            continue
        found = re.match(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", whole)
        if found is not None:
            values[_unescaped(found[1])] = _unescaped(found[2])
        whole = ""
    return values


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else {"t": "\t", "n": "\n", "r": "\r"}.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", plain, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _numbers(text: str, count: int) -> tuple[float, ...]:
    words = text.split()
    try:
        found = tuple(float(word) for word in words)
    except ValueError:
        return ()
    return found if len(found) == count and all(abs(value) < 1e6 for value in found) else ()


def _size(*texts: str) -> tuple[float, float, float]:
    found = [_numbers(text, 1) for text in texts]
    width, depth, height = (value[0] if value else 0.0 for value in found)
    return width, depth, height
