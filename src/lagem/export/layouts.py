"""Writes a prepared folder in the layouts that other trainers read.

A shape is done once its last file exists, so a call that was killed can be repeated. `export.json` states which data
the folder holds. The rows of each array are in random order, so a reader may take any consecutive rows as a random
sample.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import BOX_REACH
from lagem.importing.synsets import SYNSETS
from lagem.prepared.shards import Shards, labelled
from lagem.progress import long_progress
from lagem.randomness import sample_generator
from lagem.storage.atomic import remove_leftovers, write_json, write_text
from lagem.storage.checked.description import read_description
from lagem.storage.checked.digest import sha256_of
from lagem.storage.checked.npz import write_npy, write_npz
from lagem.storage.csv_table import write_csv
from lagem.storage.names import checked_name, inside
from lagem.storage.parts import locked

Labelled = tuple[NDArray[np.float32], NDArray[np.bool_]]  # (Q, 3) queries, and whether each is inside

POINT, SURFACE, OTHER_SURFACE = "ShapeNetV2_point", "ShapeNetV2_watertight", "ShapeNetV2_surface"
SYNSET_OF = {name: synset for synset, name in SYNSETS.items()}
MAPPING = """# How `lagem import layout.yaml . --output DATA` reads these files again.
surface: surface_points
normals: surface_normals
volume_points: volume_points
volume_labels: volume_occupancy
near_points: near_points
near_labels: near_occupancy
frame: sphere
sign: occupancy
dtype: float32
label_dtype: uint8
center: center
scale: scale
"""


def export_data(data: Path, output: Path, layout: str) -> str:
    """Write every shape of a prepared folder in another layout.

    Args:
        data: The prepared folder.
        output: The folder to write to; an unfinished one is resumed.
        layout: `vecset` or `npz`. 3DILG, 3DShape2VecSet and cod-vae read `vecset`. With `npz`, each shape is one file,
            and a manifest lists the files.

    Returns:
        A text for the terminal: how many shapes were written, in which layout and where.
    """
    shards = Shards(data)
    write = {"vecset": _write_vecset, "npz": _write_npz}[layout]
    _begin(output, {"layout": layout, "index_sha256": sha256_of(data / "index.csv")})
    with locked(output, "lagem export"):
        remove_leftovers(output)
        with long_progress() as progress:
            task = progress.add_task("exporting", total=len(shards))
            for index in range(len(shards)):
                write(shards, index, output)
                progress.update(task, advance=1)
        finish = {"vecset": _finish_vecset, "npz": _finish_npz}[layout]
        finish(shards, output)
    return f"{len(shards)} shapes are exported in the layout {layout}: {output}"


def _begin(output: Path, about: dict[str, str]) -> None:
    """Create the folder, or raise ValueError if it holds something other than an export of the same data and layout."""
    stamp = output / "export.json"
    if not stamp.exists():
        if output.exists() and (not output.is_dir() or any(not path.name.startswith(".") for path in output.iterdir())):
            raise ValueError(f"{output}: is not empty, and is not an export; give --output a new or an empty folder.")
        output.mkdir(parents=True, exist_ok=True)
        write_json(stamp, about)
    if read_description(stamp, remedy="give another --output").values != about:
        raise ValueError(f"{output}: holds an export of other data or in another layout; give another --output.")


def _write_vecset(shards: Shards, index: int, output: Path) -> None:
    """Write the surface of one shape in the unit sphere, and its queries scaled into the box of 3DShape2VecSet.

    The .npy file holds the factor of this scaling. Volume queries outside [-1, 1]^3 are left out.
    """
    category, id = _folder_of(shards.categories[index], shards), checked_name(shards.ids[index], shards.root)
    points = inside(output, f"{POINT}/{category}")
    surface = inside(output, f"{SURFACE}/{category}/4_pointcloud")
    if (last := points / f"{id}.npy").exists():
        return
    points.mkdir(parents=True, exist_ok=True)
    surface.mkdir(parents=True, exist_ok=True)
    cloud = shards.read(index, "surface_points")
    if not cloud.any():
        raise ValueError(f"{shards.root}: the surface of shape {id!r} is a single point; prepare the data again.")
    factor = BOX_REACH / float(np.abs(cloud).max())
    (volume, volume_inside), (near, near_inside) = _queries(shards, index)
    in_box = (np.abs(volume * factor) <= 1).all(axis=1)
    write_npz(surface / f"{id}.npz", {"points": cloud, "normals": shards.read(index, "surface_normals")})
    pools = {
        "vol_points": (volume[in_box] * factor).astype(np.float32),
        "vol_label": volume_inside[in_box].astype(np.uint8),
        "near_points": (near * factor).astype(np.float32),
        "near_label": near_inside.astype(np.uint8),
    }
    write_npz(points / f"{id}.npz", pools)
    write_npy(last, np.array(factor))


def _finish_vecset(shards: Shards, output: Path) -> None:
    """Write a list of ids for each category and split, and a link to the folder of surfaces.

    Some readers look for this folder under the name of the link.
    """
    listed: dict[str, dict[str, list[str]]] = {}  # by folder, since `chair` and `03001627` are the same category
    for id, category, split in zip(shards.ids, shards.categories, shards.splits, strict=True):
        listed.setdefault(_folder_of(category, shards), {}).setdefault(split, []).append(id)
    for folder, by_split in listed.items():
        for split in sorted({"train", "val", "test"} | set(by_split)):
            name = f"{checked_name(split, shards.root)}.lst"
            write_text(inside(output, f"{POINT}/{folder}") / name, "\n".join(by_split.get(split, [])))
    if not os.path.lexists(output / OTHER_SURFACE):
        (output / OTHER_SURFACE).symlink_to(SURFACE)


def _folder_of(category: str, shards: Shards) -> str:
    """Return the name of a category's folder: a WordNet synset for a category of ShapeNet, else the category's name."""
    return checked_name(SYNSET_OF.get(category, category), shards.root)


def _write_npz(shards: Shards, index: int, output: Path) -> None:
    """Write one shape in the unit sphere, with the centre and the scale that map the original mesh to it."""
    folder = inside(output, "shapes")
    folder.mkdir(exist_ok=True)
    if (path := folder / f"{checked_name(shards.ids[index], shards.root)}.npz").exists():
        return
    (volume, volume_inside), (near, near_inside) = _queries(shards, index)
    frame = shards.frame(index)
    arrays: dict[str, NDArray[Any]] = {
        "surface_points": shards.read(index, "surface_points"),
        "surface_normals": shards.read(index, "surface_normals"),
        "volume_points": volume,
        "volume_occupancy": volume_inside.astype(np.uint8),
        "near_points": near,
        "near_occupancy": near_inside.astype(np.uint8),
        "center": frame.center,
        "scale": np.array(frame.scale),
    }
    write_npz(path, arrays)


def _finish_npz(shards: Shards, output: Path) -> None:
    of_all = zip(shards.ids, shards.categories, shards.splits, strict=True)
    rows = [[f"shapes/{id}.npz", id, category, split] for id, category, split in of_all]
    write_csv(output / "manifest.csv", ["file", "id", "category", "split"], rows)
    write_text(output / "layout.yaml", MAPPING + (f"up: {shards.up}\n" if shards.up else ""))


def _queries(shards: Shards, index: int) -> tuple[Labelled, Labelled]:
    """Return the uniform volume queries and the near queries of a shape with their labels, in random order."""
    random = sample_generator(0, 0, shards.ids[index])
    return _uniform_volume(shards, index, random), _shuffled(*labelled(shards, index, "near"), random)


def _uniform_volume(shards: Shards, index: int, random: np.random.Generator) -> Labelled:
    """Return volume queries that are uniform in the ball, and their labels.

    The stored queries of a thin shape are denser inside than outside. Queries of the denser side are left out until
    both densities are equal.
    """
    points, inside = labelled(shards, index, "volume")
    drawn_inside, drawn_outside = shards.volume_drawn(index)
    keep = np.ones(len(points), dtype=bool)
    for side, share in ((True, drawn_outside / drawn_inside), (False, drawn_inside / drawn_outside)):
        own = np.flatnonzero(inside == side)
        keep[own[round(len(own) * min(share, 1)) :]] = False
    return _shuffled(points[keep], inside[keep], random)


def _shuffled(points: NDArray[np.float32], inside: NDArray[np.bool_], random: np.random.Generator) -> Labelled:
    order = random.permutation(len(points))
    return points[order], inside[order]
