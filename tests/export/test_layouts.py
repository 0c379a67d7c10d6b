"""An export is imported as the same shapes, and a reader that follows the published layout exactly can read it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.export.layouts import export_data
from lagem.geometry.mesh import Mesh
from lagem.importing.run import import_data
from lagem.importing.settings import ImportSettings
from lagem.preparation import pipeline
from lagem.preparation.settings import Settings
from lagem.prepared.shard_file import ShardFile, write_shard
from lagem.prepared.shards import Shards, labelled
from preparation_here import prepare, run_in_this_process
from releases import sampled, save_lagem, toy_meshes

SMALL = ImportSettings(surface=4000, volume=8000, near=6000, inside=500, shapes_per_shard=3)


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run_in_processes", run_in_this_process)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, in_this_process: None) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    for name, mesh in toy_meshes().items():
        save_lagem(folder / "release", "val" if name == "legs" else "train", "000-000", name, "", sampled(mesh))
    import_data("lagem", folder / "release", folder / "data", SMALL)
    return folder / "data"


def published_reader(root: Path, category: str, split: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each shape of a category, as the authors' loader of 3DShape2VecSet reads them.

    That loader also makes random choices; this reader makes none.
    """
    found = {}
    for name in (root / "ShapeNetV2_point" / category / f"{split}.lst").read_text().split("\n"):
        path = root / "ShapeNetV2_point" / category / f"{name}.npz"
        with np.load(path) as file:
            shape = dict(file)
        scale = np.load(path.with_suffix(".npy")).item()
        with np.load(root / "ShapeNetV2_watertight" / category / "4_pointcloud" / f"{name}.npz") as file:
            found[name] = {**shape, "surface": file["points"].astype(np.float32) * scale}
    return found


def test_the_published_reader_finds_shapes_in_the_box(data: Path, tmp_path: Path):
    export_data(data, tmp_path / "out", "vecset")
    train = published_reader(tmp_path / "out", "objaverse", "train")
    assert sorted(train) == ["bumpy", "ring", "slab"]
    assert sorted(published_reader(tmp_path / "out", "objaverse", "val")) == ["legs"]
    for shape in train.values():
        assert np.abs(shape["surface"]).max() == pytest.approx(0.99, abs=1e-4)
        assert np.abs(shape["vol_points"]).max() <= 1
        for kind in ("vol", "near"):
            assert len(shape[f"{kind}_points"]) == len(shape[f"{kind}_label"])
            assert set(np.unique(shape[f"{kind}_label"])) == {0, 1}


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """A prepared folder with one box under each of three names; `chair` and `03001627` name the same category."""
    box = trimesh.creation.box((1, 2, 3))
    for category in ("chair", "03001627", "thing"):
        Mesh(np.asarray(box.vertices), np.asarray(box.faces)).save(tmp_path / "meshes" / category / f"a_{category}.ply")
    prepare([tmp_path / "meshes"], tmp_path / "data", Settings(surface=60, volume=400, near=50, inside=0, val_share=0))
    return tmp_path / "data"


def test_a_category_under_its_name_and_its_synset_is_listed_once(boxes: Path, tmp_path: Path):
    export_data(boxes, tmp_path / "out", "vecset")
    ids = {id for id in Shards(boxes).ids if not id.endswith("thing")}
    assert len(ids) == 2 and set(published_reader(tmp_path / "out", "03001627", "train")) == ids


@pytest.mark.parametrize(
    ("layout", "link"),
    [
        ("npz", "shapes"),
        ("vecset", "ShapeNetV2_point"),
        ("vecset", "ShapeNetV2_point/thing"),
        ("vecset", "ShapeNetV2_watertight/thing/4_pointcloud"),
    ],
)
def test_a_link_in_an_unfinished_export_leads_nothing_out_of_it(layout: str, link: str, boxes: Path, tmp_path: Path):
    export_data(boxes, tmp_path / "out", layout)
    outside = tmp_path / "outside"
    (tmp_path / "out" / link).rename(outside)
    (tmp_path / "out" / link).symlink_to(outside)
    for path in [path for path in outside.rglob("*") if path.is_file()]:
        path.unlink()
    before = sorted(outside.rglob("*"))
    with pytest.raises(ValueError, match="leads out of the folder"):
        export_data(boxes, tmp_path / "out", layout)
    assert sorted(outside.rglob("*")) == before


