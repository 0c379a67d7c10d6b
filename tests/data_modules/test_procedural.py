"""Procedural samples have exact labels, and depend only on (seed, epoch, id).

Exactly half of a sample's volume queries are inside, and so are half of a reference shape's volume points. The weights
of these points turn them into a uniform draw.
"""

import subprocess
import sys

import pytest
import torch

from lagem.data_modules.procedural import ProceduralDataModule
from lagem.procedural.furniture import CATEGORIES
from lagem.sources.augmentation import Augmentation

SMALL = {"num_workers": 0, "num_surface_points": 128, "num_volume_queries": 64, "num_near_queries": 32, "num_val": 20}
QUERIES = ("surface_points", "volume_points", "volume_occupancy", "near_points", "near_occupancy")


def same(a, b) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in QUERIES)


@pytest.mark.parametrize("index", range(len(CATEGORIES)))
def test_exactly_half_of_the_volume_queries_are_inside_and_labels_are_exact(index):
    shapes = ProceduralDataModule(**SMALL).train_shapes
    for epoch in range(3):
        sample = shapes[epoch, index]
        assert sample.volume_occupancy.sum() == 32
        for points, labels in (
            (sample.volume_points, sample.volume_occupancy),
            (sample.near_points, sample.near_occupancy),
        ):
            assert (shapes.collection.shape(index).occupancy(points.numpy()) == labels.numpy().astype(bool)).all()


def test_sizes_are_as_asked():
    sample = ProceduralDataModule(**{**SMALL, "num_near_queries": 33}).train_shapes[0, 0]
    sizes = [len(getattr(sample, name)) for name in QUERIES]
    assert sizes == [128, 64, 64, 33, 33]
    assert all(getattr(sample, name).dtype == torch.float32 for name in QUERIES)


def test_near_queries_hug_the_surface():
    shapes = ProceduralDataModule(**{**SMALL, "num_surface_points": 20_000, "num_near_queries": 2000}).train_shapes
    sample = shapes[0, 0]
    distance = torch.cdist(sample.near_points, sample.surface_points).amin(dim=1)
    fine, coarse = distance[:1000].mean(), distance[1000:].mean()
    assert fine < 0.012 < 0.025 < coarse < 0.06
    assert 0.2 < sample.near_occupancy.mean() < 0.8


def test_a_key_decides_the_sample():
    first, second = (ProceduralDataModule(**SMALL, augment=Augmentation()).train_shapes for _ in range(2))
    assert same(first[3, 5], second[3, 5])


def test_another_epoch_draws_other_points_on_the_same_shape():
    shapes = ProceduralDataModule(**SMALL).train_shapes
    a, b = shapes[0, 5], shapes[1, 5]
    assert torch.cdist(a.surface_points, b.surface_points).min() > 0
    assert a.frame.scale == b.frame.scale
    assert (
        shapes.collection.shape(5).occupancy(b.volume_points.numpy()) == b.volume_occupancy.numpy().astype(bool)
    ).all()


@pytest.mark.parametrize("other", [{"seed": 1}, {}], ids=["another seed", "another split"])
def test_other_shapes(other):
    data, changed = ProceduralDataModule(**SMALL), ProceduralDataModule(**SMALL, **other)
    assert (
        data.train_shapes.collection.shape(0).frame.scale
        != (changed.train_shapes if other else changed.val_shapes).collection.shape(0).frame.scale
    )


def test_ids_name_split_category_and_index():
    shapes = ProceduralDataModule(**SMALL).train_shapes
    assert [shapes.collection.id(i) for i in (0, 9)] == ["train-table-000000", "train-chair-000009"]


def test_an_augmented_sample_stays_in_the_unit_sphere():
    shapes = ProceduralDataModule(**SMALL, augment=Augmentation()).train_shapes
    for index in range(8):
        assert shapes[0, index].surface_points.norm(dim=1).max() == pytest.approx(1, abs=1e-6)


def test_validation_is_not_augmented():
    plain, augmented = ProceduralDataModule(**SMALL), ProceduralDataModule(**SMALL, augment=Augmentation())
    assert same(plain.val_shapes[0, 0], augmented.val_shapes[0, 0])
    assert not same(plain.train_shapes[0, 0], augmented.train_shapes[0, 0])


def test_unknown_categories_are_refused_by_name():
    with pytest.raises(ValueError, match="table.*'unicorn'"):
        ProceduralDataModule(categories=["table", "unicorn"])


def test_an_odd_number_of_volume_queries_is_refused():
    with pytest.raises(ValueError, match="num_volume_queries must be even, .* but 65 was given"):
        ProceduralDataModule(num_volume_queries=65)


def test_reference_shapes_take_turns_among_the_categories():
    data = ProceduralDataModule(**SMALL, reference_points=500, reference_volume_points=500)
    for count, categories in ((8, 8), (3, 3), (16, 8)):
        shapes = data.reference_shapes(count)
        assert len(shapes) == len({shape.id for shape in shapes}) == count
        assert len({shape.category for shape in shapes}) == categories
    assert len(data.reference_shapes(1000)) == 20
    again = data.reference_shapes(8)
    assert all(
        torch.equal(a.volume_points, b.volume_points) for a, b in zip(again, data.reference_shapes(8), strict=True)
    )


def test_weights_turn_the_balanced_volume_points_into_a_uniform_draw():
    data = ProceduralDataModule(**SMALL, reference_points=100, reference_volume_points=40_000)
    for index in (0, 4):
        reference = data.val_shapes.reference(index)
        assert reference.volume_occupancy.sum() == 20_000
        ball = (
            torch.nn.functional.normalize(torch.randn(200_000, 3), dim=1) * 3**0.5 * torch.rand(200_000, 1) ** (1 / 3)
        )
        share = data.val_shapes.collection.shape(index).occupancy(ball.numpy()).mean()
        weighted = reference.volume_weight[reference.volume_occupancy].sum() / reference.volume_weight.sum()
        assert weighted == pytest.approx(share, rel=0.06)


LOADING_OF_A_RANK = """
import os
from pathlib import Path
from lagem.data_modules.procedural import ProceduralDataModule

if __name__ == "__main__":
    batches = []
    for workers in (0, 2):
        sizes = {"num_surface_points": 16, "num_volume_queries": 4, "num_near_queries": 4}
        data = ProceduralDataModule(num_workers=workers, batch_size=2, num_train=8, **sizes)
        data._rank = lambda: (1, 2)
        data.setup("fit")
        loader = data.train_dataloader()
        batches.append([batch.surface_points.tolist() for batch in loader])
    assert batches[0] == batches[1] and len(batches[0]) == 2
    parents = [Path(f"/proc/{worker.pid}/stat").read_text().split()[3] for worker in loader._iterator._workers]
    print(len(parents), str(os.getpid()) in parents)
"""


@pytest.mark.slow
def test_a_rank_does_not_fork_its_loading_processes(tmp_path):
    """Threads of its process group may hold a lock at that moment, and the loading process would wait forever."""
    (tmp_path / "loading.py").write_text(LOADING_OF_A_RANK)
    run = subprocess.run([sys.executable, tmp_path / "loading.py"], capture_output=True, text=True, timeout=300)
    assert run.stdout == "2 False\n", run.stderr
