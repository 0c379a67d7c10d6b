"""How the latents of a cascade are sampled, and how a field becomes a mesh.

Command lines take their defaults from here, so nothing heavy is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How latents are sampled.

    Args:
        steps: Steps of Heun's method: one number for all levels, or one for each, fine to coarse.
        guidance: w of classifier-free guidance: one number, or one for each level; 1 for none.
        churn: S_churn of EDM, the noise added between steps; 0 makes sampling deterministic.
        coarser_sigma: Noise on the coarser latents, for stages trained with conditioning augmentation.
        standardise: Standardise every sampled vector over its channels, as encoded ones are (Eq. 6).
    """

    steps: Sequence[int] = (18,)
    guidance: Sequence[float] = (1.0,)
    churn: float = 0.0
    coarser_sigma: float = 0.0
    standardise: bool = False

    def by_level(self, levels: int) -> list[tuple[int, float]]:
        """Steps and guidance of each level, fine to coarse; raises ValueError if their number is wrong."""
        both = []
        for name, given in (("steps", self.steps), ("guidance", self.guidance)):
            if len(given) not in (1, levels):
                raise ValueError(
                    f"{name} must be one number, or one for each of levels 1 to {levels}, but {len(given)} were given."
                )
            both.append(list(given) * levels if len(given) == 1 else list(given))
        return list(zip(*both, strict=True))


@dataclass(frozen=True, kw_only=True)
class SurfaceSettings:
    """How a field becomes a mesh.

    Args:
        resolution: Cells along a side of the grid.
        only_largest: Keep only the largest connected component.
        faces: Maximum number of faces of a mesh; None for all.
    """

    resolution: int = 128
    only_largest: bool = False
    faces: int | None = None

    def __post_init__(self) -> None:
        if self.resolution < 2 or (self.faces is not None and self.faces < 4):
            raise ValueError(
                "a surface needs a resolution of at least 2 and at least 4 faces, but "
                f"resolution {self.resolution} and faces {self.faces} were given."
            )
