"""What all data modules share: they load samples in a fixed order, batch them, and choose shapes to evaluate on.

A data set is a pure function of (epoch, index), so the data do not depend on the numbers of ranks, workers and
restarts. Trainers that use these modules set `use_distributed_sampler: false`.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lagem.data_modules.order import Key, TrainOrder, ValidationOrder
from lagem.lightning_private.trainer import batches_trained
from lagem.samples import Batch, LatentBatch, OccupancyBatch, OccupancySample, ReferenceShape
from lagem.signals import obey_only_parent
from lagem.sources.augmentation import Augmentation

PREFETCHED_BATCHES = 4  # of each worker

Shuffle = Literal["shapes", "shards"]


class SampleSet(Dataset[Any], ABC):
    """Samples of one split, one for each shape."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, key: Key) -> Any:
        """Sample of the shape at an index; it depends on (epoch, index) alone."""

    def by_shards(self, at_once: int | None) -> NDArray[np.integer[Any]] | None:
        """Number of the shard that holds each shape, or None for a set without shards.

        Args:
            at_once: Number of shards that a machine reads from at the same time; None for all of them.

        Raises:
            ValueError: If a machine cannot hold that many shards.
        """
        return None


class ShapeSet(SampleSet):
    """Shapes of one split."""

    @abstractmethod
    def __getitem__(self, key: Key) -> OccupancySample: ...

    @abstractmethod
    def category(self, index: int) -> str:
        """Category of the shape at an index."""

    @abstractmethod
    def reference(self, index: int) -> ReferenceShape:
        """The shape at an index with its ground truth, the same in every call."""


def augmented(
    augment: Augmentation | None, arrays: dict[str, NDArray[np.float32]], rng: np.random.Generator
) -> dict[str, Tensor]:
    """The (·, 3) arrays of one sample as tensors, mapped by one random matrix, drawn for its surface_points."""
    if augment is not None:
        matrix = augment.draw(arrays["surface_points"], rng)
        arrays = {name: (points @ matrix.T).astype(np.float32) for name, points in arrays.items()}
    return {name: torch.from_numpy(np.ascontiguousarray(points)) for name, points in arrays.items()}


class ResumableLoader(DataLoader[Any]):
    """A loader that follows `TrainOrder` and so resumes at the right batch; its state keeps Lightning from warning.

    A checkpoint keeps the settings of the order, to detect a resumed run that cannot see the same shapes as an
    uninterrupted one. The number of ranks may change if the batch of all ranks together stays the same.
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
                f"skip shapes. {same_batch(before['global_batch'], ranks)}, or start a new run from its weights with "
                "model.init_args.init_from."
            )
        if before != mine:
            rank_zero_warn(
                f"the checkpoint was trained with {before}, this run has {mine}: it continues after that many batches, "
                "but does not see the shapes that an uninterrupted run would see."
            )


def same_batch(global_batch: int, ranks: int) -> str:
    """Advice on how to keep the number of shapes of a step."""
    if global_batch % ranks:
        return f"Use a number of ranks that divides {global_batch}, with data.init_args.batch_size to match"
    return f"Set data.init_args.batch_size to {global_batch // ranks}"


class StreamDataModule(LightningDataModule):
    """Loaders over `train_shapes`, `val_shapes` and `test_shapes`, which a subclass fills in `setup`."""

    train_shapes: SampleSet
    val_shapes: SampleSet
    test_shapes: SampleSet
    batch_type: type[OccupancyBatch | LatentBatch]

    def __init__(self, *, seed: int, batch_size: int, num_workers: int, shuffle: Shuffle = "shapes") -> None:
        """Common settings.

        Args:
            seed: Seed of the order and of every draw.
            batch_size: Shapes of a batch on one rank.
            num_workers: Loading processes of one rank; 0 loads in the training process.
            shuffle: What to shuffle for training: all `shapes`, or the `shards` and the shapes of each.
        """
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but {batch_size} was given.")
        self.seed, self.batch_size, self.num_workers, self.shuffle = seed, batch_size, num_workers, shuffle

    def train_dataloader(self) -> DataLoader[Any]:
        rank, world_size = self._rank()
        on_this_machine = 1 if self.trainer is None else self.trainer.num_devices
        # for the step a lane may be at the end of one shard while a worker already prefetches from the next
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
        """Move a batch; Lightning does not move the tensors of frozen dataclasses."""
        return batch.to(device)

    def _rank(self) -> tuple[int, int]:
        """This rank's number, and the number of ranks."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _batches_done(self) -> int:
        trainer: Any = self.trainer  # overfit_batches has no type
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
            "worker_init_fn": obey_only_parent if self.num_workers else None,
        }


class ShapeDataModule(StreamDataModule):
    """Shapes with queries for training, and with ground truth for evaluation."""

    train_shapes: ShapeSet
    val_shapes: ShapeSet
    test_shapes: ShapeSet
    batch_type = OccupancyBatch

    def reference_shapes(self, count: int, *, rank: int = 0, world_size: int = 1) -> list[ReferenceShape]:
        """Up to `count` validation shapes (test shapes while testing) with ground truth, always the same ones.

        Categories take turns; within a category the shapes are spread evenly. Each of `world_size` ranks loads a part.
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
