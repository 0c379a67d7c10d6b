"""Read the pictures that a page shows, check them, and store them inside the page."""

import io
from pathlib import Path

from PIL import Image as Picture

from lagem.reports.page.content import Block, Image, Paragraph
from lagem.storage.failures import failures_named
from lagem.storage.names import inside, regular

MOST_BYTES = 2 * 2**20
MOST_PIXELS = 64_000_000


def image_of(path: Path) -> Block:
    """Return the picture in a file, or a line that says why it is left out: too large, damaged, or not a PNG file."""
    with failures_named(path), regular(inside(path.parent, path.name)).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        return Paragraph(f"{path.name} is left out: it has more than {MOST_BYTES // 2**20} MiB.")
    try:
        with Picture.open(io.BytesIO(content), formats=["PNG"]) as picture:
            width, height = picture.size
            picture.verify()
    except Exception:  # Pillow raises many types; a message may hold a memory address, so pages would differ
        return Paragraph(f"{path.name} is left out: it is not a picture in PNG format, or is damaged.")
    if width * height > MOST_PIXELS:
        return Paragraph(f"{path.name} is left out: it has {width} × {height} pixels.")
    return Image(content, path.stem.replace("_", " "))
