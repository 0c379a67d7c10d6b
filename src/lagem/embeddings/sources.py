"""What `lagem embed` embeds with a model of texts and images: captions, images, or rendered views of meshes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lagem.geometry.files.loading import MESH_ENDINGS
from lagem.geometry.picture import render_mesh
from lagem.sources.surfaces import MeshSurfaces
from lagem.storage.csv_table import read_csv
from lagem.storage.names import checked_id, regular

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 2**26  # of an image
LONGEST_CAPTION = 10_000  # characters
VIEW_PIXELS, AZIMUTH = 224, 35.0  # side of a rendered view, and the angle of the first one in degrees

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ToEmbed:
    """What is known of one shape: V texts, or V images, each (height, width, 3)."""

    id: str
    texts: tuple[str, ...] = ()
    images: tuple[Picture, ...] = ()


def kind_of(source: Path) -> Literal["captions", "images", "meshes"]:
    """Return what a source holds: a table with the columns id and caption, a folder of images, or meshes.

    Images in a folder with meshes are taken for their textures.
    """
    if source.suffix.lower() == ".csv" and source.is_file():
        with regular(source).open(encoding="utf-8-sig", errors="replace") as file:
            return "captions" if "caption" in file.readline(1_000).strip().split(",") else "meshes"
    if not source.is_dir():
        return "meshes"
    endings = {path.suffix.lower() for path in source.rglob("*")}
    return "images" if endings & set(IMAGE_ENDINGS) and not endings & set(MESH_ENDINGS) else "meshes"


def captions(table: Path) -> Iterator[ToEmbed]:
    """Yield the captions of each shape, which may have several rows.

    All shapes get as many captions as the one with most, so those of the others are repeated.

    Raises:
        ValueError: If the table lacks the columns id and caption, or a row is not valid.
    """
    found: dict[str, list[str]] = {}
    for row, fields in enumerate(read_csv(table, ["id", "caption"]), start=1):
        if not 0 < len(fields["caption"]) <= LONGEST_CAPTION:
            raise ValueError(
                f"{table}: row {row} has a caption of {len(fields['caption']):,} characters, but it must have 1 to "
                f"{LONGEST_CAPTION:,}; shorten it, or leave the row out."
            )
        found.setdefault(checked_id(fields["id"], table, row=row), []).append(fields["caption"])
    most = max(map(len, found.values()), default=0)
    for id, texts in found.items():
        yield ToEmbed(id, texts=tuple(islice(cycle(texts), most)))


def images(folder: Path) -> Iterator[ToEmbed]:
    """Yield the images of each shape: ID.png, or several images in a folder ID, in the order of their names.

    All shapes get as many images as the one with most, so those of the others are repeated.

    Raises:
        ValueError: If a file is not such an image, or two have one id.
    """
    found: dict[str, list[Path]] = {}
    for path in _image_files(folder):
        of_shape = path.parent if path.parent != folder else path.with_suffix("")
        found.setdefault(of_shape.relative_to(folder).as_posix(), []).append(path)
    most = max(map(len, found.values()), default=0)
    for id, paths in found.items():
        if len(paths) > 1 and paths[0].parent == folder:
            raise ValueError(f"{paths[0]} and {paths[1]} are images of one id, {id!r}; put them into a folder {id}.")
        pictures = list(map(read_image, paths))
        yield ToEmbed(checked_id(id, folder), images=tuple(islice(cycle(pictures), most)))


def rendered(meshes: MeshSurfaces, *, views: int) -> Iterator[ToEmbed]:
    """Yield rendered views of each mesh, from all around, 25 degrees above the horizon.

    Raises:
        ValueError: If a file cannot be read.
    """
    for index, id in enumerate(meshes.ids):
        mesh = meshes.unit_mesh(index)
        turns = [AZIMUTH + 360 * view / views for view in range(views)]
        yield ToEmbed(id, images=tuple(render_mesh(mesh, size=VIEW_PIXELS, azimuth=turn, up=mesh.up) for turn in turns))


def read_image(path: Path) -> Picture:
    """Read an image as (height, width, 3); transparent parts become white.

    Raises:
        ValueError: If the file is not a png, jpeg or webp image, or is too large.
    """
    try:
        with Image.open(regular(path), formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MOST_PIXELS:,}")
            clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return np.array(Image.alpha_composite(white, clear).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{path}: is not a usable png, jpeg or webp image ({text}); repair or remove it.") from error


def _image_files(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder and in its folders, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith("."):
            yield path
