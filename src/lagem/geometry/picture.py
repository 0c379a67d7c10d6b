"""Pictures of meshes and point clouds, made without OpenGL or a display: embree traces rays, and numpy shades.

The camera is orthographic and always shows the whole unit sphere. Pictures of shapes in the unit-sphere frame therefore
have the same scale and can be compared.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lagem.geometry.mesh import Mesh
from lagem.geometry.rays import Rays
from lagem.storage.atomic import replaced

CORNERS = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
FACES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [1, 0, 5], [2, 1, 5], [3, 2, 5], [0, 3, 5]])

# S picture side in pixels, F faces

Picture = NDArray[np.uint8]

HALF_WIDTH = 1.04  # half the side of the view, in unit-sphere units
COLOUR = np.array([0.60, 0.68, 0.80])  # linear RGB of the clay
WARM, SKY, GROUND = np.array([1.0, 0.97, 0.92]), np.array([0.28, 0.30, 0.34]), np.array([0.13, 0.115, 0.11])
GAMMA = 2.2
MARGIN, INK, EMPTY = 8, (40, 44, 52), 238  # pixels between pictures, colour of text, grey of a missing picture


def render_mesh(
    mesh: Mesh,
    *,
    size: int = 320,
    azimuth: float = 35.0,
    elevation: float = 25.0,
    up: Literal["y", "z"] = "z",
    supersample: int = 2,
) -> Picture:
    """Draw a mesh on a white background. The two sides of a face get the same colour.

    Args:
        mesh: The mesh, in the unit-sphere frame; parts beyond the unit sphere may be cut off.
        size: S, side of the picture in pixels.
        azimuth: Angle in degrees by which the camera is moved around the shape, to the camera's right. At 0, the camera
            is in front of the shape: on the -y axis with z up, or on the +z axis with y up.
        elevation: Angle in degrees by which the camera is above the horizon.
        up: The axis of the frame that points up in the picture.
        supersample: Number of rays along each side of a pixel.

    Returns:
        (S, S, 3) uint8, row 0 at the top.

    Raises:
        ImportError: If embreex is missing.
    """
    normals, _ = mesh.normals_and_areas()
    vertices = mesh.vertices
    if up == "y":  # turn y up into z up: (x, y, z) to (x, -z, y)
        turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        vertices, normals = vertices @ turn.T, normals @ turn.T
    a, e = np.deg2rad([azimuth, elevation])
    right = np.array([np.cos(a), np.sin(a), 0])
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])  # from the shape to the camera
    top = np.cross(back, right)
    rays = size * supersample
    ticks = HALF_WIDTH * (2 * (np.arange(rays) + 0.5) / rays - 1)
    origins = ticks[None, :, None] * right - ticks[:, None, None] * top + 4 * back
    face = Rays(Mesh(vertices, mesh.faces)).first_hits(origins.reshape(-1, 3), -back)
    colours = np.concatenate([_shaded(normals, right, top, back), np.ones((1, 3))])  # face -1 is the background
    picture = colours[face].reshape(size, supersample, size, supersample, 3).mean(axis=(1, 3))
    encoded: Picture = np.rint(255 * picture ** (1 / GAMMA)).astype(np.uint8)
    return encoded


def contact_sheet(
    rows: Sequence[Sequence[Picture | None]],
    *,
    column_titles: Sequence[str],
    row_titles: Sequence[str] | None = None,
) -> Picture:
    """Arrange pictures in a table with titles.

    Args:
        rows: Rows of (S, S, 3) uint8 pictures, all of the same size; None becomes a grey cell. Each row is as long as
            `column_titles`.
        column_titles: Titles above the columns; a title that is wider than a picture takes several lines.
        row_titles: Titles to the left of the rows, cut if they are wider than a picture; None for no titles.

    Returns:
        (height, width, 3) uint8.
    """
    shapes = {picture.shape for row in rows for picture in row if picture is not None}
    if len(shapes) != 1 or any(len(row) != len(column_titles) for row in rows):
        raise ValueError(
            f"a sheet needs pictures of one size, {len(column_titles)} in each row, but the sizes are "
            f"{sorted(shapes)} and the rows have {[len(row) for row in rows]} pictures."
        )
    if row_titles is not None and len(row_titles) != len(rows):
        raise ValueError(f"{len(row_titles)} row titles were given for {len(rows)} rows; give one per row.")
    height, width, _ = shapes.pop()
    font = ImageFont.load_default(size=max(11, height // 18))
    line = int(font.getbbox("Ag")[3])
    left = min(int(max(map(font.getlength, row_titles), default=0)) + 2 * MARGIN, width) if row_titles else MARGIN
    folded = [_folded(title, font, width) for title in column_titles]
    top = max(map(len, folded), default=1) * line + 2 * MARGIN
    sheet = Image.new(
        "RGB", (left + len(column_titles) * (width + MARGIN), top + len(rows) * (height + MARGIN)), "white"
    )
    pen = ImageDraw.Draw(sheet)
    for column, lines in enumerate(folded):
        centre = left + column * (width + MARGIN) + width / 2
        for above, text in enumerate(reversed(lines)):
            pen.text((centre, top - MARGIN - above * line), text, fill=INK, font=font, anchor="md")
    for number, row in enumerate(rows):
        y = top + number * (height + MARGIN)
        if row_titles:
            title = _fitted(row_titles[number], font, left - 2 * MARGIN)
            pen.text((MARGIN, y + height / 2), title, fill=INK, font=font, anchor="lm")
        for column, picture in enumerate(row):
            place = (left + column * (width + MARGIN), y)
            if picture is None:
                picture = np.full((height, width, 3), EMPTY, dtype=np.uint8)
            sheet.paste(Image.fromarray(picture), place)
    return np.array(sheet)


def save_picture(picture: Picture, path: str | Path) -> None:
    """Write a (height, width, 3) uint8 picture as png, whole or not at all; missing folders are created."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: pictures are saved as .png, not `{path.suffix}`; rename it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        Image.fromarray(picture).save(temporary)


