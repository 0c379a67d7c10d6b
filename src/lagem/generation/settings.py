"""Settings by which the latents of a cascade are sampled and a field becomes a mesh.

Command lines take their defaults from here, so this file imports nothing heavy.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """Settings by which latents are sampled.

    Args:
        steps: Number of steps of Heun's method: one number for all levels, or one for each level, fine to coarse.
        guidance: Weight w of classifier-free guidance: one number for all levels, or one for each level, fine to
            coarse. 1 is no guidance.
        churn: S_churn of EDM, the amount of noise added between steps; 0 makes sampling deterministic.
        coarser_sigma: Standard deviation of the noise added to coarser latents, for stages that were trained with
            conditioning augmentation.
        standardise: Standardise every sampled vector over its channels, as the encoder does (Eq. 6).
        bfloat16: Run the stages in bfloat16, for GPUs and CPUs with AMX.
    """

    steps: Sequence[int] = (18,)
    guidance: Sequence[float] = (1.0,)
    churn: float = 0.0
    coarser_sigma: float = 0.0
    standardise: bool = False
    bfloat16: bool = False

    def by_level(self, levels: int) -> list[tuple[int, float]]:
        """Return (steps, guidance) of each level, fine to coarse.

        Raises:
            ValueError: If there is neither one value for all levels nor one for each.
        """
        both = []
        for name, given in (("steps", self.steps), ("guidance", self.guidance)):
            if len(given) not in (1, levels):
                raise ValueError(
                    f"{name} needs one number, or one for each of levels 1 to {levels}, but {len(given)} were given."
                )
            both.append(list(given) * levels if len(given) == 1 else list(given))
        return list(zip(*both, strict=True))


@dataclass(frozen=True, kw_only=True)
class SurfaceSettings:
    """Settings by which a field becomes a mesh.

    Args:
        resolution: Number of cells along a side of the grid.
        only_largest: Keep only the largest connected component.
        faces: Maximum number of faces of a mesh; None for no limit.
    """

    resolution: int = 128
    only_largest: bool = False
    faces: int | None = None

    def __post_init__(self) -> None:
        if self.resolution < 2 or (self.faces is not None and self.faces < 4):
            raise ValueError(
                "a mesh needs a resolution of at least 2 and at least 4 faces, but "
                f"resolution {self.resolution} and faces {self.faces} were given."
            )
