"""The settings of a preparation, which decide the content of the prepared folder."""

from dataclasses import dataclass

from lagem.geometry.frame import Up
from lagem.preparation.solid import CONVERSIONS, Conversion
from lagem.prepared.quantisation import SURFACE_LIMIT

RESOLUTIONS = (64, 512)  # a coarser grid has too little margin around the sphere; a finer one takes gigabytes
THICKNESSES = (0.001, 0.1)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a preparation; by default, `surface`, `volume` and `near` are those of the paper.

    Args:
        surface: Number of surface points per shape.
        volume: Number of volume queries per shape, inside and outside together.
        near: Number of near queries per shape and sigma, inside and outside together.
        inside: Minimum number of volume queries inside a shape; if fewer of the `volume` queries are inside, more are
            drawn inside.
        near_sigmas: Standard deviations of the jitter of near queries, in unit-sphere units.
        watertight: How a mesh that encloses no solid is closed: flood, manifold, or none to refuse the mesh.
        resolution: Number of cells along a side of the grid that `flood` uses.
        thickness: Minimum thickness that `flood` gives to open sheets, in unit-sphere units.
        seed: Seed of all random choices.
        val_share: Of the shapes without a given split, the fraction that is used for validation. A hash of the id
            decides which shapes these are.
        shapes_per_shard: Number of shapes in one shard file.
        up: The axis that points up in files that do not say which one does. glTF files, which are y-up, are turned to
            this axis. None to turn no file.
    """

    surface: int = 125_000
    volume: int = 250_000
    near: int = 125_000
    inside: int = 10_000
    near_sigmas: tuple[float, ...] = (0.005, 0.05)
    watertight: Conversion = "flood"
    resolution: int = 256
    thickness: float = 0.01
    seed: int = 0
    val_share: float = 0.05
    shapes_per_shard: int = 64
    up: Up | None = None

    def __post_init__(self) -> None:
        for name in ("surface", "volume", "near", "shapes_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, but must be at least 1.")
        for name in ("inside", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} is {getattr(self, name)}, but must not be negative.")
        if not 0 <= self.val_share <= 1:
            raise ValueError(f"--val-share is {self.val_share}, but must lie between 0 and 1.")
        if not self.near_sigmas or not all(0 < sigma <= SURFACE_LIMIT / 5 for sigma in self.near_sigmas):
            raise ValueError(
                f"near_sigmas is {self.near_sigmas}, but needs at least one value, and all values must lie in "
                f"(0, {SURFACE_LIMIT / 5}]."
            )
        if self.watertight not in CONVERSIONS:
            raise ValueError(f"--watertight is {self.watertight!r}, but must be one of {', '.join(CONVERSIONS)}.")
        if self.up not in (None, "y", "z"):
            raise ValueError(f"--up is {self.up!r}, but must be y or z.")
        if not RESOLUTIONS[0] <= self.resolution <= RESOLUTIONS[1]:
            raise ValueError(f"--resolution is {self.resolution}, but must lie in {list(RESOLUTIONS)}.")
        if not THICKNESSES[0] <= self.thickness <= THICKNESSES[1]:
            raise ValueError(f"--thickness is {self.thickness}, but must lie in {list(THICKNESSES)}.")
