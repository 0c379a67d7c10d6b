"""Training of the autoencoder (LaGeM §4.1, appendix E).

Binary cross entropy on volume queries, half of them inside, plus 0.1 times the same on
near-surface queries (Eq. 15); AdamW, one warm-up, cosine, gradients clipped.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder, Field, Skip
from lagem.models.sampling import FPSBackend
from lagem.modules.schedule import warmup_cosine
from lagem.randomness import sample_generator
from lagem.samples import OccupancyBatch
from lagem.weights import describe_autoencoder, load_autoencoder


class NonFiniteLossError(ValueError):
    """The loss is not finite; the message names the step and the shapes."""


class AutoencoderModule(LightningModule):
    """Autoencoder training; VecSet is the case of one level with a KL bottleneck.

    Args:
        levels: Sizes of the levels, fine to coarse.
        width: Feature channels C of every attention block, a multiple of 64.
        skip: `double`, as in the published weights, or `single`, Eq. 8 as printed.
        near_weight: Weight of the near-surface queries' loss.
        kl_weight: Weight of the KL term; of no effect where every level is standardised.
        base_lr: Peak learning rate for 256 shapes a step; the rate used is
            base_lr * (batch size * accumulation * ranks) / 256, and is logged.
        min_lr: Learning rate at the end of the cosine.
        warmup_steps: Optimiser steps of linear warm-up; None takes one epoch, at most a tenth of the run.
        weight_decay: AdamW's weight decay.
        betas: AdamW's betas.
        fps: Furthest point sampling backend; `auto` takes torch_cluster on CUDA where it is installed.
        checkpoint_activations: Recompute self-attention blocks in the backward pass to save memory.
        compile: Compile the network with torch.compile.
        init_from: Weights to start from: a checkpoint of `lagem fit` or a safetensors file of the same architecture.
        on_non_finite: What a loss that is not finite does: `stop` the run, or `skip` the optimiser step; both
            name the step and the shapes.
    """

    def __init__(
        self,
        *,
        levels: Sequence[LevelSpec],
        width: int = 512,
        skip: Skip = "double",
        near_weight: float = 0.1,
        kl_weight: float = 1e-3,
        base_lr: float = 5e-5,
        min_lr: float = 1e-6,
        warmup_steps: int | None = None,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        fps: FPSBackend = "auto",
        checkpoint_activations: bool = False,
        compile: bool = False,
        init_from: Path | None = None,
        on_non_finite: Literal["stop", "skip"] = "stop",
    ) -> None:
        super().__init__()
        self.autoencoder = Autoencoder(
            levels=levels, width=width, skip=skip, fps=fps, checkpoint_activations=checkpoint_activations
        )
        self.near_weight = near_weight
        self.kl_weight = kl_weight
        self.base_lr = base_lr
        self.min_lr = min_lr
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.betas = betas
        self.on_non_finite = on_non_finite
        self._num_surface_points = 0
        self._since_step: list[tuple[list[str], Tensor]] = []  # ids and losses of the shapes of this step
        if init_from is not None:
            self._start_from(init_from)
        if compile:
            self.autoencoder.compile()

    def training_step(self, batch: OccupancyBatch, batch_idx: int) -> Tensor:
        """Eq. 15 on one batch."""
        self._num_surface_points = batch.surface_points.shape[1]
        volume_loss, near_loss, kl, _ = self._losses(batch, generators=self._posterior_generators(batch))
        losses = volume_loss + self.near_weight * near_loss + self.kl_weight * kl
        self._since_step.append((batch.ids, losses.detach()))
        loss = losses.mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch), sync_dist=True)
        self.log("train/near_loss", near_loss.mean(), batch_size=len(batch), sync_dist=True)
        return loss

    def validation_step(self, batch: OccupancyBatch, batch_idx: int) -> None:
        """Loss and IoU over balanced queries, means over shapes."""
        self._evaluate(batch, "val")

    def test_step(self, batch: OccupancyBatch, batch_idx: int) -> None:
        """The same as validation, under the name `test`."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: OccupancyBatch, batch_idx: int) -> Field:
        """Field of each shape of the batch."""
        return self.reconstruct(batch.surface_points)

    def reconstruct(self, surface_points: Tensor, *, finest: int = 1) -> Field:
        """Encode (B, N, 3) points and decode them to a field of occupancy logits.

        Args:
            surface_points: (B, N, 3) in the unit-sphere frame.
            finest: The finest level that is used; the latents of finer ones are replaced by zeros, their mean.
        """
        latents = self.autoencoder.encode(surface_points)
        kept = [z if level >= finest else torch.zeros_like(z) for level, z in enumerate(latents, start=1)]
        return self.autoencoder.decode(kept)

    @property
    def num_levels(self) -> int:
        """L, the number of levels."""
        return len(self.autoencoder.levels)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a linear warm-up and a cosine, in optimiser steps."""
        total_steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(total_steps) or total_steps < 1:
            raise ValueError(
                "the cosine needs the length of the training, but neither trainer.max_steps nor "
                "trainer.max_epochs is set. Set one of them."
            )
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        effective_batch = datamodule.batch_size * self.trainer.accumulate_grad_batches * self.trainer.world_size
        peak_lr = self.base_lr * effective_batch / 256
        rank_zero_info(f"{effective_batch} shapes a step, so the peak learning rate is {peak_lr:.3g}")
        warmup_steps = self.warmup_steps
        if warmup_steps is None:
            self.trainer.fit_loop.setup_data()  # the length of an epoch is not known before
            warmup_steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
            warmup_steps = min(warmup_steps, int(total_steps) // 10)
        optimizer = AdamW(self.parameters(), lr=peak_lr, betas=self.betas, weight_decay=self.weight_decay)
        scheduler = warmup_cosine(
            optimizer,
            warmup_steps=warmup_steps,
            total_steps=int(total_steps),
            peak_lr=peak_lr,
            min_lr=min(self.min_lr, peak_lr),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop, or leave this step out, where the gradients of any rank are not finite.

        Under DDP the gradients are already averaged over the ranks, so every rank decides the same without asking;
        a rank names its own shapes.
        """
        shapes, self._since_step = self._since_step, []
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if torch.isfinite(norm):
            self.log_dict({"train/grad_norm": norm, "train/lr": optimizer.param_groups[0]["lr"]})
            return
        pairs = [pair for ids, losses in shapes for pair in zip(ids, losses.tolist(), strict=True)]
        guilty = [name for name, loss in pairs if not math.isfinite(loss)]
        where = ", ".join(guilty) or "none of this rank's shapes, so another rank's or the backward pass"
        message = f"step {self.global_step}: the loss or its gradient is not finite (not finite: {where})."
        if self.on_non_finite == "stop":
            raise NonFiniteLossError(
                f"{message} Look at the shapes, lower model.init_args.base_lr, or set "
                "model.init_args.on_non_finite: skip."
            )
        if guilty or self.trainer.is_global_zero:
            print(f"{message} This step is skipped.", flush=True)
        for parameter in self.parameters():
            parameter.grad = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the architecture in plain types, so that the weights can be used without this module."""
        checkpoint["autoencoder"] = describe_autoencoder(self.autoencoder, num_surface_points=self._num_surface_points)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse, in one line, a checkpoint of another architecture."""
        found = checkpoint.get("autoencoder", {})
        ours = describe_autoencoder(self.autoencoder, num_surface_points=found.get("num_surface_points", 0))
        wrong = [key for key in ours if found.get(key) != ours[key]]
        differing = [f"{key} {found.get(key)!r}, not {ours[key]!r}" for key in wrong]
        if differing:
            raise ValueError(f"the checkpoint holds another autoencoder: {'; '.join(differing)}.")
        self._num_surface_points = found["num_surface_points"]

    def _losses(
        self, batch: OccupancyBatch, *, generators: Sequence[torch.Generator] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Per shape (B,): volume and near loss and KL; and the (B, Q) volume logits."""
        query_points = torch.cat([batch.volume_points, batch.near_points], dim=1)
        result = self.autoencoder(batch.surface_points, query_points, generators=generators)
        volume_logits, near_logits = result.logits.float().split(
            [batch.volume_points.shape[1], batch.near_points.shape[1]], dim=1
        )
        cross_entropy: Callable[..., Tensor] = F.binary_cross_entropy_with_logits
        volume_loss = cross_entropy(volume_logits, batch.volume_occupancy, reduction="none").mean(dim=1)
        near_loss = cross_entropy(near_logits, batch.near_occupancy, reduction="none").mean(dim=1)
        return volume_loss, near_loss, result.kl, volume_logits

    def _evaluate(self, batch: OccupancyBatch, stage: str) -> None:
        volume_loss, near_loss, kl, logits = self._losses(batch)
        losses = volume_loss + self.near_weight * near_loss + self.kl_weight * kl
        predicted, occupancy = logits > 0, batch.volume_occupancy > 0.5
        union = (predicted | occupancy).sum(dim=1)
        iou = (predicted & occupancy).sum(dim=1) / union.clamp(min=1)
        metrics = {f"{stage}/loss": losses.mean(), f"{stage}/iou_balanced": iou.mean()}
        self.log_dict(metrics, batch_size=len(batch), sync_dist=True, prog_bar=True, on_epoch=True)

    def _posterior_generators(self, batch: OccupancyBatch) -> list[torch.Generator] | None:
        """A generator a shape for the posterior's noise, keyed as all randomness is; None where nothing is drawn."""
        if all(level.bottleneck == "standardised" for level in self.autoencoder.levels):
            return None
        seed = self.trainer.datamodule.seed  # type: ignore[attr-defined]
        return [
            torch.Generator().manual_seed(
                int(sample_generator(seed, self.current_epoch, f"posterior:{name}").integers(2**62))
            )
            for name in batch.ids
        ]

    def _start_from(self, path: Path) -> None:
        given, self._num_surface_points = load_autoencoder(path)
        if (given.levels, given.width, given.skip) != (
            self.autoencoder.levels,
            self.autoencoder.width,
            self.autoencoder.skip,
        ):
            raise ValueError(
                f"init_from {path}: its architecture (levels {given.levels}, width {given.width}, skip {given.skip}) "
                "is not the one configured."
            )
        self.autoencoder.load_state_dict(given.state_dict())
