"""Training of the autoencoder (LaGeM §4.1, appendix E).

The loss is the binary cross entropy on volume queries, half of which are inside, plus 0.1 times the same on
near-surface queries (Eq. 15). The optimiser is AdamW, with one warm-up, a cosine schedule and clipped gradients.
Options beyond this published recipe are off by default: Muon, local or anchored initial weights, and level dropout.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagem.diffusion.noise import torch_generator
from lagem.levels import LevelSpec, Posterior, check_levels
from lagem.models.attention import Step
from lagem.models.autoencoder import Skip
from lagem.models.embedding import OCTAVES
from lagem.models.furthest_points import FPSBackend
from lagem.models.initialisation import start_anchored, start_local, start_without_effect
from lagem.models.queries.field import Field
from lagem.models.size import built
from lagem.modules.recipe import OnNonFinite, OptimizerName, RecipeModule
from lagem.randomness import sample_generator
from lagem.samples import OccupancyBatch
from lagem.weights.autoencoder import AutoencoderSpec, load_autoencoder
from lagem.weights.errors import differences


class AutoencoderModule(RecipeModule):
    """Training of the autoencoder. With a single level that has a KL bottleneck, the autoencoder is VecSet.

    Args:
        levels: Sizes of the levels, fine to coarse.
        width: Number of feature channels C of every attention block, a multiple of 64.
        skip: Whether the decoder adds the input of each upsampling block to the block's output. `double` adds it, as in
            the published weights; `single` does not, which is Eq. 8 as printed.
        octaves: Number of frequencies of the point embedding, pi * 2^k on each axis for k = 0, 1, .... The highest of
            the published 8 have wavelengths shorter than the spacing of the input points, and cause ridges if there are
            few training shapes.
        single_head_cross: Whether cross attention has one head instead of heads of 64 channels. `init_from` with the
            published weights of VecSet needs this.
        start: Initial weights: `published` (torch's defaults); `local`, with which short trainings learn sooner that
            near points belong together; or `anchored`, which is `local` with latents that start as encodings of the
            positions of their anchors (`lagem.models.initialisation`).
        near_weight: Weight of the loss on near-surface queries.
        kl_weight: Weight of the KL term; it has no effect if all levels are standardised.
        posterior: Which latents KL levels use in validation and testing, for the loss and the balanced IoU: the `mean`
            of the posterior, or a `sample` from it, as in the evaluation by VecSet's authors. Training always samples;
            reconstructions in callbacks always use the mean.
        level_dropout: Fraction of the shapes in each step that are decoded without one or more of the finest levels, so
            that the coarser levels learn to describe a shape by themselves.
        level_dropout_start: First optimiser step with level dropout. If it started at step 0, the finest level would
            be trained too little.
        optimizer: `adamw` for all parameters; or `muon` for the matrices inside attention and feed-forward layers, with
            AdamW for all other parameters.
        base_lr: Peak learning rate for 256 shapes per step. The rate that is used, and logged, is
            base_lr * (batch size * accumulation * ranks) / 256.
        min_lr: Learning rate at the end of the cosine.
        warmup_steps: Number of optimiser steps of the linear warm-up. None takes the steps of one epoch, but at most a
            tenth of the run.
        weight_decay: Decoupled weight decay.
        betas: AdamW's betas.
        fps: Backend of furthest point sampling. On CUDA, `auto` uses torch_cluster or, if it is missing, triton; on the
            CPU, it uses quickfps. Without these, it uses a slow torch loop.
        step: How a training step is computed; all ways give the same result up to rounding. `lean` takes about half the
            memory of `plain`, and less time. `leanest` takes about a quarter of the memory of `plain`, and about the
            same time as `plain`.
        checkpoint_activations: Recompute whole self-attention blocks in the backward pass, which takes the least
            memory.
        compile: Compile the network with torch.compile.
        init_from: Weights to start from: a checkpoint of `lagem fit`, a safetensors file, the folder of a run, or the
            name of weights in the package, such as `large`. Their architecture must be the configured one, with three
            exceptions. Their num_latents may differ, because no weight depends on it. They may have more octaves, and
            then only their lowest octaves are used. Their levels may have fewer self-attention blocks; the additional
            blocks start without an effect, so the network starts with the same field.
        freeze_encoder: Train only the decoder. The latents then stay those of the weights in `init_from`, which must be
            given, so stages that learned these latents can be bundled with the new decoder.
        on_non_finite: What to do if a loss or its gradient is not finite: `stop` the run, or `skip` the optimiser step.
            In both cases a message names the step and, if they are known, the shapes.
    """

    def __init__(
        self,
        *,
        levels: Sequence[LevelSpec],
        width: int = 512,
        skip: Skip = "double",
        octaves: int = OCTAVES,
        single_head_cross: bool = False,
        start: Literal["published", "local", "anchored"] = "published",
        near_weight: float = 0.1,
        kl_weight: float = 1e-3,
        posterior: Posterior = "mean",
        level_dropout: float = 0.0,
        level_dropout_start: int = 0,
        optimizer: OptimizerName = "adamw",
        base_lr: float = 5e-5,
        min_lr: float = 1e-6,
        warmup_steps: int | None = None,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        fps: FPSBackend = "auto",
        step: Step = "lean",
        checkpoint_activations: bool = False,
        compile: bool = False,
        init_from: str | Path | None = None,
        freeze_encoder: bool = False,
        on_non_finite: OnNonFinite = "stop",
    ) -> None:
        super().__init__(
            optimizer=optimizer,
            base_lr=base_lr,
            min_lr=min_lr,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
            betas=betas,
            on_non_finite=on_non_finite,
        )
        self.spec = AutoencoderSpec(
            levels=check_levels(levels), width=width, skip=skip, octaves=octaves, single_head_cross=single_head_cross
        )
        self.autoencoder = built(
            partial(self.spec.autoencoder, fps=fps, step=step, checkpoint_activations=checkpoint_activations)
        )
        if not 0 <= level_dropout <= 1:
            raise ValueError(f"level_dropout must be a fraction in [0, 1], but {level_dropout} was given.")
        if level_dropout and len(self.autoencoder.levels) == 1:
            raise ValueError(f"level_dropout {level_dropout} needs finer levels to drop, but there is only one level.")
        if level_dropout_start < 0:
            raise ValueError(f"level_dropout_start must be a step, 0 or later, but {level_dropout_start} was given.")
        if start == "local":
            start_local(self.autoencoder)
        elif start == "anchored":
            start_anchored(self.autoencoder)
        self.near_weight = near_weight
        self.level_dropout = level_dropout
        self.level_dropout_start = level_dropout_start
        self.kl_weight = kl_weight
        self.posterior = posterior
        self.init_from = init_from
        if init_from is not None:
            self._start_from(init_from)
        elif freeze_encoder:
            raise ValueError("freeze_encoder needs init_from: without it, the encoder would keep its random weights.")
        if freeze_encoder:
            self.autoencoder.encoder_layers.requires_grad_(False)
        if compile:
            self.autoencoder.compile()

    @property
    def network(self) -> nn.Module:
        """The autoencoder."""
        return self.autoencoder

    def training_step(self, batch: OccupancyBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch (Eq. 15)."""
        self._trained_with(batch.surface_points.shape[1])
        generators = self._posterior_generators(batch, self.current_epoch)
        volume_loss, near_loss, kl, _ = self._losses(
            batch, generators=generators, finest=self._draw_finest_levels(batch)
        )
        losses = volume_loss + self.near_weight * near_loss + self.kl_weight * kl
        self.log("train/near_loss", near_loss.mean(), batch_size=len(batch), sync_dist=True)
        return self.mean_loss(batch.ids, losses)

    def validation_step(self, batch: OccupancyBatch, batch_idx: int) -> None:
        """Log two means over shapes: the loss, and the IoU on volume queries, half of which are inside."""
        self._evaluate(batch, "val")

    def test_step(self, batch: OccupancyBatch, batch_idx: int) -> None:
        """Log the same means as `validation_step`, but under `test`."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: OccupancyBatch, batch_idx: int) -> Field:
        """Reconstruct the shapes of a batch, and return their fields of occupancy logits."""
        return self.reconstruct(batch.surface_points)

    def reconstruct(self, surface_points: Tensor, *, finest: int = 1) -> Field:
        """Encode (B, N, 3) points and decode them to a field of occupancy logits.

        Args:
            surface_points: (B, N, 3) in the unit-sphere frame.
            finest: Number of the finest level to use. The latents of finer levels are set to 0, because their mean
                is 0.
        """
        latents = self.autoencoder.encode(surface_points)
        kept = [z if level >= finest else torch.zeros_like(z) for level, z in enumerate(latents, start=1)]
        return self.autoencoder.decode(kept)

    @property
    def num_levels(self) -> int:
        """L, the number of levels."""
        return len(self.autoencoder.levels)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the architecture to the checkpoint in plain types, so that other code can use the weights."""
        checkpoint["autoencoder"] = self.spec.as_plain()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise a one-line error if the checkpoint holds another architecture."""
        if "autoencoder" not in checkpoint:
            raise ValueError("the checkpoint holds no autoencoder; give the checkpoint of an autoencoder's training.")
        found = AutoencoderSpec.from_plain(checkpoint["autoencoder"])
        ours = replace(self.spec, num_surface_points=found.num_surface_points)
        if differing := differences(asdict(found), asdict(ours)):
            raise ValueError(
                f"the checkpoint holds another autoencoder: {differing}. Use its settings, or another checkpoint."
            )
        self.spec = ours

    def _losses(
        self,
        batch: OccupancyBatch,
        *,
        generators: Sequence[torch.Generator] | None = None,
        finest: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the volume loss, near loss and KL term of each shape, (B,) each, and the (B, Q) volume logits."""
        query_points = torch.cat([batch.volume_points, batch.near_points], dim=1)
        result = self.autoencoder(batch.surface_points, query_points, generators=generators, finest=finest)
        volume_logits, near_logits = result.logits.float().split(
            [batch.volume_points.shape[1], batch.near_points.shape[1]], dim=1
        )
        cross_entropy: Callable[..., Tensor] = F.binary_cross_entropy_with_logits
        volume_loss = cross_entropy(volume_logits, batch.volume_occupancy, reduction="none").mean(dim=1)
        near_loss = cross_entropy(near_logits, batch.near_occupancy, reduction="none").mean(dim=1)
        return volume_loss, near_loss, result.kl, volume_logits

    def _evaluate(self, batch: OccupancyBatch, stage: str) -> None:
        generators = self._posterior_generators(batch, 0) if self.posterior == "sample" else None
        volume_loss, near_loss, kl, logits = self._losses(batch, generators=generators)
        losses = volume_loss + self.near_weight * near_loss + self.kl_weight * kl
        predicted, occupancy = logits > 0, batch.volume_occupancy > 0.5
        union = (predicted | occupancy).sum(dim=1)
        iou = (predicted & occupancy).sum(dim=1) / union.clamp(min=1)
        metrics = {f"{stage}/loss": losses.mean(), f"{stage}/iou_balanced": iou.mean()}
        self.log_means(metrics, len(batch), prog_bar=True)

    def _posterior_generators(self, batch: OccupancyBatch, epoch: int) -> list[torch.Generator] | None:
        """Return a generator for each shape, to sample posteriors of KL levels; None if there is no such level."""
        if not self.spec.has_kl_levels:
            return None
        return [torch_generator(self.seed, epoch, f"posterior:{name}") for name in batch.ids]

    def _draw_finest_levels(self, batch: OccupancyBatch) -> Tensor | None:
        """Draw the finest level from which each shape is decoded, (B,) integers; None without level dropout."""
        if not self.level_dropout or self.global_step < self.level_dropout_start:
            return None
        finest = []
        for name in batch.ids:
            rng = sample_generator(self.seed, self.current_epoch, f"levels:{name}")
            finest.append(rng.integers(2, self.num_levels + 1) if rng.random() < self.level_dropout else 1)
        return torch.tensor(finest, device=batch.surface_points.device)

    def _start_from(self, name: str | Path) -> None:
        given, spec = load_autoencoder(name)
        octaves = self.spec.octaves
        if (
            _that_must_agree(spec) != _that_must_agree(self.spec)
            or spec.octaves < octaves
            or any(theirs.depth > ours.depth for theirs, ours in zip(spec.levels, self.spec.levels, strict=True))
        ):
            raise ValueError(
                f"init_from {name}: its architecture (levels {spec.levels}, width {spec.width}, skip {spec.skip}, "
                f"octaves {spec.octaves}, single_head_cross {spec.single_head_cross}) is not the one configured; only "
                "num_latents may differ, and fewer octaves and a greater depth may be configured."
            )
        embedding = {"point_embedding.linear.weight": given.point_embedding.weight_of_lowest(octaves)}
        start_without_effect(self.autoencoder, [level.depth for level in spec.levels])
        self.autoencoder.load_state_dict(self.autoencoder.state_dict() | given.state_dict() | embedding)
        self._trained_with(spec.num_surface_points)

    def _trained_with(self, num_surface_points: int) -> None:
        if num_surface_points != self.spec.num_surface_points:
            self.spec = replace(self.spec, num_surface_points=num_surface_points)


def _that_must_agree(spec: AutoencoderSpec) -> tuple[object, ...]:
    """Return the parts of a spec that must be equal in two networks so that one can start from the other's weights.

    These are the width, the skip, the heads, and the channels and bottlenecks of the levels. Octaves and depths may
    differ in one direction, and are compared separately.
    """
    levels = [replace(level, num_latents=1, depth=0) for level in spec.levels]
    return levels, spec.width, spec.skip, spec.single_head_cross
