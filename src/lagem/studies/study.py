"""What the studies have in common: the shapes they start from, how distances are taken, what is written.

Letters: L levels, M_i latents of level i with D_i channels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.evaluation.means import Mean, mean_of
from lagem.evaluation.tables import Rows, markdown_table
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import chamfer_distance
from lagem.geometry.picture import contact_sheet, render_mesh, save_picture
from lagem.geometry.sampling import sample_surface
from lagem.geometry.surface import EmptySurfaceError
from lagem.randomness import sample_generator
from lagem.sources.unit_shape import load_shape
from lagem.storage.atomic import write_json, write_text

POINTS = 4_096  # of each surface that is compared
DISTANCE = f"""\
Distances are Chamfer distances (not squared, both directions summed, {POINTS:,} points each, unit sphere), less the
floor, which is the distance of two samplings of one surface."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study starts from and how it samples.

    Args:
        output: Folder of the results.
        category: Of all samples, where the cascade is conditional on a category.
        meshes: Files whose own latents are used; without any, those of samples.
        groups: Shapes to start from, where they are samples.
        seed: Of everything.
        sampler: How latents are sampled.
        resolution: Cells along a side of the grid.
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
                f"{self.groups} and {self.seed} were given."
            )

    def start(self, name: str) -> None:
        """Make the folder; ValueError where it already holds a study of that name."""
        if (self.output / f"{name}.json").exists():
            raise ValueError(f"{self.output} already holds {name}.json. Remove it, or name another --output.")
        self.output.mkdir(parents=True, exist_ok=True)

    @property
    def surface(self) -> SurfaceSettings:
        """How fields become meshes."""
        return SurfaceSettings(resolution=self.resolution)

    def sources(self, generator: CascadedGenerator) -> list["Source"]:
        """The shapes to start from."""
        if self.meshes:
            return [_encoded(generator, path, self) for path in self.meshes]
        samples = generator.generate(
            count=self.groups, category=self.category, seed=self.seed, sampler=self.sampler, surface=self.surface
        )
        return [Source(f"sample {shape.index}", shape.latents, shape.mesh, shape.mesh) for shape in samples]

    def decoded(self, generator: CascadedGenerator, latents: Sequence[Tensor]) -> Mesh | None:
        """Mesh of latents (M_i, D_i), fine to coarse; None where their field has no inside."""
        try:
            return generator.decode(latents, self.surface)
        except EmptySurfaceError:
            return None

    def draw(self, name: str, rows: Sequence[Sequence[Mesh | None]], titles: Sequence[str], *, left: list[str]) -> None:
        """Write `<name>.png`, a row for each shape, unless there is nothing to see."""
        if any(mesh is not None for mesh in chain(*rows)):
            picture = partial(render_mesh, size=160, up=self.up)
            pictures = [[None if mesh is None else picture(mesh) for mesh in row] for row in rows]
            save_picture(contact_sheet(pictures, column_titles=titles, row_titles=left), self.output / f"{name}.png")

    def write(self, name: str, rows: Rows, definition: str, results: Sequence[Any], **about: Any) -> None:
        """Write `<name>.md` and `<name>.json`."""
        lines = [f"# {name.capitalize()}", "", *markdown_table(rows), "", f"{definition} {DISTANCE}"]
        write_text(self.output / f"{name}.md", "\n".join(lines) + "\n")
        settings = {key: value for key, value in asdict(self).items() if key not in ("output", "up")}
        settings["meshes"] = [str(path) for path in self.meshes]
        content = {"about": settings | about, "results": [asdict(result) for result in results]}
        write_json(self.output / f"{name}.json", content, indent=1, ensure_ascii=True)


@dataclass(frozen=True)
class Source:
    """A shape to start from.

    latents: (M_i, D_i), fine to coarse, on the CPU.
    decoded: surface of the latents in the unit sphere; None where there is none.
    shown: the file's own surface where it is a mesh, else `decoded`.
    """

    name: str
    latents: list[Tensor]
    decoded: Mesh | None
    shown: Mesh | None


@dataclass(frozen=True)
class SampledSurface:
    """Two samplings of one surface, and their distance: the floor of every distance to it."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    floor: float

    @classmethod
    def of(cls, mesh: Mesh, key: str, seed: int) -> "SampledSurface":
        """Samplings keyed by the seed and a name."""
        rngs = (sample_generator(seed, 0, f"{key}, draw {draw}") for draw in (0, 1))
        first, second = (sample_surface(mesh, POINTS, rng)[0] for rng in rngs)
        return cls(first, second, float(chamfer_distance(first, second)))

    def apart(self, other: "SampledSurface") -> float:
        """Distance to another surface, less the floor of both."""
        return float(chamfer_distance(self.first, other.second)) - (self.floor + other.floor) / 2


def sampled(mesh: Mesh | None, key: str, seed: int) -> SampledSurface | None:
    """Samplings of a mesh, where there is one."""
    return None if mesh is None else SampledSurface.of(mesh, key, seed)


def distance_between(one: SampledSurface | None, other: SampledSurface | None) -> float | None:
    """Their distance less the floor, where both are there."""
    return None if one is None or other is None else one.apart(other)


def mean_distance(values: Sequence[float | None], seed: int) -> Mean | None:
    """Mean of the values that are known, with its bootstrap interval; None where there is none."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    return mean_of(known, seed) if len(known) else None


def paired_difference(first: Sequence[float | None], second: Sequence[float | None], seed: int) -> Mean | None:
    """Mean of first - second over the pairs of which both are known."""
    pairs = zip(first, second, strict=True)
    return mean_distance([None if a is None or b is None else a - b for a, b in pairs], seed)


def figure(mean: Mean | None, *, sign: bool = False) -> str:
    """A distance, times 100, with its interval where there is more than one value behind it."""
    if mean is None:
        return "–"
    value, low, high = (f"{100 * number:{'+' if sign else ''}.2f}" for number in (mean.value, mean.low, mean.high))
    return f"{value} [{low}, {high}]" if mean.count > 1 else value


def names_of(levels: Sequence[int]) -> str:
    """Levels as the tables have them: Z3, Z2."""
    return ", ".join(f"Z{level}" for level in levels) or "nothing"


def _encoded(generator: CascadedGenerator, path: Path, study: Study) -> Source:
    shape = load_shape(path)
    points = shape.draw(generator.num_surface_points, sample_generator(study.seed, 0, shape.name))
    latents = generator.encode(torch.from_numpy(points))
    decoded = study.decoded(generator, latents)
    return Source(shape.name, latents, decoded, decoded if shape.surface is None else shape.surface)
