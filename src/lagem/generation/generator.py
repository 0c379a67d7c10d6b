"""Generate new shapes with a cascade: sample the latents of all levels from noise, then decode them to meshes.

    import lagem

    generator = lagem.load_cascade("furniture")
    shapes = generator.generate(category="chair", count=4, seed=0)
    meshes = [shape.mesh for shape in shapes if shape.mesh is not None]

Letters: B samples, M_i latents of level i with D_i channels, L levels, T condition tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from lagem.diffusion.cascade import Cascade, Stage
from lagem.diffusion.preconditioning import Denoiser
from lagem.diffusion.sampler import HeunSampler, SamplerStep
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.components import reduced
from lagem.geometry.frame import Up
from lagem.geometry.mesh import Mesh
from lagem.geometry.surface import EmptySurfaceError
from lagem.models.bottleneck import standardise
from lagem.models.denoiser import Backbone
from lagem.randomness import sample_seed
from lagem.reconstruction.codec import ShapeCodec
from lagem.weights.hub import pushed
from lagem.weights.saving import save_weights
from lagem.weights.stage import StageSpec


@dataclass(frozen=True)
class GeneratedShape:
    """One sample.

    index: Index of the sample, from 0.
    seed: Seed of the sample's noise. The latents depend only on this seed, the condition, the given latents and the
        sampler's settings.
    latents: L tensors (M_i, D_i) float32, fine to coarse, on the CPU.
    mesh: Mesh in the unit sphere, with the cascade's `up`, or z; None if the decoded field has no surface.
    reason: Why there is no mesh; empty if there is one.
    category: The requested category, or None.
    """

    index: int
    seed: int
    latents: list[Tensor]
    mesh: Mesh | None
    reason: str = ""
    category: str | None = None


class CascadedGenerator:
    """Generates shapes with an autoencoder and one stage for each level.

    Args:
        codec: The autoencoder, which decodes the latents.
        stages: The backbone and spec of each level's stage, fine to coarse. The caller must check that the stages
            and the autoencoder belong together.
    """

    def __init__(self, codec: ShapeCodec, stages: Sequence[tuple[Backbone, StageSpec]]) -> None:
        self.codec = codec
        self.denoisers = [Denoiser(backbone).eval() for backbone, _ in stages]
        self.specs = [spec for _, spec in stages]

    @property
    def category_names(self) -> tuple[str, ...]:
        """Names of the categories that can be generated; empty if the cascade has no categories."""
        return self.specs[0].category_names

    @property
    def up(self) -> Up | None:
        """The axis that points up in the shapes that the cascade was trained on; None if it is not known."""
        return next((spec.up for spec in self.specs if spec.up is not None), None)

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return self.codec.device

    def to(self, device: torch.device | str) -> "CascadedGenerator":
        """Move all networks, and return this generator."""
        self.codec.to(device)
        nn.ModuleList(self.denoisers).to(device)
        return self

    def save(self, folder: str | Path, *, half: bool = False) -> Path:
        """Write a folder of weights. `load_cascade` reads the cascade from it, and `load_codec` only the autoencoder.

        Args:
            folder: Folder to create.
            half: Store the weights as float16, which halves the size and changes samples in the last digits.

        Returns:
            The folder.

        Raises:
            ValueError: If the folder already exists.
        """
        stages = list(zip((cast(Backbone, d.backbone) for d in self.denoisers), self.specs, strict=True))
        return save_weights(self.codec.autoencoder, self.codec.spec, stages, folder, half=half)

    def push_to_hub(self, name: str, *, half: bool = False, private: bool = False) -> str:
        """Save a folder of weights to the Hugging Face Hub; `load_cascade("hf://owner/name")` reads it.

        The arguments, the result and the errors are those of `ShapeCodec.push_to_hub`.
        """
        return pushed(partial(self.save, half=half), name, private=private)

    def generate(
        self,
        *,
        count: int,
        category: str | None = None,
        condition: Tensor | None = None,
        given: Mapping[int, Tensor] | None = None,
        seed: int = 0,
        first: int = 0,
        batch_size: int = 16,
        sampler: SamplerSettings | None = None,
        surface: SurfaceSettings | None = None,
    ) -> list[GeneratedShape]:
        """Generate shapes. `stream` takes the same arguments and yields each shape as soon as it is made.

        A sample's seed is keyed by (seed, index), so a sample depends neither on `count` nor on its batch.

        Args:
            count: Number of shapes.
            category: Category of the shapes, for a cascade that is conditional on a category.
            condition: (condition_dim,) or (T, condition_dim) embedding, for a cascade that is conditional on one.
            given: Latents to use instead of sampled ones, by the level's number: (M_i, D_i) if all samples share them,
                else (count, M_i, D_i).
            seed: Seed of all samples, an integer of at least 0.
            first: Index of the first sample.
            batch_size: Number of samples that are made at once.
            sampler: How latents are sampled; None takes the defaults.
            surface: How a field becomes a mesh; None takes the defaults.

        Returns:
            The samples in order. A sample has no mesh if its field has no surface.

        Raises:
            ValueError: If an argument does not fit the cascade.
        """
        return list(
            self.stream(
                count=count,
                category=category,
                condition=condition,
                given=given,
                seed=seed,
                first=first,
                batch_size=batch_size,
                sampler=sampler,
                surface=surface,
            )
        )

    def stream(
        self,
        *,
        count: int,
        category: str | None = None,
        condition: Tensor | None = None,
        given: Mapping[int, Tensor] | None = None,
        seed: int = 0,
        first: int = 0,
        batch_size: int = 16,
        sampler: SamplerSettings | None = None,
        surface: SurfaceSettings | None = None,
        on_step: Callable[[int, SamplerStep], None] | None = None,
    ) -> Iterator[GeneratedShape]:
        """Generate shapes and yield them one by one. All arguments but `on_step` are those of `generate`.

        If an argument is wrong, the call itself raises the error, before any shape is made. `on_step` is called after
        every sampling step of a batch, with the number of the level and the state of the sampling.
        """
        least = {"count": (count, 1), "batch size": (batch_size, 1), "seed": (seed, 0), "first index": (first, 0)}
        for name, (number, lowest) in least.items():
            if number < lowest:
                raise ValueError(f"the {name} must be at least {lowest}, but {number} was given.")
        one = self._condition(category, condition)
        cascade = self._cascade(sampler or SamplerSettings(), conditional=one is not None)
        kept = {level: z if z.ndim == 3 else z.expand(count, *z.shape) for level, z in (given or {}).items()}
        if wrong := [level for level, z in kept.items() if len(z) != count]:
            raise ValueError(
                f"level {wrong[0]}: latents of {len(kept[wrong[0]])} samples were given, but {count} are to be made. "
                f"Give one (M, D) set of latents for all samples, or {count} such sets."
            )
        samples = range(first, first + count)
        parts = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
        return (
            replace(shape, category=category)
            for part in parts
            for shape in self._batch(
                cascade,
                samples[part],
                seed,
                one,
                {level: z[part] for level, z in kept.items()},
                surface or SurfaceSettings(),
                on_step,
            )
        )

    def decode(self, latents: Sequence[Tensor], surface: SurfaceSettings) -> Mesh:
        """Return the mesh of (M_i, D_i) latents, fine to coarse, in the unit sphere; its `up` is that of the cascade.

        Raises:
            EmptySurfaceError: If the field has no inside.
        """
        mesh = self.codec.mesh_of(latents, resolution=surface.resolution)
        return reduced(replace(mesh, up=self.up or "z"), only_largest=surface.only_largest, faces=surface.faces)

    def meshed(self, sample: GeneratedShape, surface: SurfaceSettings) -> GeneratedShape:
        """Return a sample of this cascade with the mesh that its latents have under other settings."""
        try:
            return replace(sample, mesh=self.decode(sample.latents, surface), reason="")
        except EmptySurfaceError as error:
            return replace(sample, mesh=None, reason=str(error))

    def _batch(
        self,
        cascade: Cascade,
        batch: range,
        seed: int,
        condition: Tensor | None,
        given: Mapping[int, Tensor],
        surface: SurfaceSettings,
        on_step: Callable[[int, SamplerStep], None] | None,
    ) -> Iterator[GeneratedShape]:
        seeds = [sample_seed(seed, 0, f"sample {index}") for index in batch]
        latents = cascade.sample(
            seeds,
            condition=None if condition is None else condition.expand(len(batch), *condition.shape),
            given={level: z.to(self.device) for level, z in given.items()},
            on_step=on_step,
        )
        for row, index in enumerate(batch):
            yield self.meshed(GeneratedShape(index, seeds[row], [z[row].cpu() for z in latents], None), surface)

    def _condition(self, category: str | None, condition: Tensor | None) -> Tensor | None:
        """Return the condition of one sample, on the networks' device; None for an unconditional cascade.

        It is a () int64 category index or a (..., condition_dim) embedding.
        """
        spec, names = self.specs[0], self.category_names
        if spec.num_categories is not None:
            if category not in names:
                given = "none" if category is None else repr(category)
                raise ValueError(f"this cascade needs one of the categories {', '.join(names)}, but {given} was given.")
            if condition is not None:
                raise ValueError("this cascade takes a category and no other condition. Leave the condition out.")
            return torch.tensor(names.index(category), device=self.device)
        if category is not None:
            raise ValueError(f"this cascade has no categories, but {category!r} was given. Leave the category out.")
        if spec.condition_dim is None:
            if condition is not None:
                raise ValueError("this cascade is unconditional, but a condition was given. Leave the condition out.")
            return None
        if condition is None or condition.ndim not in (1, 2) or condition.shape[-1] != spec.condition_dim:
            given = "none" if condition is None else str(tuple(condition.shape))
            raise ValueError(
                f"this cascade needs a condition of shape ({spec.condition_dim},) or (T, {spec.condition_dim}), but "
                f"{given} was given."
            )
        return condition.to(self.device)

    def _cascade(self, sampler: SamplerSettings, *, conditional: bool) -> Cascade:
        by_level = sampler.by_level(len(self.specs))
        for spec, (_, guidance) in zip(self.specs, by_level, strict=True):
            if guidance != 1 and (spec.drop_condition == 0 or not conditional):
                raise ValueError(
                    f"guidance {guidance} needs a stage that also trained without its condition, but the stage of "
                    f"level {spec.level} had drop_condition 0. Use guidance 1."
                )
        reach = max(spec.max_coarser_sigma for spec in self.specs)
        if not 0 <= sampler.coarser_sigma <= reach:
            raise ValueError(
                f"coarser_sigma {sampler.coarser_sigma} is outside the range used in training. Give a number from 0 to "
                f"{reach}."
            )
        stages = [
            Stage(
                denoiser,
                HeunSampler(num_steps=steps, guidance=guidance, s_churn=sampler.churn),
                coarser_sigma=min(sampler.coarser_sigma, spec.max_coarser_sigma),
            )
            for denoiser, spec, (steps, guidance) in zip(self.denoisers, self.specs, by_level, strict=True)
        ]
        return Cascade(stages, standardise=standardise if sampler.standardise else None, bfloat16=sampler.bfloat16)
