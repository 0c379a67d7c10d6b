"""A callback that logs Chamfer distance, F-score and IoU (as 3DShape2VecSet defines them) in validation and test."""

from typing import cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lagem.callbacks.protocols import HasReferences, Reconstructs, counted
from lagem.configuration.bounds import MOST_RESOLUTION, check_bounds
from lagem.geometry.metrics import iou, score_surface
from lagem.geometry.surface import surface_or_none
from lagem.randomness import sample_generator
from lagem.samples import ReferenceShape

METRICS = ("iou", "chamfer", "fscore", "empty")


class LogGeometryMetrics(Callback):
    """Log `iou`, `chamfer` and `fscore` after each validation or test, as means over shapes.

    The metrics are defined as in 3DShape2VecSet's evaluation script. Marching cubes on a grid over [-1, 1]^3 extracts
    the reconstructed mesh. Points sampled on this mesh are compared with the stored surface points: the Chamfer
    distance is the sum of the mean Euclidean distances in both directions, and the F-score is the harmonic mean of
    precision and recall at a distance threshold. The IoU is computed on the stored volume points, weighted as if they
    were drawn uniformly. If the field of a shape has no inside, its F-score is 0, and it is left out of the mean
    Chamfer distance; the number of such shapes is logged as `empty`. The shapes are distributed over the ranks.

    Args:
        num_shapes: Number of shapes to score.
        resolution: Number of cells along a side of the grid (published: 128, so 129 nodes).
        points: Number of points sampled on each reconstruction.
        volume_points: Number of a shape's volume points from which the IoU is computed: about this many evenly spaced
            ones, or all if there are fewer.
        threshold: Distance threshold of the F-score, for shapes in the unit sphere (radius 1).
    """

    def __init__(
        self,
        *,
        num_shapes: int = 16,
        resolution: int = 128,
        points: int = 100_000,
        volume_points: int = 100_000,
        threshold: float = 0.02,
    ) -> None:
        super().__init__()
        self.num_shapes = num_shapes
        check_bounds("resolution", resolution, least=2, most=MOST_RESOLUTION)
        self.resolution = resolution
        self.points = points
        if volume_points < 1:
            raise ValueError(f"volume_points must be at least 1, but {volume_points} was given.")
        self.volume_points = volume_points
        self.threshold = threshold

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the shapes of this rank, and log the means over the shapes of all ranks under `val/`."""
        if not trainer.sanity_checking:
            self._log_scores(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the shapes of this rank, and log the means over the shapes of all ranks under `test/`."""
        self._log_scores(trainer, pl_module, "test")

    def _log_scores(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        data = cast(HasReferences, trainer.datamodule)  # type: ignore[attr-defined]
        shapes = data.reference_shapes(self.num_shapes, rank=trainer.global_rank, world_size=trainer.world_size)
        scores = [
            self._score(shape, cast(Reconstructs, module), module.device)
            for shape in counted(trainer, shapes, "scoring shapes")
        ]
        total = torch.tensor(scores, dtype=torch.float64).reshape(-1, len(METRICS)).sum(dim=0)
        sums = torch.cat([total, torch.tensor([float(len(scores))], dtype=torch.float64)])
        reduced = cast(Tensor, trainer.strategy.reduce(sums.to(module.device, torch.float32), reduce_op="sum"))
        *values, count = reduced.tolist()
        means = dict(zip(METRICS, values, strict=True))
        solid = count - means["empty"]
        module.log_dict(
            {
                f"{stage}/iou": means["iou"] / count,
                f"{stage}/chamfer": means["chamfer"] / solid if solid else float("nan"),
                f"{stage}/fscore": means["fscore"] / count,
                f"{stage}/empty": means["empty"],
            },
            prog_bar=True,
        )

    def _score(self, shape: ReferenceShape, module: Reconstructs, device: torch.device) -> tuple[float, ...]:
        """Return the IoU, Chamfer distance and F-score of one shape, and 1 if its field has no inside, else 0."""
        with torch.no_grad():
            field = module.reconstruct(shape.surface_points.unsqueeze(0).to(device)).select(0)
            used = slice(None, None, max(len(shape.volume_points) // self.volume_points, 1))
            inside = field(shape.volume_points[used].to(device)).cpu() > 0
            labels, weight = shape.volume_occupancy[used].numpy(), shape.volume_weight[used].numpy()
            overlap = iou(inside.numpy(), labels, weight=weight)
            mesh = surface_or_none(field, resolution=self.resolution, seeds=shape.surface_points, device=device)
        if mesh is None:
            return overlap, 0.0, 0.0, 1.0
        score = score_surface(
            mesh,
            shape.reference_points.numpy(),
            rng=sample_generator(0, 0, shape.id),
            count=self.points,
            threshold=self.threshold,
        )
        return overlap, score.chamfer, score.fscore, 0.0
