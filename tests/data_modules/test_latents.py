"""Batches of cached latents have the right subsets and conditions, whichever processes read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from safetensors.torch import save_file
from torch import Tensor

from lagem.data_modules.latents import LatentDataModule
from lagem.data_modules.order import TrainOrder
from lagem.latents.cache import LatentCache
from lagem.latents.encoding import EncodeSettings
from lagem.latents.pipeline import encode
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.samples import LatentBatch
from lagem.weights.fingerprint import fingerprint_of

LEVELS = (LevelSpec(16, 4, 0), LevelSpec(4, 6, 0))
CATEGORIES = ["bench", "bottle", "chair", "lamp", "mug", "shelf", "sign", "table"]


def tiny() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(levels=LEVELS, width=64).eval()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Write a latent cache of 20 training and 5 validation shapes with three subsets each; return its folder."""
    folder = tmp_path_factory.mktemp("cache")
    surfaces = ProceduralSurfaces(num_train=20, num_val=5, seed=0)
    encode(tiny(), surfaces, folder / "latents", EncodeSettings(num_surface_points=64, subsets=3))
    return folder / "latents"


def module(root: Path, **kwargs: Any) -> LatentDataModule:
    data = LatentDataModule(root=str(root), **{"batch_size": 4, "num_workers": 0, **kwargs})
    data.setup("fit")
    return data


def embeddings(folder: Path, root: Path, size: tuple[int, ...] = (5,), without: tuple[str, ...] = ()) -> str:
    """Write an embedding of each shape, except for the ids in `without`; return the path.

    All values of an embedding are the index of its shape in the cache.
    """
    ids = LatentCache(root).ids
    arrays = {id: torch.full(size, float(place)).bfloat16() for place, id in enumerate(ids) if id not in without}
    save_file(arrays, folder / "embeddings.safetensors")
    return str(folder / "embeddings.safetensors")


def subset_of(cache: LatentCache, id: str, latents: list[Tensor]) -> int:
    """Return which subset of the shape `id` has the given latents."""
    index = cache.ids.index(id)
    fits = [
        all(np.array_equal(ours, own.numpy()) for ours, own in zip(cache.latents(index, k), latents, strict=True))
        for k in range(cache.subsets)
    ]
    assert sum(fits) == 1
    return fits.index(True)


def same(one: LatentBatch, other: LatentBatch) -> bool:
    pairs = zip([*one.latents, one.condition], [*other.latents, other.condition], strict=True)
    return one.ids == other.ids and all(torch.equal(a, b) for a, b in pairs)


def test_what_is_known_after_setup(root):
    data = module(root, condition="category")
    assert data.levels == LEVELS
    assert data.fingerprint == fingerprint_of(tiny())
    assert data.category_names == CATEGORIES
    assert (data.num_categories, data.condition_dim) == (8, None)
    assert (module(root).num_categories, module(root).condition_dim) == (None, None)


def test_a_batch_has_all_levels_fine_to_coarse(root):
    batch = next(iter(module(root).train_dataloader()))
    assert [tuple(z.shape) for z in batch.latents] == [(4, 16, 4), (4, 4, 6)]
    assert {z.dtype for z in batch.latents} == {torch.float32}
    assert len(batch) == len(batch.ids) == len(batch.categories) == len(batch.frames) == 4
    assert batch.condition is None


def test_training_draws_among_all_subsets_anew_in_every_epoch(root):
    shapes, cache = module(root).train_shapes, LatentCache(root)
    drawn = np.array(
        [[subset_of(cache, s.id, s.latents) for s in (shapes[epoch, i] for i in range(20))] for epoch in range(9)]
    )
    assert np.bincount(drawn.ravel(), minlength=3).min() > 30  # of 60 expected
    assert not (drawn[1:] == drawn[0]).all(axis=1).any()


def test_a_key_and_the_seed_decide_the_subset(root):
    def drawn(seed: int) -> list[Tensor]:
        return [module(root, seed=seed).train_shapes[3, index].latents[0] for index in range(20)]

    assert all(map(torch.equal, drawn(0), drawn(0)))
    assert not all(map(torch.equal, drawn(0), drawn(1)))


