"""How the latents of a cascade are sampled, and the options for it that all commands which sample have in common.

Nothing heavy is imported here: command lines are parsed by it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """How latents are sampled.

    Args:
        steps: Steps of Heun's method: one number for all levels, or one for each, fine to coarse.
        guidance: w of classifier-free guidance, one number or one for each level; 1 is none.
        churn: S_churn of EDM, how much noise is added before the steps; 0 makes sampling deterministic.
        coarser_sigma: Noise on the coarser latents, for stages that trained with conditioning augmentation.
        standardise: Standardise every sampled vector over its channels, as encoded ones are (Eq. 6).
    """

    steps: Sequence[int] = (18,)
    guidance: Sequence[float] = (1.0,)
    churn: float = 0.0
    coarser_sigma: float = 0.0
    standardise: bool = False

    def by_level(self, levels: int) -> list[tuple[int, float]]:
        """Steps and guidance of each level, fine to coarse; ValueError where they are of another number of levels."""
        both = []
        for name, given in (("steps", self.steps), ("guidance", self.guidance)):
            if len(given) not in (1, levels):
                raise ValueError(
                    f"{name} is one number, or one for each of levels 1 to {levels}, but {len(given)} were given."
                )
            both.append(list(given) * levels if len(given) == 1 else list(given))
        return list(zip(*both, strict=True))

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Add `--steps`, `--guidance`, `--churn`, `--coarser-sigma` and `--standardise`."""
        default, add = SamplerSettings(), parser.add_argument
        each = "one number, or one for each level, fine to coarse"
        add(
            "--steps",
            type=int,
            nargs="+",
            default=list(default.steps),
            metavar="N",
            help=f"sampling steps: {each} (default: {default.steps[0]})",
        )
        add(
            "--guidance",
            type=float,
            nargs="+",
            default=list(default.guidance),
            metavar="W",
            help=f"classifier-free guidance, 1 is none: {each} (default: 1)",
        )
        add("--churn", type=float, default=0.0, metavar="S", help="S_churn: noise added between steps (default: 0)")
        add(
            "--coarser-sigma",
            type=float,
            default=0.0,
            metavar="S",
            help="noise on coarser latents, for stages trained with conditioning augmentation (default: 0)",
        )
        add("--standardise", action="store_true", help="standardise sampled latents again, as encoded ones are")

    @classmethod
    def from_options(cls, args: argparse.Namespace) -> "SamplerSettings":
        """What these options say."""
        return cls(
            steps=args.steps,
            guidance=args.guidance,
            churn=args.churn,
            coarser_sigma=args.coarser_sigma,
            standardise=args.standardise,
        )


@dataclass(frozen=True, kw_only=True)
class SurfaceSettings:
    """How a field becomes a mesh.

    Args:
        resolution: Cells along a side of the grid.
        only_largest: Keep the largest connected part alone.
        faces: Most faces of a mesh; None for all.
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
