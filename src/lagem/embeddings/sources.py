"""Read what `lagem embed` embeds with a CLIP or DINOv2 model: captions, images, or rendered views of meshes."""

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
MOST_PIXELS = 2**26  # maximum number of pixels of an image
LONGEST_CAPTION = 10_000  # characters
VIEW_PIXELS, AZIMUTH = 224, 35.0  # side of a rendered view in pixels, and azimuth of the first view in degrees

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ToEmbed:
    """The texts or images of one shape that are to be embedded: V texts, or V images, (height, width, 3) each."""

    id: str
    texts: tuple[str, ...] = ()
    images: tuple[Picture, ...] = ()


def kind_of(source: Path) -> Literal["captions", "images", "meshes"]:
    """Return what a source is: a table with the columns id and caption, a folder of images, or meshes.

    A folder that holds meshes and images counts as meshes, because the images can be textures.
    """
    if source.suffix.lower() == ".csv" and source.is_file():
        with regular(source).open(encoding="utf-8-sig", errors="replace") as file:
            return "captions" if "caption" in file.readline(1_000).strip().split(",") else "meshes"
    if not source.is_dir():
        return "meshes"
    endings = {path.suffix.lower() for path in source.rglob("*")}
    return "images" if endings & set(IMAGE_ENDINGS) and not endings & set(MESH_ENDINGS) else "meshes"


def captions(table: Path) -> Iterator[ToEmbed]:
    """Yield the captions of each shape. A shape may have several rows in the table, each with one caption.

    All shapes get the same number of captions: that of the shape with the most captions. A shape with fewer captions
    gets them repeatedly.

    Raises:
        ValueError: If the table lacks the columns id and caption, or a row is not valid.
    """
    found: dict[str, list[str]] = {}
    for row, fields in enumerate(read_csv(table, ["id", "caption"]), start=1):
        if not 0 < len(fields["caption"]) <= LONGEST_CAPTION:
            raise ValueError(
                f"{table}: row {row} has a caption of {len(fields['caption']):,} characters, but it must have 1 to "
                f"{LONGEST_CAPTION:,}; change the caption, or leave the row out."
            )
        found.setdefault(checked_id(fields["id"], table, row=row), []).append(fields["caption"])
    most = max(map(len, found.values()), default=0)
    for id, texts in found.items():
        yield ToEmbed(id, texts=tuple(islice(cycle(texts), most)))


def images(folder: Path) -> Iterator[ToEmbed]:
    """Yield the images of each shape: ID.png, or several images in a folder ID, in the order of their names.

    All shapes get the same number of images: that of the shape with the most images. A shape with fewer images gets
    them repeatedly.

    Raises:
        ValueError: If an image cannot be read, or two images such as ID.png and ID.jpg have the same id.
    """
    found: dict[str, list[Path]] = {}
    for path in _image_files(folder):
        of_shape = path.parent if path.parent != folder else path.with_suffix("")
        found.setdefault(of_shape.relative_to(folder).as_posix(), []).append(path)
    most = max(map(len, found.values()), default=0)
    for id, paths in found.items():
        if len(paths) > 1 and paths[0].parent == folder:
            raise ValueError(
                f"{paths[0]} and {paths[1]} have the same id, {id!r}; put them into a folder {id} if they show one "
                "shape; otherwise rename one of them."
            )
        pictures = list(map(read_image, paths))
        yield ToEmbed(checked_id(id, folder), images=tuple(islice(cycle(pictures), most)))


def rendered(meshes: MeshSurfaces, *, views: int) -> Iterator[ToEmbed]:
    """Yield rendered views of each mesh, from directions evenly spaced around it and 25 degrees above the horizon.

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
    """Yield the paths of the images in a folder and its subfolders, sorted; hidden files are left out."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith("."):
            yield path
