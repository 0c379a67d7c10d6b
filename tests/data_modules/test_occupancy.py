"""Samples of prepared shapes (real shards or a stub) have the right labels, balance, splits and references."""

import numpy as np
import pytest
import torch
import trimesh

from lagem.data_modules.occupancy import OccupancyDataModule, PreparedShapes
from lagem.geometry.frame import Frame
from lagem.preparation.settings import Settings
from lagem.prepared.shard_file import ShardFile
from lagem.sources.augmentation import Augmentation
from preparation_here import prepare

SMALL = {"num_workers": 0, "num_surface_points": 256, "num_volume_queries": 128, "num_near_queries": 100}
PLATE = (1.0, 1.0, 0.004)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Prepare boxes and thin plates, three shapes for training and the others for validation; return the folder."""
    folder = tmp_path_factory.mktemp("meshes")
    rows = ["file,id,category,split"]
    extents = {"a": (1, 0.6, 0.4), "b": (0.5, 0.5, 1), "plate": PLATE, "c": (1, 1, 1), "d": (0.3, 1, 1), "thin": PLATE}
    for name, extent in extents.items():
        trimesh.creation.box(extents=extent).export(folder / f"{name}.obj")
        category = "plate" if extent is PLATE else "box"
        rows.append(f"{name}.obj,{name},{category},{'train' if name in ('a', 'b', 'plate') else 'val'}")
    (folder / "meshes.csv").write_text("\n".join(rows))
    settings = Settings(surface=1000, volume=4000, near=1000, inside=0, shapes_per_shard=4)
    prepare([folder / "meshes.csv"], folder / "prepared", settings)
    return folder / "prepared"


def module(root, **kwargs) -> OccupancyDataModule:
    data = OccupancyDataModule(root=str(root), **{**SMALL, **kwargs})
    data.setup("fit")
    return data


def label(points, extent):
    """Return the occupancy of a box at points in the unit-sphere frame of the box."""
    half = np.array(extent) / np.linalg.norm(extent)
    return (np.abs(points.numpy()) <= half).all(axis=1)


class Stored:
    """A stub for a prepared folder with one shape, in which each point is (its row, the number of its pool, 0)."""

    POOLS = ("surface_points", "volume_inside", "volume_outside", "near_inside", "near_outside")

    def __init__(self, volume_inside=500, near_inside=200, near_outside=800, drawn=(1000, 1000)):
        sizes = (400, volume_inside, 900, near_inside, near_outside)
        self.sizes = dict(zip(self.POOLS, sizes, strict=True))
        self.ids, self.categories, self.root, self.drawn = ["thing"], ["test"], "/data", drawn

    def count(self, index, pool):
        return self.sizes[pool]

    def read(self, index, pool, start=0, count=None):
        size = self.sizes[pool]
        if size == 0:
            raise ValueError("an empty pool was read")
        rows = (start + np.arange(size if count is None else count)) % size
        return np.stack([rows, np.full_like(rows, self.POOLS.index(pool)), 0 * rows], axis=1).astype(np.float32)

    def frame(self, index):
        return Frame(center=np.zeros(3), scale=1.0)

    def volume_drawn(self, index):
        return self.drawn


def stored_shapes(volume=128, near=100, **kwargs) -> PreparedShapes:
    return PreparedShapes(Stored(**kwargs), np.array([0]), (64, volume, near), 0, None)


def pools_of(points) -> dict[str, int]:
    numbers, counts = points[:, 1].unique(return_counts=True)
    return {Stored.POOLS[int(number)]: int(count) for number, count in zip(numbers, counts, strict=True)}


def test_labels_agree_with_the_meshes(prepared):
    shapes = module(prepared).train_shapes
    extents = {"a": (1, 0.6, 0.4), "b": (0.5, 0.5, 1), "plate": PLATE}
    for index in range(3):
        sample = shapes[2, index]
        for points, labels in (
            (sample.volume_points, sample.volume_occupancy),
            (sample.near_points, sample.near_occupancy),
        ):
            assert (label(points, extents[sample.id]) == labels.numpy().astype(bool)).all()


def test_balanced_queries_hold_for_a_thin_plate(prepared):
    (index,) = [i for i, id in enumerate(("a", "b", "plate")) if id == "plate"]
    shapes = module(prepared).train_shapes
    for epoch in range(5):
        sample = shapes[epoch, index]
        assert sample.id == "plate" and len(sample.volume_points) == 128
        assert sample.volume_occupancy.sum() == 64
        assert label(sample.volume_points, PLATE).sum() == 64


def test_outside_queries_for_training_come_from_a_ball_if_asked(prepared):
    """Without the option, fewer than 40% of the outside queries are in the ball.

    The option does not change the labels, the balance or the validation samples.
    """
    near, everywhere = module(prepared, outside_within=1.0), module(prepared)
    for index in range(3):
        sample = near.train_shapes[0, index]
        outside = sample.volume_points[sample.volume_occupancy == 0]
        assert len(outside) == 64 and outside.norm(dim=1).max() <= 1
        assert len(outside.unique(dim=0)) == 64
        usual = everywhere.train_shapes[0, index]
        assert (usual.volume_points[usual.volume_occupancy == 0].norm(dim=1) <= 1).float().mean() < 0.4
        assert torch.equal(near.val_shapes[0, index].volume_points, everywhere.val_shapes[0, index].volume_points)


def test_outside_queries_farther_out_stand_in_where_too_few_are_near():
    """The stub has 900 outside points at (row, 2, 0). 64 are needed; only rows 0 to 9 are within 9.5 of the origin."""
    stored = Stored()
    stored.read = lambda *arguments: Stored.read(stored, *arguments) / 20  # so that all 900 rows are in the window
    shapes = PreparedShapes(stored, np.array([0]), (64, 128, 100), 0, None, outside_within=9.5 / 20)
    for epoch in range(20):
        points = 20 * shapes[epoch, 0].volume_points[64:]
        assert set(range(10)) <= {round(row) for row in points[:, 0].tolist()} and len(points.unique(dim=0)) == 64


@pytest.mark.parametrize(("outside_within", "outside"), [(None, 64), (1.0, 499)])
def test_a_sample_reads_no_more_bytes_than_it_says(outside_within, outside, prepared, monkeypatch):
    read = []
    original = ShardFile.stored

    def counted(self, row, pool, start, count):
        found = original(self, row, pool, start, count)
        read.append(found.nbytes)
        return found

    monkeypatch.setattr(ShardFile, "stored", counted)
    data = module(prepared, outside_within=outside_within)
    shapes = data.train_shapes
    for key in ((0, 0), (3, 1)):
        read.clear()
        shapes[key]
        assert sum(read) == shapes.bytes_per_sample == 6 * (256 + 64 + outside + 100)
    assert f"a sample reads at most {shapes.bytes_per_sample:,} bytes" in data.summary()


@pytest.mark.parametrize(
    ("volume_inside", "near_inside", "expected"),
    [
        (500, 200, {"volume_inside": 64}),
        (64, 200, {"volume_inside": 64}),
        (10, 200, {"volume_inside": 10, "near_inside": 54}),
        (10, 20, {"volume_inside": 10, "near_inside": 54}),  # repeated
        (0, 200, {"near_inside": 64}),
        (10, 0, {"volume_inside": 64}),  # repeated
    ],
)
def test_inside_points_come_from_the_volume_first(volume_inside, near_inside, expected):
    points = stored_shapes(volume_inside=volume_inside, near_inside=near_inside)[0, 0].volume_points
    assert pools_of(points[:64]) == expected
    assert pools_of(points[64:]) == {"volume_outside": 64}
    few = points[:64][points[:64, 1] == 1]
    assert len(few[:, 0].unique()) == min(volume_inside, 64)  # all of them, none twice while there are enough


def test_a_shape_without_inside_is_refused_by_name():
    with pytest.raises(ValueError, match="'thing' in /data has no point inside"):
        stored_shapes(volume_inside=0, near_inside=0)[0, 0]


def test_near_queries_have_the_pools_share_of_inside():
    shapes = stored_shapes(near=33, near_inside=200, near_outside=800)
    samples = [shapes[epoch, 0] for epoch in range(300)]
    for sample in samples:
        inside = int(sample.near_occupancy.sum())
        assert inside in (6, 7)  # 6.6
        assert pools_of(sample.near_points[:inside]) == {"near_inside": inside}
        assert pools_of(sample.near_points[inside:]) == {"near_outside": 33 - inside}
    assert np.mean([sample.near_occupancy.sum() for sample in samples]) == pytest.approx(6.6, abs=0.1)


@pytest.mark.parametrize(("inside", "outside", "share"), [(0, 800, 0), (800, 0, 1)])
def test_near_queries_of_one_side_only(inside, outside, share):
    assert stored_shapes(near_inside=inside, near_outside=outside)[0, 0].near_occupancy.mean() == share


def test_windows_are_contiguous_and_begin_anywhere():
    shapes = stored_shapes()
    starts = set()
    for epoch in range(50):
        rows = shapes[epoch, 0].surface_points[:, 0]
        assert ((rows[1:] - rows[:-1]) % 400 == 1).all()
        starts.add(int(rows[0]))
    assert len(starts) > 40 and max(starts) > 336  # beyond the last window that needs no wrapping


def test_a_key_decides_the_sample(prepared):
    first, second = (module(prepared, augment=Augmentation()).train_shapes[4, 1] for _ in range(2))
    other = module(prepared, augment=Augmentation()).train_shapes[5, 1]
    assert torch.equal(first.near_points, second.near_points)
    assert not torch.equal(first.near_points, other.near_points)


def test_augmentation_moves_surface_and_queries_together(prepared):
    plain, moved = (module(prepared, augment=augment) for augment in (None, Augmentation()))
    a, b = plain.train_shapes[0, 0], moved.train_shapes[0, 0]
    matrix = torch.linalg.lstsq(a.surface_points, b.surface_points).solution
    for name in ("volume_points", "near_points"):
        torch.testing.assert_close(getattr(a, name) @ matrix, getattr(b, name), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(getattr(a, name), getattr(b, name), atol=1e-2)


def test_splits_and_categories_choose_the_shapes(prepared):
    assert [len(x) for x in (module(prepared).train_shapes, module(prepared).val_shapes)] == [3, 3]
    plates = module(prepared, categories=["plate"])
    assert [plates.train_shapes[0, 0].id, plates.val_shapes[0, 0].id] == ["plate", "thin"]
    assert len(plates.test_shapes) == 1  # no test split: the validation shapes


def test_an_unknown_category_is_refused_with_the_known_ones(prepared):
    with pytest.raises(ValueError, match="holds no category chair; it holds box, plate"):
        module(prepared, categories=["chair"])


def test_reference_shapes_hold_every_stored_point(prepared):
    shapes = module(prepared).reference_shapes(2)
    assert {shape.category for shape in shapes} == {"box", "plate"}
    for shape in shapes:
        assert shape.reference_points.shape == (1000, 3) and shape.surface_points.shape == (256, 3)
        assert len(shape.volume_points) == len(shape.volume_weight) == 4000
        assert (shape.volume_weight == 1).all()
        extent = PLATE if shape.category == "plate" else (1, 1, 1)
        assert (label(shape.volume_points, extent) == shape.volume_occupancy.numpy()).all()


def test_pools_from_different_numbers_of_draws_are_weighted():
    # 500 inside points for 5% of the ball, 900 outside points for 90% of it: one outside point counts for 10 inside
    reference = stored_shapes(drawn=(10_000, 1_000)).reference(0)
    inside = reference.volume_occupancy
    assert reference.volume_weight[inside].unique().tolist() == pytest.approx([0.1])
    assert reference.volume_weight[~inside].unique().tolist() == [1]


def test_a_shape_with_an_empty_volume_pool_has_a_reference():
    reference = stored_shapes(volume_inside=0, drawn=(1000, 1000)).reference(0)
    assert len(reference.volume_points) == 900 and not reference.volume_occupancy.any()


def test_batches_go_through_worker_processes(prepared):
    helped = next(iter(module(prepared, num_workers=2, batch_size=2).train_dataloader()))
    alone = next(iter(module(prepared, batch_size=2).train_dataloader()))
    assert helped.ids == alone.ids
    assert torch.equal(helped.near_points, alone.near_points)
