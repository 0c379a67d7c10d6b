"""Training of one stage of the cascade (LaGeM §3.3, Eq. 10), which generates one level given all coarser levels.

The loss is EDM's, at random noise levels. All random numbers of a shape are keyed by (seed, epoch, id). Options beyond
the paper are off by default: dropped conditions for classifier-free guidance, and conditioning augmentation.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lagem.diffusion.cascade import Cascade, Stage
from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.noise import torch_generator
from lagem.diffusion.preconditioning import Denoiser
from lagem.levels import LevelSpec, check_levels
from lagem.models.queries.field import Field
from lagem.models.size import built
from lagem.modules.frozen import FrozenAutoencoder
from lagem.modules.latent_source import LatentSource, spec_for
from lagem.modules.recipe import OnNonFinite, OptimizerName, RecipeModule
from lagem.randomness import sample_seed
from lagem.samples import LatentBatch, OccupancyBatch
from lagem.weights.fingerprint import check_fingerprint
from lagem.weights.stage import StageSpec

NUM_FIXED_SIGMAS = 8  # number of noise levels at which validation measures the loss


class CascadeStageModule(RecipeModule):
    """Training of the stage that generates one level.

    Args:
        level: Number of the level that this stage generates; 1 is the finest. The coarsest is generated from noise
            only.
        levels: Levels of the autoencoder, fine to coarse; None takes those of the latent cache or of `autoencoder`.
        width: Number of feature channels C of the denoiser, a multiple of 64; the paper has 768.
        depth: Number of blocks of the denoiser; the paper has 12 for ShapeNet and 24 for Objaverse-10k.
        num_categories: Number of categories, if the condition is a category.
        condition_dim: Number of channels of the condition, if it is an embedding. If neither this nor `num_categories`
            is given, the condition is that of the data: `data.init_args.condition` of a latent cache, and none for
            shapes that are encoded in every step.
        drop_condition: Probability that a shape trains without its condition in a step; 0 as in the paper. Guidance
            needs more than 0, usually 0.1.
        max_coarser_sigma: Upper limit of the conditioning augmentation. Noise of up to this standard deviation is added
            to coarser latents, and the network receives the standard deviation as input; 0 as in the paper.
        p_mean: Mean of ln sigma in training.
        p_std: Standard deviation of ln sigma.
        autoencoder: Where the autoencoder's weights are: a value as for `init_from` of its training. It encodes the
            shapes of an occupancy or procedural data module in every step, and decodes samples for `ExportSamples`.
            None takes the autoencoder that the latent cache holds.
        optimizer: `adamw` for all parameters; or `muon` for the matrices inside attention and feed-forward layers, with
            AdamW for all other parameters.
        base_lr: Peak learning rate for 256 shapes per step. The rate that is used, and logged, is
            base_lr * (batch size * accumulation * ranks) / 256.
        min_lr: Learning rate at the end of the cosine.
        warmup_steps: Number of optimiser steps of the linear warm-up. None takes the steps of one epoch, but at most a
            tenth of the run.
        weight_decay: Decoupled weight decay.
        betas: AdamW's betas.
        on_non_finite: What to do if a loss or its gradient is not finite: `stop` the run, or `skip` the optimiser step.
            In both cases a message names the step and, if they are known, the shapes.
    """

    spec: StageSpec
    denoiser: Denoiser

    def __init__(
        self,
        *,
        level: int,
        levels: Sequence[LevelSpec] | None = None,
        width: int = 768,
        depth: int = 12,
        num_categories: int | None = None,
        condition_dim: int | None = None,
        drop_condition: float = 0.0,
        max_coarser_sigma: float = 0.0,
        p_mean: float = -1.2,
        p_std: float = 1.2,
        autoencoder: str | Path | None = None,
        optimizer: OptimizerName = "adamw",
        base_lr: float = 1e-4,
        min_lr: float = 1e-6,
        warmup_steps: int | None = None,
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
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
        self.loss = EDMLoss(
            p_mean=p_mean, p_std=p_std, drop_condition=drop_condition, max_coarser_sigma=max_coarser_sigma
        )
        self._spec_with = partial(
            StageSpec,
            level=level,
            width=width,
            depth=depth,
            drop_condition=drop_condition,
            max_coarser_sigma=max_coarser_sigma,
        )
        self._levels = None if levels is None else check_levels(levels)
        self._num_categories, self._condition_dim = num_categories, condition_dim
        self._random_state = torch.get_rng_state()
        if self._levels is not None and (num_categories is not None or condition_dim is not None):
            self._make_network(self._levels, num_categories, condition_dim)
        self._autoencoder = None if autoencoder is None else FrozenAutoencoder(autoencoder)

    @property
    def network(self) -> nn.Module:
        """The denoiser. If the module's arguments do not give all sizes, `setup` makes it, with the data's sizes."""
        return self.denoiser

    def setup(self, stage: str) -> None:
        """Take from the data all sizes that the arguments do not give, and check that the data fit.

        Raises:
            ValueError: If levels, autoencoder or condition of the data differ from those that the arguments give, or
                if the data replace samples by random solids.
        """
        source = self._source()
        if not hasattr(self, "denoiser"):
            condition = self._num_categories, self._condition_dim
            if condition == (None, None) and source is not self._autoencoder:
                condition = source.num_categories, source.condition_dim
            with torch.random.fork_rng(devices=[]), torch.device("cpu"):
                torch.set_rng_state(self._random_state)  # for the weights that the constructor would have drawn
                self._make_network(source.levels if self._levels is None else self._levels, *condition)
        self.spec = spec_for(self.spec, source)

    def configure_model(self) -> None:
        """Shard the weights, as `RecipeModule` does. Lightning's weight averaging calls this before `setup`."""
        if not hasattr(self, "denoiser"):
            self.setup("fit")
        super().configure_model()

    def training_step(self, batch: LatentBatch | OccupancyBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch (Eq. 10 in EDM's form)."""
        latents, given = self._inputs(batch)
        generators = [torch_generator(self.seed, self.current_epoch, f"diffusion:{name}") for name in batch.ids]
        return self.mean_loss(batch.ids, self.loss(self.denoiser, latents, generators=generators, **given))

    def validation_step(self, batch: LatentBatch | OccupancyBatch, batch_idx: int) -> None:
        """Log the losses at fixed noise levels (`loss_sigma_1` at the lowest); all validations use the same noise."""
        self._evaluate(batch, "val")

    def test_step(self, batch: LatentBatch | OccupancyBatch, batch_idx: int) -> None:
        """Log the same losses as `validation_step`, but under `test`."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: LatentBatch | OccupancyBatch, batch_idx: int) -> Tensor:
        """Return sampled latents of this level; see `sample`."""
        return self.sample(batch)

    @property
    def level(self) -> int:
        """Number of the level that this stage generates."""
        return self.spec.level

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the autoencoder whose latents the stage learns."""
        return self.spec.autoencoder

    def sample(self, batch: LatentBatch | OccupancyBatch) -> Tensor:
        """Sample (B, M_i, D_i) latents of this level, given the true latents of the coarser levels.

        The noise is keyed by the seed and the shape's id, so it is the same in every call.
        """
        batch = self._encoded(batch)
        seeds = [sample_seed(self.seed, 0, f"predict:{name}") for name in batch.ids]
        others = {level: z for level, z in enumerate(batch.latents, start=1) if level != self.level}
        sampled = Cascade([Stage(self.denoiser)]).sample(seeds, condition=self._condition(batch), given=others)
        return sampled[self.level - 1]

    def fields(self, batch: LatentBatch | OccupancyBatch, sampled: Tensor | None = None) -> Field | None:
        """Return the fields of a batch's latents; None without an autoencoder.

        If `sampled` is given, it replaces the latents of this level.
        """
        autoencoder = self._decoder()
        if autoencoder is None:
            return None
        latents = list(self._encoded(batch).latents)
        if sampled is not None:
            latents[self.level - 1] = sampled
        return autoencoder.decode(latents)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the stage's specification to the checkpoint in plain types, so that other code can use the weights."""
        checkpoint["stage"] = self.spec.as_plain()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise a one-line error if the checkpoint holds another stage."""
        if differing := self.spec.differences_from(checkpoint.get("stage", {})):
            raise ValueError(
                f"the checkpoint holds another stage: {differing}. Use its settings, or another checkpoint."
            )

    def _make_network(self, levels: Sequence[LevelSpec], num_categories: int | None, condition_dim: int | None) -> None:
        self.spec = self._spec_with(levels=tuple(levels), num_categories=num_categories, condition_dim=condition_dim)
        if self.spec.drop_condition and not self.spec.is_conditional:
            raise ValueError(
                f"drop_condition {self.spec.drop_condition} needs a condition to drop, but the stage is unconditional. "
                "Set it to 0, set data.init_args.condition, or give num_categories or condition_dim."
            )
        self.denoiser = Denoiser(built(self.spec.backbone))

    def _source(self) -> LatentSource:
        """Return the source of latents: the data module of a latent cache, or the autoencoder that encodes shapes."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if hasattr(datamodule, "fingerprint"):
            source: LatentSource = datamodule
            if self._autoencoder is not None:
                what = f"the latent cache {datamodule.root}"
                check_fingerprint(self._autoencoder.fingerprint, source.fingerprint, what)
            return source
        if self._autoencoder is None:
            raise ValueError(
                "a stage trains on the latents of LatentDataModule, or on shapes that "
                f"model.init_args.autoencoder encodes, but the data are {type(datamodule).__name__} and "
                "autoencoder is null. Change one of the two."
            )
        if fraction := getattr(datamodule, "universe_fraction", 0):
            raise ValueError(
                f"data.init_args.universe_fraction is {fraction}, but a stage of a cascade cannot train on random "
                "solids; set it to 0."
            )
        self._autoencoder.take_facts_from(datamodule)
        return self._autoencoder

    def _decoder(self) -> FrozenAutoencoder | None:
        """Return the given autoencoder or, if none was given, that of the latent cache; None if there is neither."""
        if self._autoencoder is None:
            datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
            with datamodule.autoencoder_file() as file:
                if file is not None:
                    loaded = FrozenAutoencoder(file)
                    check_fingerprint(self.fingerprint, loaded.fingerprint, f"the autoencoder {file}")
                    self._autoencoder = loaded
        return self._autoencoder

    def _evaluate(self, batch: LatentBatch | OccupancyBatch, stage: str) -> None:
        latents, given = self._inputs(batch)
        generators = [torch_generator(self.seed, 0, f"diffusion:{name}") for name in batch.ids]
        sigmas = self.loss.quantile_sigmas(NUM_FIXED_SIGMAS)
        losses = self.loss.at_fixed_sigmas(self.denoiser, latents, sigmas=sigmas, generators=generators, **given)
        self.log_means({f"{stage}/loss": losses.mean()}, len(batch), prog_bar=True)
        by_sigma = {f"{stage}/loss_sigma_{k}": row.mean() for k, row in enumerate(losses, start=1)}
        self.log_means(by_sigma, len(batch))

    def _inputs(self, batch: LatentBatch | OccupancyBatch) -> tuple[Tensor, dict[str, Any]]:
        """Return the latents of this level, and the other inputs of the denoiser by name."""
        batch = self._encoded(batch)
        coarser = batch.latents[: self.spec.level - 1 : -1]  # coarsest first
        return batch.latents[self.spec.level - 1], {"coarser": coarser, "condition": self._condition(batch)}

    def _encoded(self, batch: LatentBatch | OccupancyBatch) -> LatentBatch:
        if isinstance(batch, LatentBatch):
            return batch
        assert self._autoencoder is not None, "setup refuses shapes without weights to encode them"
        return self._autoencoder.encode(batch)

    def _condition(self, batch: LatentBatch) -> Tensor | None:
        return batch.condition if self.spec.is_conditional else None
