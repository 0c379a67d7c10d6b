"""What every training shares: learning rate, optimiser, schedule, and the check that losses are finite.

The peak learning rate is proportional to the batch size. The rate rises to it linearly and falls as a cosine (LaGeM
appendix E).
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lagem.lightning_private.trainer import restart_training_data, set_up_training_data
from lagem.modules.optimisers import MuonAdamW, adamw, warmup_cosine
from lagem.modules.sharding import gather, scatter, shard

OptimizerName = Literal["adamw", "muon"]
OnNonFinite = Literal["stop", "skip"]


class NonFiniteLossError(ValueError):
    """Raised if the loss of a step or its gradient is not finite; the message names the step and the shapes."""


class RecipeModule(LightningModule):
    """Base class of the training modules; a subclass provides the network and the steps.

    `AutoencoderModule` documents the arguments.

    peak_lr: the highest learning rate, known once the optimiser is configured.
    """

    peak_lr: float

    def __init__(
        self,
        *,
        optimizer: OptimizerName,
        base_lr: float,
        min_lr: float,
        warmup_steps: int | None,
        weight_decay: float,
        betas: tuple[float, float],
        on_non_finite: OnNonFinite,
    ) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.base_lr = base_lr
        self.min_lr = min_lr
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.betas = betas
        self.on_non_finite = on_non_finite
        self._since_step: list[tuple[list[str], Tensor]] = []  # ids and losses since the last optimiser step

    @property
    def network(self) -> nn.Module:
        """The network to train; each training step calls its `forward`."""
        raise NotImplementedError

    def configure_model(self) -> None:
        """Shard the weights over the ranks if the strategy is ModelParallelStrategy (FSDP2)."""
        if self.device_mesh is not None:
            shard(self.network, self.device_mesh)

    def on_validation_start(self) -> None:
        """If the weights are sharded, gather all of them on every rank, because callbacks use them."""
        gather(self.network)

    def on_validation_epoch_end(self) -> None:
        """Shard the weights again.

        Lightning calls this after the same hook of the callbacks, and before it saves a checkpoint.
        """
        scatter(self.network)

    def on_test_start(self) -> None:
        """Gather all weights on every rank, as for validation."""
        gather(self.network)

    def on_predict_start(self) -> None:
        """Gather all weights on every rank, as for validation."""
        gather(self.network)

    def mean_loss(self, ids: list[str], losses: Tensor) -> Tensor:
        """Log and return the mean of a training step's (B,) losses.

        The losses are kept until the optimiser steps, so that an error can name the shapes.
        """
        self._since_step.append((ids, losses.detach()))
        loss = losses.mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(ids), sync_dist=True)
        return loss

    def log_means(self, metrics: Mapping[str, Tensor], num_shapes: int, *, prog_bar: bool = False) -> None:
        """Log means over the shapes of a batch; Lightning averages them over the shapes of all batches and ranks.

        The number of shapes is passed as a float, because Lightning averages it over the ranks and would otherwise
        truncate 3.5 to 3.
        """
        weight: Any = float(num_shapes)
        self.log_dict(metrics, batch_size=weight, sync_dist=True, prog_bar=prog_bar, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser, and a schedule of linear warm-up and cosine decay that counts optimiser steps."""
        total_steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(total_steps) or total_steps < 1:
            raise ValueError(
                "the cosine schedule needs the length of the training, but neither trainer.max_steps nor "
                "trainer.max_epochs is set to a number above 0. Set one of them."
            )
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        effective_batch = datamodule.batch_size * self.trainer.accumulate_grad_batches * self.trainer.world_size
        peak_lr = self.base_lr * effective_batch / 256
        self.peak_lr = peak_lr
        warmup_steps = self.warmup_steps
        if warmup_steps is None:
            set_up_training_data(self.trainer)  # only then is the length of an epoch known
            warmup_steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
            warmup_steps = min(warmup_steps, int(total_steps) // 10)
        restart_training_data(self.trainer)
        optimizer: Optimizer
        if self.optimizer == "muon":
            if self.device_mesh is not None:
                raise ValueError(
                    "model.init_args.optimizer muon needs whole matrices, but ModelParallelStrategy shards them over "
                    "the ranks. Use adamw, or trainer.strategy ddp."
                )
            optimizer = MuonAdamW(self, lr=peak_lr, betas=self.betas, weight_decay=self.weight_decay)
        else:
            # Under mixed precision, Lightning refuses to clip gradients for a fused optimiser.
            clips = self.trainer.gradient_clip_val and isinstance(self.trainer.precision_plugin, MixedPrecision)
            optimizer = adamw(
                self.parameters(),
                lr=peak_lr,
                betas=self.betas,
                weight_decay=self.weight_decay,
                fused=not clips and self.device_mesh is None,
            )
        scheduler = warmup_cosine(
            optimizer,
            warmup_steps=warmup_steps,
            total_steps=int(total_steps),
            peak_lr=peak_lr,
            min_lr=min(self.min_lr, peak_lr),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop, or skip this step, if the gradients of any rank are not finite.

        Under DDP the gradients are already averaged over the ranks, so every rank makes the same decision without
        communication. Each rank names the shapes that it processed.
        """
        shapes, self._since_step = self._since_step, []
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if isinstance(norm, DTensor):  # if gradients are sharded over ranks
            norm = norm.full_tensor()
        if torch.isfinite(norm):
            self.log_dict({"train/grad_norm": norm, "train/lr": optimizer.param_groups[0]["lr"]})
            return
        pairs = [pair for ids, losses in shapes for pair in zip(ids, losses.tolist(), strict=True)]
        guilty = [name for name, loss in pairs if not math.isfinite(loss)]
        where = ", ".join(guilty) or "none of this rank's shapes, so a shape of another rank or the backward pass"
        message = f"step {self.global_step}: the loss or its gradient is not finite. Cause: {where}."
        if self.on_non_finite == "stop":
            raise NonFiniteLossError(
                f"{message} Inspect the shapes, lower model.init_args.base_lr, or set "
                "model.init_args.on_non_finite: skip."
            )
        if guilty or self.trainer.is_global_zero:
            print(f"{message} This step is skipped.", flush=True)
        for parameter in self.parameters():
            parameter.grad = None

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.trainer.datamodule.seed)  # type: ignore[attr-defined]
