"""Retrieval, with which `benchmarks/completion.py` compares completions: the training shapes that fit a cloud best."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from lagem.completion.alignment import WholeSurface
from lagem.completion.completer import COARSE_POINTS, FINALISTS, FITTED_POINTS
from lagem.completion.mean import mean_surface
from lagem.embeddings.partial import SHARE
from lagem.geometry.frame import Frame
from lagem.geometry.sampling import sample_surface
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.randomness import sample_generator

Points = NDArray[np.floating]

MEASURED_POINTS = 12_288  # number of points on a whole surface
FINE = 192  # cells along a side of the grid on which exact occupancies are averaged


class Retrieval:
    """Returns the training shape that fits a partial cloud best, or the mean of several.

    Args:
        surfaces: Procedural shapes; those of the split train are candidates.
        candidates: Number of training shapes that are fitted, after a rough comparison with all.
        seed: Seed of all draws.
    """

    def __init__(self, surfaces: ProceduralSurfaces, *, candidates: int, seed: int) -> None:
        self.surfaces, self._candidates, self._seed = surfaces, candidates, seed
        self._members = [index for index, split in enumerate(surfaces.splits) if split == "train"]
        self._whole = [
            WholeSurface(self._draw(index, COARSE_POINTS), share=SHARE)
            for index in track(self._members, "reading training shapes")
        ]

    def nearest(self, part: Points) -> dict[int, Frame]:
        """Return the indices of the training shapes that fit best, the best first, and where each lies.

        The frames map the unit sphere of the part to that of the shape.
        """
        rough = np.array([whole.rough_distance(part) for whole in self._whole])
        candidates = np.argsort(rough)[: self._candidates]
        candidates = sorted(candidates, key=lambda number: self._whole[number].fit(part).distance)
        finalists = [self._members[number] for number in candidates[:FINALISTS]]
        fits = {index: WholeSurface(self._draw(index, FITTED_POINTS), share=SHARE).fit(part) for index in finalists}
        return {index: fits[index].frame for index in sorted(fits, key=lambda index: fits[index].distance)}

    def points_of(self, index: int, frame: Frame) -> Points:
        """Return points on the surface of a training shape, in the unit sphere of the part."""
        return frame.to_source(self._draw(index, MEASURED_POINTS))

    def mean_of(self, found: dict[int, Frame]) -> Points:
        """Return points on the surface of the mean of training shapes, in the unit sphere of the part.

        If the mean has no surface, return those of the first shape.
        """
        shapes = [(partial(self._logits, index), frame) for index, frame in found.items()]
        mesh, frame = mean_surface(shapes, resolution=FINE)
        first = next(iter(found))
        if mesh is None:
            return self.points_of(first, found[first])
        rng = sample_generator(self._seed, 0, f"{self.surfaces.ids[first]}/mean")
        return sample_surface(mesh.in_source(frame), MEASURED_POINTS, rng)[0]

    def _logits(self, index: int, points: torch.Tensor) -> torch.Tensor:
        return 40 * torch.from_numpy(self.surfaces.occupancy(index, points.numpy().astype(np.float64))).float() - 20

    def _draw(self, index: int, count: int) -> Points:
        return self.surfaces.draw(index, count, sample_generator(self._seed, count, f"{self.surfaces.ids[index]}/r"))
