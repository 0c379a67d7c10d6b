"""What all data modules share: loading samples in a fixed order, making batches, and choosing shapes for evaluation.

Each sample is a pure function of (epoch, index), so the data do not depend on the number of ranks, workers or restarts.
A trainer that uses these modules must set `use_distributed_sampler: false`.
"""

import multiprocessing
import os
from abc import ABC, abstractmethod
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.data_modules.order import Key, TrainOrder, ValidationOrder
from lagem.geometry.frame import Up
from lagem.lightning_private.trainer import batches_trained
from lagem.samples import Batch, LatentBatch, OccupancyBatch, OccupancySample, ReferenceShape
from lagem.signals import obey_only_parent
from lagem.sources.augmentation import Augmentation

PREFETCHED_BATCHES = 4  # per worker

Shuffle = Literal["shapes", "shards"]


class SampleSet(Dataset[Any], ABC):
    """Samples of one split, one for each shape."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, key: Key) -> Any:
        """Return a sample of the shape at an index. The sample depends only on the key, (epoch, index)."""

    def by_shards(self, at_once: int | None) -> NDArray[np.integer[Any]] | None:
        """Return the index of the shard that holds each shape, or None if the set has no shards.

        Args:
            at_once: Number of shards that a machine reads from at the same time; None for all of them.

        Raises:
            ValueError: If a machine cannot hold that many shards.
        """
        return None


class ShapeSet(SampleSet):
    """The shapes of one split, from which samples for training and ground truth for evaluation are made."""

    @abstractmethod
    def __getitem__(self, key: Key) -> OccupancySample: ...

    @abstractmethod
    def category(self, index: int) -> str:
        """Return the category of the shape at an index."""

    @abstractmethod
    def reference(self, index: int) -> ReferenceShape:
        """Return the shape at an index with its ground truth, the same in every call."""


def augmented(
    augment: Augmentation | None, arrays: dict[str, NDArray[np.float32]], rng: np.random.Generator
) -> dict[str, Tensor]:
    """Return the (·, 3) arrays of a sample as tensors, all multiplied by one random matrix if there is augmentation.

    The matrix depends on the array `surface_points`, which determines the scale.
    """
    if augment is not None:
        matrix = augment.draw(arrays["surface_points"], rng)
        arrays = {name: (points @ matrix.T).astype(np.float32) for name, points in arrays.items()}
    return {name: torch.from_numpy(np.ascontiguousarray(points)) for name, points in arrays.items()}


class ResumableLoader(DataLoader[Any]):
    """A loader that follows `TrainOrder`, and so resumes at the right batch.

    A checkpoint holds the settings of the order as the state of the loader. A run that resumes with other settings
    does not see the shapes that an uninterrupted run would see, so the loader warns. If the number of ranks and the
    size of the global batch have both changed, it raises ValueError. A change of only the number of ranks is harmless.
    """

    batch_sampler: TrainOrder

    def state_dict(self) -> dict[str, int]:
        return {**self.batch_sampler.settings, "ranks": self.batch_sampler.world_size}

    def load_state_dict(self, saved: dict[str, int]) -> None:
        mine, ranks = self.batch_sampler.settings, self.batch_sampler.world_size
        before = {name: saved.get(name, 0) for name in mine}
        if saved.get("ranks", ranks) != ranks and before["global_batch"] != mine["global_batch"]:
            raise ValueError(
                f"the checkpoint was trained on {saved['ranks']} rank(s) with {before['global_batch']} shapes a step, "
                f"but this run has {ranks} rank(s) and {mine['global_batch']} shapes a step, so it would repeat and "
                f"skip shapes. {same_batch(before['global_batch'], ranks)}, or start a new run from the checkpoint's "
                "weights with model.init_args.init_from."
            )
        if before != mine:
            rank_zero_warn(
                f"the checkpoint was trained with {before}, but this run has {mine}. The run continues with the next "
                "batch, but it does not see the shapes that an uninterrupted run would see."
            )


def same_batch(global_batch: int, ranks: int) -> str:
    """Return advice on how to keep `global_batch` shapes per step with this number of ranks."""
    if global_batch % ranks:
        return f"Use a number of ranks that divides {global_batch}, with data.init_args.batch_size to match"
    return f"Set data.init_args.batch_size to {global_batch // ranks}"


def begin_loading(environment: dict[str, str], _: int) -> None:
    """Give a loading process the environment variables of its rank, and let it end only with its rank.

    Without this, a process that a server forks has the variables of the moment at which the server started; the
    credentials of a store may have been set or renewed since.
    """
    os.environ.clear()
    os.environ.update(environment)
    obey_only_parent()


class StreamDataModule(LightningDataModule):
    """Base class that makes the loaders of `train_shapes`, `val_shapes` and `test_shapes`, which subclasses set.

    up: The axis that points up in the shapes; None if the data do not state it.
    """

    up: Up | None = None
    train_shapes: SampleSet
    val_shapes: SampleSet
    test_shapes: SampleSet
    batch_type: type[OccupancyBatch | LatentBatch]

    def __init__(self, *, seed: int, batch_size: int, num_workers: int, shuffle: Shuffle = "shapes") -> None:
        """Check and keep the settings that all data modules have.

        Args:
            seed: Seed of the order of the shapes, and of all random draws.
            batch_size: Number of shapes in a batch on one rank.
            num_workers: Number of loading processes per rank; 0 loads in the training process.
            shuffle: `shapes` shuffles all shapes together for training; `shards` shuffles the shards, and the shapes
                within each shard.
        """
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but {batch_size} was given.")
        check_bounds("num_workers", num_workers, least=0, most=MOST_WORKERS)
        self.seed, self.batch_size, self.num_workers, self.shuffle = seed, batch_size, num_workers, shuffle

    def summary(self) -> str:
        """Return a text that says how many shapes this module yields; `setup` must have been called."""
        return f"{len(self.train_shapes):,} shapes to train on, {len(self.val_shapes):,} to validate on"

    def train_dataloader(self) -> DataLoader[Any]:
        rank, world_size = self._rank()
        on_this_machine = 1 if self.trainer is None else self.trainer.num_devices
        # a lane may train on the end of one shard while a worker already prefetches from the next, hence the 2
        at_once = 2 * self.batch_size * on_this_machine if self.shuffle == "shards" else None
        shards = self.train_shapes.by_shards(at_once)
        order = TrainOrder(
            num_shapes=len(self.train_shapes),
            batch_size=self.batch_size,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            shards=shards if self.shuffle == "shards" else None,
            batches_done=self._batches_done,
        )
        return ResumableLoader(self.train_shapes, batch_sampler=order, **self._loading())

    def val_dataloader(self) -> DataLoader[Any]:
        return self._evaluation_loader(self.val_shapes)

    def test_dataloader(self) -> DataLoader[Any]:
        return self._evaluation_loader(self.test_shapes)

    def predict_dataloader(self) -> DataLoader[Any]:
        return self._evaluation_loader(self.val_shapes)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch to a device, because Lightning does not move the tensors of frozen dataclasses."""
        return batch.to(device)

    def _rank(self) -> tuple[int, int]:
        """Return the index of this rank, and the number of ranks."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _batches_done(self) -> int:
        trainer: Any = self.trainer  # Any, because overfit_batches has no type
        if trainer is None or trainer.overfit_batches:  # overfitting sees the same batches in every epoch
            return 0
        return batches_trained(trainer)

    def _evaluation_loader(self, shapes: SampleSet) -> DataLoader[Any]:
        rank, world_size = self._rank()
        order = ValidationOrder(num_shapes=len(shapes), batch_size=self.batch_size, rank=rank, world_size=world_size)
        return DataLoader(shapes, batch_sampler=order, **self._loading())

    def _loading(self) -> dict[str, Any]:
        return {
            "collate_fn": self.batch_type.collate,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "prefetch_factor": PREFETCHED_BATCHES if self.num_workers else None,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": partial(begin_loading, dict(os.environ)) if self.num_workers else None,
            "multiprocessing_context": self._server() if self.num_workers and self._rank()[1] > 1 else None,
        }

    def _server(self) -> BaseContext:
        """Return a context that forks processes from a server of one thread, not from this process.

        In a distributed run, threads of torch call Python. If a process is forked meanwhile, the child inherits a lock
        that nobody releases; in Python before 3.11.10 it then waits forever (python/cpython#112275).
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([type(self).__module__])
        return context


class ShapeDataModule(StreamDataModule):
    """A data module of shapes, with queries for training and with ground truth for evaluation."""

    train_shapes: ShapeSet
    val_shapes: ShapeSet
    test_shapes: ShapeSet
    batch_type = OccupancyBatch

    def reference_shapes(self, count: int, *, rank: int = 0, world_size: int = 1) -> list[ReferenceShape]:
        """Return this rank's part of a fixed choice of shapes, with ground truth.

        The choice has up to `count` validation shapes (test shapes while testing). The categories take turns to give a
        shape, and the chosen shapes of a category are evenly spaced among all of its shapes. The choice is divided
        among `world_size` ranks.
        """
        shapes = self.test_shapes if self.trainer is not None and self.trainer.testing else self.val_shapes
        members: dict[str, list[int]] = {}
        for index in range(len(shapes)):
            members.setdefault(shapes.category(index), []).append(index)
        count = min(count, len(shapes))
        turns = dict.fromkeys(members, 0)
        while sum(turns.values()) < count:
            for category, indices in members.items():
                if sum(turns.values()) < count and turns[category] < len(indices):
                    turns[category] += 1
        chosen = [members[name][i * len(members[name]) // turn] for name, turn in turns.items() for i in range(turn)]
        return [shapes.reference(index) for index in sorted(chosen)[rank::world_size]]