def test_a_surface_without_extent_is_refused(boxes: Path, tmp_path: Path):
    (path,) = (boxes / "shards").iterdir()
    shard = ShardFile(path)
    shapes = [shard.shape(row) for row in range(len(shard.ids))]
    point = np.zeros_like(shapes[0].pools["surface_points"])
    write_shard(path, [replace(shape, pools=shape.pools | {"surface_points": point}) for shape in shapes])
    with pytest.raises(ValueError, match=r"the surface of shape '.*' is a single point"):
        export_data(boxes, tmp_path / "out", "vecset")


def test_volume_queries_of_an_export_are_uniform_in_the_box(data: Path, tmp_path: Path):
    """The slab is so thin that the prepared folder has extra queries in the slab; the export must not favour them."""
    export_data(data, tmp_path / "out", "vecset")
    slab = published_reader(tmp_path / "out", "objaverse", "train")["slab"]
    inside = slab["vol_label"].mean()
    sides = np.ptp(slab["surface"], axis=0)
    expected = np.prod(sides) / 8
    assert abs(inside - expected) < 5 * np.sqrt(expected / len(slab["vol_label"]))


def test_rows_are_in_random_order(data: Path, tmp_path: Path):
    """Readers take consecutive rows as random samples."""
    export_data(data, tmp_path / "out", "vecset")
    for shape in published_reader(tmp_path / "out", "objaverse", "train").values():
        label = shape["near_label"]
        first, second = label[: len(label) // 2].mean(), label[len(label) // 2 :].mean()
        assert abs(first - second) < 5 / np.sqrt(len(label))


@pytest.mark.parametrize("layout", ["vecset", "npz"])
def test_an_export_is_imported_again_with_the_same_labels(layout: str, data: Path, tmp_path: Path):
    export_data(data, tmp_path / "out", layout)
    if layout == "npz":
        mapping, source = str(tmp_path / "out" / "layout.yaml"), tmp_path / "out" / "manifest.csv"
    else:
        mapping, source = "vecset", tmp_path / "out"
    import_data(mapping, source, tmp_path / "again", SMALL)
    before, after = Shards(data), Shards(tmp_path / "again")
    assert sorted(after.splits) == sorted(before.splits)
    for index, id in enumerate(before.ids):
        twin = [name.rpartition("__")[2] for name in after.ids].index(id)
        (old, old_inside), (new, new_inside) = labelled(before, index, "near"), labelled(after, twin, "near")
        gap = np.linalg.norm(new[:300, None] - old[None] * norm_of(before, index, layout), axis=2)
        close = gap.min(axis=1) < 2e-3
        assert close.mean() > 0.95
        agree = old_inside[gap.argmin(axis=1)] == new_inside[:300]
        assert agree[gap.min(axis=1) < 1e-4].all() if layout == "npz" else agree[close].mean() > 0.95


def norm_of(shards: Shards, index: int, layout: str) -> float:
    """Return the factor by which a shape grows if it is exported in this layout and imported again.

    An import of `vecset` scales the surface points to a largest norm of 1; `npz` keeps the size.
    """
    if layout == "npz":
        return 1.0
    points = shards.read(index, "surface_points")
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    return float(1 / np.linalg.norm(points - center, axis=1).max())


def test_an_export_resumes_and_does_not_mix_data(data: Path, tmp_path: Path):
    export_data(data, tmp_path / "out", "npz")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.npz")}
    next(iter(before)).unlink()
    export_data(data, tmp_path / "out", "npz")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.npz")} == before
    with pytest.raises(ValueError, match="other data or in another layout"):
        export_data(data, tmp_path / "out", "vecset")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(ValueError, match="not empty"):
        export_data(data, tmp_path / "full", "npz")
