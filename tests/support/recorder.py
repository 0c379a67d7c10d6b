"""A module and data for tests of resuming: the module records, in order, the samples that it is trained on."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lagem.data_modules.procedural import ProceduralDataModule
from lagem.samples import OccupancyBatch

BATCHES = 5  # per epoch


class Recorder(LightningModule):
    """Records the samples that it is trained on; a checkpoint holds their number."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.seen: list[tuple[str, float]] = []
        self.fail_at = fail_at

    def training_step(self, batch: OccupancyBatch, batch_idx: int) -> Tensor:
        if len(self.seen) == self.fail_at:
            raise RuntimeError("the machine is gone")
        self.seen.append((" ".join(batch.ids), float(batch.volume_points.sum())))
        return self.layer(batch.surface_points).mean()

    def validation_step(self, batch: OccupancyBatch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["seen"] = len(self.seen)


def fit(
    module: Recorder,
    callbacks: list[Callback] | None = None,
    resume: Path | None = None,
    workers: int = 0,
    **kwargs: Any,
) -> Trainer:
    data = ProceduralDataModule(
        num_train=2 * BATCHES + 1,
        num_val=4,
        batch_size=2,
        num_surface_points=16,
        num_volume_queries=4,
        num_near_queries=4,
        num_workers=workers,
        categories=["bench"],
    )
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        enable_checkpointing=bool(callbacks),
        callbacks=callbacks,
        **kwargs,
    )
    trainer.fit(module, data, ckpt_path=resume, weights_only=False)
    return trainer
