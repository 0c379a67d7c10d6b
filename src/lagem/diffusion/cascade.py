"""The cascade: sample Z_L, then each finer level given the latents of all coarser levels (LaGeM §3.3, Eq. 10).

Letters: B samples, M_i latents of level i with D_i channels, L levels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lagem.diffusion.noise import augment_coarser, draw_noise, torch_generator
from lagem.diffusion.preconditioning import Denoiser
from lagem.diffusion.sampler import HeunSampler, SamplerStep


@dataclass(frozen=True)
class Stage:
    """One stage of a cascade: a denoiser, and how the latents of its level are sampled with it.

    Args:
        denoiser: Denoiser D of the level; its backbone holds the level's number.
        sampler: Sampler with the steps, guidance and churn of this stage.
        coarser_sigma: Standard deviation of the noise added to the coarser latents before this stage receives them;
            only a backbone with conditioning augmentation accepts more than 0.
    """

    denoiser: Denoiser
    sampler: HeunSampler = field(default_factory=HeunSampler)
    coarser_sigma: float = 0.0

    @property
    def level(self) -> int:
        """Number of the level that this stage generates."""
        return self.denoiser.backbone.level


class Cascade:
    """Stages that generate the latents of one autoencoder.

    If a level has no stage, its latents must be given when samples are drawn.

    Args:
        stages: The stages, fine to coarse.
        standardise: Function applied to the latents that each stage samples, to standardise every vector over its
            channels as the encoder does (Eq. 6); None leaves the latents unchanged.
        bfloat16: Run the backbones under bfloat16 autocast. The sampler itself stays in float32.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        standardise: Callable[[Tensor], Tensor] | None = None,
        bfloat16: bool = False,
    ) -> None:
        numbers = [stage.level for stage in stages]
        if not stages or numbers != sorted(set(numbers)):
            raise ValueError(f"stages must run fine to coarse, each level once, but levels {numbers} were given.")
        self.levels = stages[0].denoiser.backbone.levels
        for stage in stages:
            if stage.denoiser.backbone.levels != self.levels:
                raise ValueError(
                    f"stages {numbers[0]} and {stage.level} were trained for autoencoders with different levels: "
                    f"{self.levels} and {stage.denoiser.backbone.levels}."
                )
            if standardise is not None and self.levels[stage.level - 1].bottleneck == "kl":
                raise ValueError(
                    f"level {stage.level} has a KL bottleneck, so its latents must not be standardised; turn "
                    "`standardise` off."
                )
        self.stages = {stage.level: stage for stage in stages}
        self.standardise, self.bfloat16 = standardise, bfloat16

    @torch.no_grad()
    def sample(
        self,
        seeds: Sequence[int],
        *,
        condition: Tensor | None = None,
        given: Mapping[int, Tensor] | None = None,
        on_step: Callable[[int, SamplerStep], None] | None = None,
    ) -> list[Tensor]:
        """Sample the latents of all levels (Eq. 10).

        The noise is keyed by the sample's seed and the level. So a sample does not depend on its batch, and the noise
        of a level does not depend on which other levels are given.

        Args:
            seeds: A seed for each of the B samples.
            condition: Condition of all stages, in the form that the backbones take.
            given: Latents (B, M_i, D_i) of the levels that are not sampled, by the level's number.
            on_step: Called after every step, with the level's number and the state of the sampling.

        Returns:
            L tensors (B, M_i, D_i), fine to coarse, on the device of the stages.

        Raises:
            ValueError: If a level has neither a stage nor given latents, or given latents do not fit their level.
        """
        given = self._checked(given or {}, len(seeds))
        coarser: list[Tensor] = []
        for level in range(len(self.levels), 0, -1):
            if level in given:
                latents = given[level]
            else:
                latents = self._sample_level(self.stages[level], seeds, coarser, condition, on_step)
            coarser = [*coarser, latents]
        return coarser[::-1]

    def _sample_level(
        self,
        stage: Stage,
        seeds: Sequence[int],
        coarser: Sequence[Tensor],
        condition: Tensor | None,
        on_step: Callable[[int, SamplerStep], None] | None,
    ) -> Tensor:
        generators = [torch_generator(seed, 0, f"level {stage.level}") for seed in seeds]
        spec = self.levels[stage.level - 1]
        device = next(stage.denoiser.parameters()).device
        noise = draw_noise(torch.empty(len(seeds), spec.num_latents, spec.latent_dim, device=device), generators)
        coarser_sigma = None
        if stage.coarser_sigma > 0:
            coarser_sigma = torch.full((len(seeds),), stage.coarser_sigma, device=device)
            coarser = augment_coarser(coarser, coarser_sigma, generators)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            latents = stage.sampler(
                stage.denoiser,
                noise,
                coarser=coarser,
                condition=condition,
                coarser_sigma=coarser_sigma,
                generators=generators,
                on_step=None if on_step is None else lambda step: on_step(stage.level, step),
            )
        return latents if self.standardise is None else self.standardise(latents)

    def _checked(self, given: Mapping[int, Tensor], batch_size: int) -> Mapping[int, Tensor]:
        numbers = range(1, len(self.levels) + 1)
        if unknown := [level for level in given if level not in numbers]:
            raise ValueError(f"latents of levels {unknown} were given, but the levels are 1 to {len(self.levels)}.")
        if missing := [level for level in numbers if level not in given and level not in self.stages]:
            raise ValueError(f"levels {missing} have no stage. Add their stages, or give their latents.")
        backbone = next(iter(self.stages.values())).denoiser.backbone
        for level, latents in given.items():
            backbone.check_latents(latents, level)
            if len(latents) != batch_size:
                raise ValueError(
                    f"{batch_size} seeds make {batch_size} samples, but level {level} was given for {len(latents)} "
                    "samples."
                )
        return given