def test_validation_sees_the_first_subset_of_every_shape(root):
    cache, data = LatentCache(root), module(root)
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        seen = []
        for batch in loader:
            for row, id in enumerate(batch.ids):
                assert subset_of(cache, id, [level[row] for level in batch.latents]) == 0
            seen += batch.ids
        assert seen == [id for id, split in zip(cache.ids, cache.splits, strict=True) if split == "val"]


def test_decoded_latents_are_those_of_the_autoencoder_within_float16(root):
    surfaces = ProceduralSurfaces(num_train=20, num_val=5, seed=0)
    sample = module(root).val_shapes[0, 0]
    assert sample.frame.scale == surfaces.frame(surfaces.ids.index(sample.id)).scale
    for level in sample.latents:  # standardised over their channels, Eq. 6
        torch.testing.assert_close(level.mean(-1), torch.zeros(len(level)), atol=1e-3, rtol=0)
        torch.testing.assert_close(level.var(-1, unbiased=False), torch.ones(len(level)), atol=2e-3, rtol=0)


def test_categories_are_numbered_by_their_sorted_names(root):
    data = module(root, condition="category")
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert batch.condition is not None and batch.condition.dtype == torch.int64
        assert [data.category_names[number] for number in batch.condition] == batch.categories


def test_chosen_categories_are_the_only_ones_and_numbered_anew(root):
    data = module(root, condition="category", categories=["mug", "chair"], batch_size=2)
    assert data.category_names == ["chair", "mug"]
    assert {name for batch in data.train_dataloader() for name in batch.categories} == {"chair", "mug"}
    with pytest.raises(ValueError, match="holds no category sofa; it holds bench, bottle"):
        module(root, categories=["sofa"])


