"""The settings of an import, which decide the content of the prepared folder."""

from dataclasses import dataclass
from typing import Any

from lagem.configuration.bounds import MOST_INTEGER, check_bounds
from lagem.importing.layout import Layout


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """The settings of an import. The counts are upper limits: if a shape has fewer points, all of them are imported.

    Args:
        surface: Number of surface points per shape.
        volume: Number of volume queries per shape, uniform in the ball of radius sqrt(3).
        near: Number of near queries per shape.
        inside: Wanted number of volume queries inside the shape. The import first takes `volume` queries. If too few
            of them are inside, it takes this number of inside queries from the source, or all if the source has fewer.
        seed: Seed of all random choices.
        val_share: Of the shapes without a given split, the fraction that is used for validation.
        shapes_per_shard: Number of shapes in one shard file.
    """

    surface: int = 125_000
    volume: int = 250_000
    near: int = 250_000
    inside: int = 10_000
    seed: int = 0
    val_share: float = 0.05
    shapes_per_shard: int = 64

    def __post_init__(self) -> None:
        for name in ("surface", "volume", "near", "shapes_per_shard", "inside", "seed"):
            least = 0 if name in ("inside", "seed") else 1
            check_bounds(f"--{name.replace('_', '-')}", getattr(self, name), least=least, most=MOST_INTEGER)
        if not 0 <= self.val_share <= 1:
            raise ValueError(f"--val-share is {self.val_share}, but must lie between 0 and 1.")

    def stored(self, name: str, layout: Layout) -> dict[str, Any]:
        """Return the settings for format.json: these fields, the up axis, and the layout with its `name`."""
        counts = {name: getattr(self, name) for name in ("surface", "volume", "near", "inside", "seed", "val_share")}
        about = {"name": name, **layout.description()}
        return {**counts, "shapes_per_shard": self.shapes_per_shard, "up": layout.up, "layout": about}
