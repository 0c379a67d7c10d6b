"""The experiment to diagnose: its model and its data, built as `lagem fit` builds them, but on one device."""

import dataclasses
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule
from torch import Tensor

from lagem.data_modules.occupancy import PreparedShapes
from lagem.data_modules.stream import StreamDataModule
from lagem.modules.autoencoder import AutoencoderModule
from lagem.prepared.descriptors import COMPARED_POINTS
from lagem.prepared.shards import Shards
from lagem.samples import OccupancyBatch
from lagem.training.cli import TrainingCLI, parse_experiment, run_training

ON_ONE_DEVICE = ("devices=1", "num_nodes=1", "strategy=auto", "precision=32-true", "callbacks=null", "logger=false")
# settings of the data for the examination: more points than in training, no augmentation, no random solids, one shape
# in each batch
EXAMINED = {
    "batch_size": 1,
    "num_workers": 0,
    "num_surface_points": COMPARED_POINTS,
    "num_volume_queries": 4096,
    "num_near_queries": 4096,
    "outside_within": "null",
    "augment": "null",
    "universe_fraction": "0",
    "shuffle": "shapes",
}


@dataclass(frozen=True)
class Subject:
    """An experiment to diagnose.

    settings: The resolved settings of the experiment.
    module: The untrained model.
    data: The data module with the settings of the experiment.
    examined: The same data module with the settings `EXAMINED`.
    """

    settings: Namespace
    module: AutoencoderModule
    data: LightningDataModule
    examined: LightningDataModule

    @classmethod
    def of(cls, config: Path, overrides: Sequence[str]) -> "Subject":
        """Build the model and the data of an experiment.

        Raises:
            ValueError: If the experiment is not valid, or does not train an autoencoder; the message is one line.
        """
        settings = parse_experiment(config, overrides)
        kind = settings.model.class_path.rpartition(".")[2]
        if kind == "CascadeStageModule":
            raise ValueError(
                f"{config}: configures a stage of a cascade, but only autoencoders can be diagnosed. Diagnose the "
                "experiment of the stage's autoencoder, and study its latents with `lagem levels`."
            )
        words = ["--config", str(config), *overrides, f"--trainer.accelerator={accelerator_here(settings)}"]
        words += [f"--trainer.{setting}" for setting in ON_ONE_DEVICE]
        if "compile" in settings.model.init_args:
            words.append("--model.init_args.compile=false")
        given = settings.data.init_args if settings.data.get("init_args") is not None else Namespace()
        drawn = [f"--data.init_args.{name}={value}" for name, value in EXAMINED.items() if name in given]
        with quiet():
            built = run_training(words, run=False)
            examined = _data(run_training([*words, *drawn], run=False)) if drawn else _data(built)
        if not isinstance(built.model, AutoencoderModule):
            raise ValueError(
                f"{config}: the model is {settings.model.class_path}, but only autoencoders can be diagnosed; give the "
                "experiment of an autoencoder."
            )
        return cls(settings, built.model, _data(built), examined)

    @property
    def batch_size(self) -> int:
        """Number of shapes in a batch on one device; 1 if the data module has no attribute `batch_size`."""
        return max(1, int(getattr(self.data, "batch_size", 1)))

    @property
    def effective_batch(self) -> int:
        """Number of shapes in one optimiser step of the configured training, over all ranks."""
        trainer = self.settings.trainer
        devices = trainer.devices if isinstance(trainer.devices, int) and trainer.devices > 0 else 1
        if isinstance(trainer.devices, list):
            devices = len(trainer.devices)
        return self.batch_size * devices * int(trainer.num_nodes or 1) * int(trainer.accumulate_grad_batches or 1)

    @property
    def shards(self) -> Shards | None:
        """The prepared folder that the data come from; None if they come from elsewhere."""
        shapes = getattr(self.data, "train_shapes", None)
        return shapes.shards if isinstance(shapes, PreparedShapes) else None


def accelerator_here(settings: Namespace) -> str:
    """Return the accelerator for the diagnosis: `gpu` if the experiment may use one and there is one, else `cpu`."""
    on_gpu = settings.trainer.accelerator in (None, "auto", "gpu", "cuda") and torch.cuda.is_available()
    return "gpu" if on_gpu else "cpu"


def _data(cli: TrainingCLI) -> LightningDataModule:
    data: LightningDataModule = cli.datamodule
    data.prepare_data()
    data.setup("fit")
    return data


def batches(data: LightningDataModule, split: str, most: int) -> Iterator[OccupancyBatch]:
    """Yield up to `most` batches of a split as a training step would receive them, but on the CPU."""
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    for batch in islice(iter(loader), most):
        batch = data.transfer_batch_to_device(data.on_before_batch_transfer(batch, 0), torch.device("cpu"), 0)
        yield data.on_after_batch_transfer(batch, 0)


def more_training_shapes(data: LightningDataModule, indices: Sequence[int]) -> Iterator[OccupancyBatch]:
    """Yield the training shapes with these indices as batches of one shape.

    Nothing is yielded if the data module has no list of shapes.
    """
    shapes = getattr(data, "train_shapes", None)
    if isinstance(data, StreamDataModule) and shapes is not None:
        for index in indices:
            if index < len(shapes):
                yield OccupancyBatch.collate([shapes[0, index]])


def singles(batch: OccupancyBatch) -> list[OccupancyBatch]:
    """Split a batch into batches of one shape each."""
    return [
        dataclasses.replace(batch, **{name: value[row : row + 1] for name, value in vars(batch).items()})
        for row in range(len(batch))
    ]


def merged(parts: Sequence[OccupancyBatch]) -> OccupancyBatch:
    """Join several batches into one batch."""

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return torch.cat(values) if isinstance(values[0], Tensor) else [entry for value in values for entry in value]

    return dataclasses.replace(parts[0], **{name: joined(name) for name in vars(parts[0])})


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress messages and warnings while Lightning builds and trains."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
