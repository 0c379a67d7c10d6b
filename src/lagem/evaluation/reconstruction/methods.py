"""The methods that can be evaluated: an autoencoder, or the baseline that retrieves the nearest training shape."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

import torch
from torch import Tensor

from lagem.device import named_device
from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.neighbours import Neighbours
from lagem.evaluation.reconstruction import vecset
from lagem.evaluation.reconstruction.score import ShapeScore, score_points, score_shape
from lagem.evaluation.reconstruction.truth import Truth
from lagem.geometry.metrics import sampling_floor
from lagem.geometry.picture import Picture, render_mesh, render_points
from lagem.geometry.surface import QueryLogits, surface_or_none
from lagem.levels import Posterior
from lagem.prepared.records import read_records
from lagem.prepared.shards import Shards
from lagem.randomness import sample_seed
from lagem.reconstruction.codec import ShapeCodec
from lagem.storage.checked.digest import sha256_of
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.named import autoencoder_file

# Takes the latents of all levels of a shape, fine to coarse, and the shape's id; returns latents to decode instead.
ChangeLatents = Callable[[Sequence[Tensor], str], Sequence[Tensor]]
KL_LEVELS: dict[Posterior, str] = {
    "mean": "mean of the posterior",
    "sample": "a sample of the posterior, as the authors of VecSet evaluate",
}
NO_WEIGHTS = "none: the result is the nearest training shape, by its stored surface points"


class Method(Protocol):
    """A method to evaluate, which computes a result for every shape.

    head: head of the card with the fields that describe the method.
    num_surface_points: N, the number of input points that the method reads.
    """

    head: ReconstructionHead
    num_surface_points: int

    def score(self, truth: Truth) -> ShapeScore:
        """Compute the result for a shape, and score it against the truth."""

    def draw(self, truth: Truth, *, size: int, up: Literal["y", "z"]) -> Picture | None:
        """Return a (size, size, 3) uint8 picture of the result for a shape; None if the result has no surface."""


class AutoencoderMethod:
    """An autoencoder that encodes and decodes the surface points of a shape.

    Args:
        weights: Name or path of the weights, as `load_codec` takes it.
        num_surface_points: N, the number of input points; None takes the number used in training, or 2,048 if `preset`
            is "vecset".
        points: Number of points drawn on the result's surface.
        resolution: Number of cells along a side of the grid.
        device: Device of the network.
        seed: Seed of the draws of points on the result's surface, and of samples of the posterior.
        posterior: Whether the mean of a level's KL posterior is decoded, or a sample of it.
        preset: Score as the script of 3DShape2VecSet does, with its numbers of points and its resolution. A sample of a
            KL posterior is then always decoded.

    Raises:
        ValueError: If `posterior` is "sample" but the network has no level with a KL posterior.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        num_surface_points: int | None,
        points: int,
        resolution: int,
        device: str,
        seed: int,
        posterior: Posterior = "mean",
        preset: Literal["vecset"] | None = None,
    ) -> None:
        file = autoencoder_file(weights)
        if preset is not None:
            vecset.check_settings(points, resolution)
            num_surface_points = num_surface_points or vecset.INPUT_POINTS
        self._codec = ShapeCodec(*load_autoencoder(weights)).to(named_device(device))
        self._preset = preset
        self._points, self._resolution, self._seed, self._posterior = points, resolution, seed, posterior
        self._change: ChangeLatents | None = None
        has_kl = self._codec.spec.has_kl_levels
        if posterior == "sample" and not has_kl:
            raise ValueError(
                f"--posterior sample: {weights} has no level with a KL posterior, so there is nothing to sample; leave "
                "the option out."
            )
        if preset is not None and has_kl:
            self._posterior = posterior = "sample"
        self.num_surface_points = num_surface_points or self._codec.spec.num_surface_points
        self.head = ReconstructionHead(
            weights=str(file),
            weights_sha256=sha256_of(file),
            surface_points_given=self.num_surface_points,
            kl_levels=KL_LEVELS[posterior] if has_kl else None,
            resolution=resolution,
            preset=preset,
        )

    @property
    def num_levels(self) -> int:
        """L, the number of levels."""
        return len(self._codec.spec.levels)

    def with_latents(self, change: ChangeLatents) -> Self:
        """Return a method that uses the same network, but applies `change` to the latents before it decodes them."""
        changed = copy.copy(self)
        changed._change = change
        return changed

    @torch.no_grad()
    def score(self, truth: Truth) -> ShapeScore:
        """Score the field that the network decodes from a shape, in the preset's way or by `score_shape`."""
        if self._preset is not None:
            truth = vecset.with_drawn_input(truth, self.num_surface_points, self._seed)
            return vecset.score_as_vecset(truth, self._field(truth), seed=self._seed, device=self._codec.device)
        return score_shape(
            truth,
            self._field(truth),
            resolution=self._resolution,
            points=self._points,
            seed=self._seed,
            device=self._codec.device,
        )

    @torch.no_grad()
    def draw(self, truth: Truth, *, size: int, up: Literal["y", "z"]) -> Picture | None:
        """Return a picture of the decoded mesh in the unit-sphere frame; None if the field has no surface."""
        if self._preset is not None:
            truth = vecset.with_drawn_input(truth, self.num_surface_points, self._seed)
        mesh = surface_or_none(
            self._field(truth), resolution=self._resolution, seeds=truth.surface_points, device=self._codec.device
        )
        return None if mesh is None else render_mesh(mesh, size=size, up=up)

    def _field(self, truth: Truth) -> QueryLogits:
        generator = None
        if self._posterior == "sample":
            generator = torch.Generator().manual_seed(sample_seed(self._seed, 0, f"posterior:{truth.id}"))
        points = torch.from_numpy(truth.surface_points)
        latents: Sequence[Tensor] = self._codec.latents_of(points, generator=generator)
        if self._change is not None:
            latents = self._change(latents, truth.id)
        return self._codec.field_of(latents)