@pytest.mark.parametrize("size", [(5,), (3, 5)], ids=["vectors", "tokens"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_embeddings_come_with_their_shapes(tmp_path, root, size, num_workers):
    data = module(root, condition=embeddings(tmp_path, root, size), num_workers=num_workers)
    assert (data.num_categories, data.condition_dim) == (None, 5)
    ids = LatentCache(root).ids
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        assert batch.condition is not None and batch.condition.dtype == torch.float32
        assert batch.condition.shape == (len(batch), *size)
        assert [ids[int(place)] for place in batch.condition.flatten(1)[:, 0]] == batch.ids


def test_training_draws_among_all_views_anew_in_every_epoch_and_validation_sees_the_first(tmp_path, root):
    ids = LatentCache(root).ids
    views = torch.arange(3.0)[:, None, None].expand(3, 4, 5).contiguous()  # view v is full of v
    save_file({id: views.clone() for id in ids}, tmp_path / "views.safetensors")

    def drawn(seed: int) -> np.ndarray:
        shapes = module(root, condition=str(tmp_path / "views.safetensors"), seed=seed).train_shapes
        return np.array([[shapes[epoch, index].condition.unique().item() for index in range(20)] for epoch in range(9)])

    assert np.bincount(drawn(0).astype(int).ravel(), minlength=3).min() > 30  # of 60 expected
    assert not (drawn(0)[1:] == drawn(0)[0]).all(axis=1).any()
    assert (drawn(0) == drawn(0)).all() and (drawn(0) != drawn(1)).any()
    shapes = module(root, condition=str(tmp_path / "views.safetensors")).val_shapes
    assert {shapes[epoch, index].condition.max().item() for epoch in (0, 1) for index in range(5)} == {0.0}
    assert shapes[0, 0].condition.shape == (4, 5)


def test_views_do_not_change_which_subsets_are_drawn(tmp_path, root):
    save_file({id: torch.zeros(3, 4, 5) for id in LatentCache(root).ids}, tmp_path / "views.safetensors")
    with_views = module(root, condition=str(tmp_path / "views.safetensors")).train_shapes
    for key in [(0, 0), (3, 7)]:
        assert torch.equal(with_views[key].latents[0], module(root).train_shapes[key].latents[0])


def test_embeddings_that_do_not_serve_are_refused(tmp_path, root):
    gone = LatentCache(root).ids[7]
    with pytest.raises(ValueError, match=f"no embedding of 1 of 25 shapes, for example of '{gone}'"):
        module(root, condition=embeddings(tmp_path, root, without=(gone,)))
    with pytest.raises(ValueError, match=r"an embedding must be .* or \(views, tokens, dim\), but \(2, 2, 2, 2\)"):
        module(root, condition=embeddings(tmp_path, root, (2, 2, 2, 2)))
    path = embeddings(tmp_path, root)
    save_file({id: torch.zeros(3 + (id == gone)) for id in LatentCache(root).ids}, path)
    with pytest.raises(ValueError, match=r"the same size, but found \(\d,\) for .* and \(\d,\) for"):
        module(root, condition=path)
    (tmp_path / "words.safetensors").write_text("no tensors")
    with pytest.raises(ValueError, match="not a readable safetensors file of embeddings"):
        module(root, condition=str(tmp_path / "words.safetensors"))
    with pytest.raises(ValueError, match="categories: there is no such file; a condition must be none, category, or"):
        module(root, condition="categories")


def test_embeddings_of_shapes_that_are_not_used_may_be_missing(tmp_path, root):
    gone = next(id for id in LatentCache(root).ids if "mug" not in id)
    data = module(root, condition=embeddings(tmp_path, root, without=(gone,)), categories=["mug"], batch_size=1)
    assert data.condition_dim == 5


def test_a_folder_of_another_kind_is_refused(tmp_path):
    (tmp_path / "format.json").write_text('{"format": "lagem-occupancy", "version": 1}')
    with pytest.raises(ValueError, match="format is 'lagem-occupancy', expected 'lagem-latents'"):
        module(tmp_path)
    with pytest.raises(ValueError, match=r"no such folder; encode shapes with `lagem encode CKPT DATA --output"):
        module(tmp_path / "nowhere")
    (tmp_path / "format.json").write_text('{"format": "lagem-latents", "version": 2}')
    with pytest.raises(ValueError, match="version 2 of lagem-latents, but this lagem reads version 1"):
        module(tmp_path)


def test_two_ranks_hold_what_one_process_with_twice_the_batch_holds(root):
    shapes = module(root, condition="category").train_shapes
    common = {"num_shapes": len(shapes), "seed": 0}
    orders = [TrainOrder(rank=rank, world_size=2, batch_size=2, **common) for rank in (0, 1)]
    batches = zip(*orders, TrainOrder(batch_size=4, **common), strict=True)
    for keys in batches:
        left, right, whole = (LatentBatch.collate([shapes[key] for key in batch]) for batch in keys)
        joined = LatentBatch(
            ids=left.ids + right.ids,
            categories=left.categories + right.categories,
            condition=torch.cat([left.condition, right.condition]),
            latents=[torch.cat(pair) for pair in zip(left.latents, right.latents, strict=True)],
            frames=left.frames + right.frames,
        )
        assert same(joined, whole)


def test_workers_change_nothing(root):
    alone, helped = (module(root, num_workers=n, condition="category").train_dataloader() for n in (0, 2))
    assert all(map(same, alone, helped))


class Recorder(LightningModule):
    """A module that records the samples that it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.seen: list[tuple[str, float]] = []

    def training_step(self, batch: LatentBatch, batch_idx: int) -> Tensor:
        self.seen += [(id, float(z.sum())) for id, z in zip(batch.ids, batch.latents[0], strict=True)]
        return self.layer(batch.latents[0]).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(root: Path, steps: int, resume: Path | None = None) -> tuple[Recorder, Trainer]:
    recorder = Recorder()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        limit_val_batches=0,
        **quiet,
    )
    trainer.fit(recorder, LatentDataModule(root=str(root), batch_size=4, num_workers=0), ckpt_path=resume)
    return recorder, trainer


def test_a_resumed_run_sees_what_the_undisturbed_run_still_had_to_see(tmp_path, root):
    whole, _ = fit(root, 13)  # 5 steps an epoch
    first, trainer = fit(root, 7)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second, _ = fit(root, 13, resume=tmp_path / "last.ckpt")
    assert len(whole.seen) == 13 * 4
    assert first.seen + second.seen == whole.seen


def test_a_batch_moves_as_a_whole(root):
    batch = next(iter(module(root, condition="category").train_dataloader())).to("meta")
    assert {tensor.device.type for tensor in (*batch.latents, batch.condition)} == {"meta"}
    assert len(batch) == 4 and batch.frames[0].scale > 0
