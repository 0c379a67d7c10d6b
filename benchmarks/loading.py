"""Compares the cost of loading one training sample by our loader and by LaGeM's published one, with warm file caches.

    make benchmark NAME=loading

LaGeM's published loader stores a shape as an uncompressed float32 npz file of 9.5 MB. It loads the whole file, splits
the points by boolean masks, and draws without replacement. Our loader reads windows of a shard. Both return the paper's
numbers of points: 8192 surface points, 1024 volume queries, half of them inside, and 1024 near queries.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
import trimesh
from interleaved import interleaved, show_ratios

from lagem.data_modules.occupancy import PreparedShapes
from lagem.geometry.mesh import Mesh
from lagem.models.furthest_points import furthest_point_order
from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings
from lagem.prepared.shards import Shards, labelled
from lagem.sources.augmentation import Augmentation

COUNTS = (8192, 1024, 1024)  # surface points, volume queries and near queries of a sample
ANCHORS = 2048  # number of anchors of the finest level


def make_shapes(folder: Path, number: int) -> list[Path]:
    """Write closed meshes of several kinds to a folder, and return their paths."""
    rng = np.random.default_rng(0)
    kinds = (
        lambda: trimesh.creation.icosphere(subdivisions=4),
        lambda: trimesh.creation.torus(1.0, 0.2),
        lambda: trimesh.creation.box((1, 0.6, 0.1)),
    )
    for index in range(number):
        made = kinds[index % 3]()
        Mesh(made.vertices * rng.uniform(0.5, 1.5, 3), made.faces).save(folder / f"{index:03d}.ply")
    return sorted(folder.iterdir())


def write_npz(shards: Shards, index: int, path: Path) -> None:
    """Write a shape as LaGeM's authors store it. Only the signs of the distances are right, and only these are used."""
    arrays = {"surface_points": shards.read(index, "surface_points")}
    for kind, key in (("volume", "vol"), ("near", "near")):
        arrays[f"{key}_points"], inside = labelled(shards, index, kind)
        arrays[f"{key}_sdf"] = np.where(inside, np.float32(-0.1), np.float32(0.1))
    np.savez(path, **arrays)


def load_npz(path: Path, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Load one sample as the published loader of LaGeM's authors does."""
    surface, volume, near = COUNTS
    with np.load(path) as stored:
        vol_points, vol_sdf = stored["vol_points"], stored["vol_sdf"]
        near_points, near_sdf = stored["near_points"], stored["near_sdf"]
        surface_points = stored["surface_points"]
    chosen = surface_points[rng.choice(len(surface_points), surface, replace=False)]
    parts = []
    for side in (vol_points[vol_sdf < 0], vol_points[vol_sdf >= 0]):
        parts.append(side[rng.choice(len(side), volume // 2, replace=False)])
    picks = rng.choice(len(near_points), near, replace=False)
    labels = np.repeat(np.float32([1, 0]), volume // 2)
    arrays = (chosen, np.concatenate(parts), labels, near_points[picks], (near_sdf[picks] < 0).astype(np.float32))
    return tuple(torch.from_numpy(array) for array in arrays)


def main() -> None:
    """Measure both loaders, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=12, metavar="N", help="number of shapes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=400, metavar="N", help="samples to load (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "meshes").mkdir()
        prepare(make_shapes(folder / "meshes", args.shapes), folder / "prepared", Settings(val_share=0))
        shards = Shards(folder / "prepared")
        npz = [folder / f"{index}.npz" for index in range(len(shards))]
        for index, path in enumerate(npz):
            write_npz(shards, index, path)
        size = np.mean([path.stat().st_size for path in npz])
        stored = np.mean([path.stat().st_size for path in (folder / "prepared" / "shards").iterdir()]) / len(shards)
        plain = PreparedShapes(shards, np.arange(len(shards)), COUNTS, 0, None)
        turned = PreparedShapes(shards, np.arange(len(shards)), COUNTS, 0, Augmentation())
        clouds = [plain[0, index].surface_points for index in range(len(shards))]
        rng = np.random.default_rng(0)
        times = interleaved(
            {
                "authors": lambda number: load_npz(npz[number % len(npz)], rng),
                "ours": lambda number: plain[number, number % len(npz)],
                "ours, augmented": lambda number: turned[number, number % len(npz)],
            },
            args.rounds,
            warm=True,
        )
        fps = interleaved(
            {"FPS": lambda number: furthest_point_order(clouds[number % len(npz)][None], ANCHORS)}, 20, warm=True
        )
    show_ratios(times, reference="authors", title=f"one sample of {COUNTS} points, warm")
    print(
        f"bytes read per sample: ours {plain.bytes_per_sample:,}, authors' {size:,.0f}; stored per shape: {stored:,.0f}"
    )
    print(f"FPS of {COUNTS[0]} to {ANCHORS} points, timed separately, one thread: {1e3 * np.median(fps['FPS']):.1f} ms")


if __name__ == "__main__":
    main()