class RetrievalMethod:
    """The retrieval baseline: its result for a shape is the nearest training shape, as stored points and normals.

    A network that scores lower does worse than a lookup in its training set. The scores have no IoU, because the
    training shape has no labels at the queries of the evaluated shape.

    Args:
        shards: Reader of a prepared folder.
        neighbours: Nearest training shapes of the evaluated shapes.
        points: Maximum number of the training shape's points to return.

    Raises:
        ValueError: If the nearest training shapes are unknown.
    """

    def __init__(self, shards: Shards | None, neighbours: Neighbours, *, points: int) -> None:
        if shards is None or neighbours.unknown:
            raise ValueError(
                "retrieval returns the nearest training shape of each evaluated shape, but the nearest training shapes "
                f"are {neighbours.unknown}. Give a prepared folder with a readable training set, and evaluate a split "
                "other than train."
            )
        self._shards, self._nearest, self._points = shards, neighbours.by_id, points
        self._indices = {id: index for index, id in enumerate(shards.ids)}
        self._records = read_records(Path(shards.root))
        self.num_surface_points = 1  # unused
        self.head = ReconstructionHead(weights=NO_WEIGHTS)

    def score(self, truth: Truth) -> ShapeScore:
        """Score the points of the nearest training shape by `score_points`.

        The floor of the Chamfer distance (what two samplings of one surface differ by) is computed from the surface
        area of the training shape, which `lagem prepare` records. It is None if there is no record.
        """
        index = self._index(truth)
        count = min(self._points, self._shards.count(index, "surface_points"))
        points, normals = (self._shards.read(index, f"surface_{name}", 0, count) for name in ("points", "normals"))
        record = self._records.get(self._shards.ids[index])
        area = record.measures.area if record and record.measures else None
        floor = None if area is None else sampling_floor(area, len(truth.reference_points), count)
        return score_points(truth, points, normals, floor=floor)

    def draw(self, truth: Truth, *, size: int, up: Literal["y", "z"]) -> Picture | None:
        """Return a picture of the nearest training shape's points."""
        return render_points(self._shards.read(self._index(truth), "surface_points"), size=size, up=up)

    def _index(self, truth: Truth) -> int:
        return self._indices[self._nearest[truth.id].id]
