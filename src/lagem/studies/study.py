"""What all studies of a cascade share: their starting shapes, the distances between surfaces, and their reports.

Letters: L levels, M_i latents of level i with D_i channels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lagem.evaluation.means import Mean, mean_of_defined
from lagem.evaluation.report import write_report
from lagem.evaluation.tables import Rows, formatted_mean, markdown_table
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import chamfer_distance
from lagem.geometry.picture import contact_sheet, render_mesh, save_picture
from lagem.geometry.sampling import sample_surface
from lagem.geometry.surface import surface_or_none
from lagem.randomness import sample_generator
from lagem.sources.reading import read_surface
from lagem.sources.unit_shape import shape_of

POINTS = 4_096  # points on each compared surface
DISTANCE = f"""\
Distances are Chamfer distances (not squared, both directions summed, {POINTS:,} points each, unit sphere) minus the
floor, the distance between two samplings of one surface."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Starting shapes and settings of a study.

    Args:
        output: Folder of the results.
        category: Category of all samples, if the cascade is conditional on a category.
        meshes: Files to encode and start from; if empty, the study starts from samples.
        groups: Number of samples to start from if no meshes are given.
        seed: Seed of all random draws.
        sampler: How latents are sampled.
        resolution: Number of cells along a side of the grid.
        up: The axis that points up in the pictures.
    """

    output: Path
    category: str | None = None
    meshes: Sequence[Path] = ()
    groups: int = 8
    seed: int = 0
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    resolution: int = 64
    up: Literal["y", "z"] = "z"

    def __post_init__(self) -> None:
        if self.groups < 1 or self.seed < 0:
            raise ValueError(
                "a study needs at least 1 group and a seed of at least 0, but "
                f"{self.groups} groups and seed {self.seed} were given."
            )

    def start(self, name: str) -> None:
        """Create the output folder; raises ValueError if it already holds results of the study with that name."""
        if (self.output / f"{name}.json").exists():
            raise ValueError(f"{self.output} already holds {name}.json. Remove it, or name another --output.")
        self.output.mkdir(parents=True, exist_ok=True)

    @property
    def surface(self) -> SurfaceSettings:
        """Settings for the extraction of meshes from decoded fields."""
        return SurfaceSettings(resolution=self.resolution)

    def starting_shapes(self, generator: CascadedGenerator) -> list["StartingShape"]:
        """Return the shapes that the study starts from: the encoded meshes, or new samples."""
        if self.meshes:
            return [_encoded(generator, path, self) for path in self.meshes]
        samples = generator.generate(
            count=self.groups, category=self.category, seed=self.seed, sampler=self.sampler, surface=self.surface
        )
        return [StartingShape(f"sample {shape.index}", shape.latents, shape.mesh, shape.mesh) for shape in samples]

    def decode(self, generator: CascadedGenerator, latents: Sequence[Tensor]) -> Mesh | None:
        """Return the mesh of latents (M_i, D_i), fine to coarse; None if their field has no inside."""
        field, device = generator.codec.field_of(latents), generator.device
        return surface_or_none(field, resolution=self.resolution, device=device)

    def draw_meshes(
        self,
        name: str,
        rows: Sequence[Sequence[Mesh | None]],
        *,
        column_titles: Sequence[str],
        row_titles: Sequence[str],
    ) -> None:
        """Write the pictures of rows of meshes as `<name>.png`; write nothing if all meshes are None."""
        if any(mesh is not None for mesh in chain(*rows)):
            render = partial(render_mesh, size=160, up=self.up)
            pictures = [[None if mesh is None else render(mesh) for mesh in row] for row in rows]
            sheet = contact_sheet(pictures, column_titles=column_titles, row_titles=row_titles)
            save_picture(sheet, self.output / f"{name}.png")

    def write_results(self, name: str, rows: Rows, definition: str, results: Sequence[Any], **about: Any) -> None:
        """Write the results of a study as `<name>.md` and `<name>.json`.

        Args:
            name: Name of the study.
            rows: Table of the results, the header first.
            definition: What the columns of the table mean.
            results: Dataclasses, in the order of the rows.
            about: Further settings to record in the JSON file.
        """
        lines = [f"# {name.capitalize()}", "", *markdown_table(rows), "", f"{definition} {DISTANCE}"]
        settings = {key: value for key, value in asdict(self).items() if key not in ("output", "up")}
        settings["meshes"] = [str(path) for path in self.meshes]
        content = {"about": settings | about, "results": [asdict(result) for result in results]}
        write_report(self.output, name, lines, content, ensure_ascii=True)


@dataclass(frozen=True)
class StartingShape:
    """A shape that a study starts from.

    latents: (M_i, D_i), fine to coarse, on the CPU.
    decoded: mesh decoded from the latents, in the unit sphere; None if their field has no inside.
    pictured: if the shape comes from a file that holds a mesh, this mesh; else `decoded`.
    """

    name: str
    latents: list[Tensor]
    decoded: Mesh | None
    pictured: Mesh | None


@dataclass(frozen=True)
class SampledSurface:
    """Two samplings of one surface, and the distance between them.

    first, second: (POINTS, 3) points of the surface.
    floor: distance between the two samplings. It is not 0, because their points differ, although the surface is the
        same.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    floor: float

    @classmethod
    def of(cls, mesh: Mesh, key: str, seed: int) -> "SampledSurface":
        """Draw both samplings on a mesh; the draws depend on the seed and on `key`."""
        rngs = (sample_generator(seed, 0, f"{key}, draw {draw}") for draw in (0, 1))
        first, second = (sample_surface(mesh, POINTS, rng)[0] for rng in rngs)
        return cls(first, second, float(chamfer_distance(first, second)))

    def distance_to(self, other: "SampledSurface") -> float:
        """Return the Chamfer distance to another surface, minus the mean of the two `floor` values."""
        return float(chamfer_distance(self.first, other.second)) - (self.floor + other.floor) / 2


def sampled_surface(mesh: Mesh | None, key: str, seed: int) -> SampledSurface | None:
    """Return two samplings of a mesh (`SampledSurface.of`); None if there is no mesh."""
    return None if mesh is None else SampledSurface.of(mesh, key, seed)


def distance_between(one: SampledSurface | None, other: SampledSurface | None) -> float | None:
    """Return the distance between two surfaces (`SampledSurface.distance_to`); None if either surface is None."""
    return None if one is None or other is None else one.distance_to(other)


def paired_difference(first: Sequence[float | None], second: Sequence[float | None], seed: int) -> Mean | None:
    """Return the mean of first minus second, over the pairs in which neither is None; None if there is no such pair."""
    pairs = zip(first, second, strict=True)
    return mean_of_defined([None if a is None or b is None else a - b for a, b in pairs], seed)


def formatted_distance(mean: Mean | None, *, sign: bool = False) -> str:
    """Return a mean Chamfer distance as tables show it, with its interval."""
    return formatted_mean("chamfer", mean, interval=True, sign=sign)


def level_names(levels: Sequence[int]) -> str:
    """Return levels as tables name them, such as "Z3, Z2"; "nothing" for no level."""
    return ", ".join(f"Z{level}" for level in levels) or "nothing"


def _encoded(generator: CascadedGenerator, path: Path, study: Study) -> StartingShape:
    shape = shape_of(path, read_surface(path))
    latents = generator.codec.encode(shape, seed=study.seed).levels
    decoded = study.decode(generator, latents)
    return StartingShape(shape.name, latents, decoded, decoded if shape.surface is None else shape.surface)
