"""A fraction of the training samples shows random solids; it depends on nothing but (seed, epoch, id)."""

import lightning.pytorch  # noqa: F401 - its log keeps the error stream of the moment when it is imported
import numpy as np
import pytest
import torch

from lagem.cli import main
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.procedural.universe import random_solid
from lagem.randomness import sample_generator
from lagem.sources.augmentation import Augmentation

SMALL = {"num_workers": 0, "num_surface_points": 64, "num_volume_queries": 32, "num_near_queries": 21}
QUERIES = ("surface_points", "volume_points", "volume_occupancy", "near_points", "near_occupancy")


def module(root, fraction, **kwargs) -> OccupancyDataModule:
    data = OccupancyDataModule(root=str(root), universe_fraction=fraction, **{**SMALL, **kwargs})
    data.setup("fit")
    return data


def same(a, b) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in QUERIES)


def samples(data, epochs=4):
    return [data.train_shapes[epoch, index] for epoch in range(epochs) for index in range(len(data.train_shapes))]


def batches(data, rank, ranks, done=0):
    data._rank, data._batches_done = lambda: (rank, ranks), lambda: done
    return list(data.train_dataloader())


def test_about_half_is_replaced_and_the_rest_keeps_every_byte(many_shards):
    plain, half = (samples(module(many_shards, fraction, augment=Augmentation())) for fraction in (0.0, 0.5))
    replaced = [sample.category == "universe" for sample in half]
    assert 0.35 < np.mean(replaced) < 0.65
    for before, after, other in zip(plain, half, replaced, strict=True):
        assert before.id == after.id and same(before, after) if not other else after.id.startswith("universe-")


def test_a_fraction_of_one_replaces_every_training_sample_by_another_solid(many_shards):
    data = module(many_shards, 1.0)
    drawn = samples(data)
    assert {sample.category for sample in drawn} == {"universe"}
    assert len({sample.surface_points.numpy().tobytes() for sample in drawn}) == len(drawn)
    assert len({sample.id for sample in drawn}) == len(drawn)
    assert len({sample.frame.scale for sample in drawn}) > 0.9 * len(drawn)  # all balls have the same
    assert data.train_shapes[3, 0].id == f"universe-3-{data.train_shapes.shards.ids[data.train_shapes.members[0]]}"


def test_labels_of_replaced_samples_are_exact_and_inside_comes_first(many_shards):
    data = module(many_shards, 1.0, outside_within=1.0)
    for epoch in range(3):
        sample = data.train_shapes[epoch, 5]
        rng = sample_generator(0, epoch, f"{sample.id.removeprefix(f'universe-{epoch}-')}/universe")
        rng.random()
        solid = random_solid(rng)
        for kind in ("volume", "near"):
            points, labels = getattr(sample, f"{kind}_points"), getattr(sample, f"{kind}_occupancy")
            assert (solid.occupancy(points.numpy()) == labels.numpy().astype(bool)).all()
            assert (labels[1:] <= labels[:-1]).all()
        assert sample.volume_occupancy.sum() == 16
        assert sample.volume_points[16:].norm(dim=1).max() <= 1 + 1e-6
        assert [len(getattr(sample, name)) for name in QUERIES] == [64, 32, 32, 21, 21]
        assert all(getattr(sample, name).dtype == torch.float32 for name in QUERIES)


def test_replaced_samples_are_augmented(many_shards):
    plain, moved = (module(many_shards, 1.0, augment=a).train_shapes[2, 3] for a in (None, Augmentation()))
    matrix = torch.linalg.lstsq(plain.surface_points, moved.surface_points).solution
    torch.testing.assert_close(plain.near_points @ matrix, moved.near_points, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain.near_points, moved.near_points, atol=1e-2)


def test_two_ranks_see_the_solids_of_one_process(many_shards):
    alone = batches(module(many_shards, 0.5, batch_size=4), 0, 1)
    ranks = [batches(module(many_shards, 0.5, batch_size=2), rank, 2) for rank in (0, 1)]
    assert len(alone) == len(ranks[0]) == len(ranks[1])
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert whole.ids == [id for part in parts for id in part.ids]
        for name in QUERIES:
            assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))
    assert any(id.startswith("universe-0-") for batch in alone for id in batch.ids)


def test_a_resumed_run_sees_the_remaining_solids(many_shards):
    whole, rest = (batches(module(many_shards, 0.5, batch_size=4), 0, 1, done) for done in (0, 3))
    rest = rest[: len(whole) - 3]  # the first batches of the next pass follow
    for before, after in zip(whole[3:], rest, strict=True):
        assert before.ids == after.ids and same(before, after)
    assert any(id.startswith("universe-0-") for batch in rest for id in batch.ids)


def test_validation_and_test_are_never_replaced(many_shards):
    data = module(many_shards, 1.0)
    for shapes in (data.val_shapes, data.test_shapes):
        assert {shapes[epoch, index].category for epoch in range(2) for index in range(len(shapes))} == {"thing"}
        assert shapes.reference(0).category == "thing"


def test_the_summary_states_the_fraction(many_shards):
    assert "random solids" not in module(many_shards, 0.0).summary()
    assert "25% of the training samples show random solids" in module(many_shards, 0.25).summary()


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_fraction_outside_of_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match=f"universe_fraction must be .* from 0 to 1, but {fraction} was given"):
        OccupancyDataModule(root="anywhere", universe_fraction=fraction)


@pytest.mark.parametrize("fraction", ["-0.1", "1.5"])
def test_a_wrong_fraction_is_refused_in_one_line(fraction, many_shards, tmp_path, capsys):
    arguments = ["fit", "--config", "experiments/autoencoder/meshes.yaml", "--trainer.default_root_dir", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--data.init_args.root", str(many_shards), "--data.init_args.universe_fraction", fraction])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lagem")]
    assert "universe_fraction must be a fraction of the training samples, from 0 to 1, but" in line and fraction in line