def _shaded(
    normals: NDArray[np.float64], right: NDArray[np.float64], top: NDArray[np.float64], back: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the (F, 3) colours of faces, in linear RGB.

    Four lights fall on the faces: a warm key light from the upper left, a soft light at the camera, and the light of
    the sky and of the ground.
    """
    facing = normals * np.where(normals @ back < 0, -1.0, 1.0)[:, None]
    key = -0.55 * right + 0.75 * top + 0.65 * back
    lambert = np.clip(facing @ (key / np.linalg.norm(key)), 0, None)[:, None]
    head = (facing @ back)[:, None]
    sky = (0.5 + 0.5 * facing[:, 2])[:, None]
    light = 0.78 * lambert * WARM + 0.14 * head + sky * SKY + (1 - sky) * GROUND
    colours: NDArray[np.float64] = np.clip(COLOUR * light, 0, 1)
    return colours


def _folded(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Return the text in lines of at most `width` pixels; a line has at least one character."""
    lines = [""]
    for character in text:
        if lines[-1] and font.getlength(lines[-1] + character) > width:
            lines.append("")
        lines[-1] += character
    return lines


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: float) -> str:
    """Return the text; if it is wider than `width` pixels, it is cut to fit and ends with dots."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def render_points(
    points: NDArray[np.floating],
    *,
    size: int = 320,
    radius: float = 0.014,
    up: Literal["y", "z"] = "z",
    limit: int = 20_000,
) -> Picture:
    """Draw a point cloud, each point as a small octahedron.

    Args:
        points: (N, 3) points in the unit-sphere frame; if there are more than `limit`, only evenly spaced rows are
            drawn.
        size: Side of the picture in pixels.
        radius: Radius of a drawn point, in unit-sphere units.
        up: The axis of the frame that points up in the picture.
        limit: Maximum number of points drawn.

    Returns:
        (size, size, 3) uint8.
    """
    points = np.asarray(points, dtype=np.float64)[:: max(1, -(-len(points) // limit))]
    vertices = (points[:, None] + radius * CORNERS).reshape(-1, 3)
    faces = (len(CORNERS) * np.arange(len(points))[:, None, None] + FACES).reshape(-1, 3)
    return render_mesh(Mesh(vertices=vertices, faces=faces), size=size, up=up)
