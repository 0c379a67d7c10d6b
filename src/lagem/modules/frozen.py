"""The frozen autoencoder behind a stage of the cascade."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lagem.levels import LevelSpec
from lagem.models.queries.field import Field
from lagem.samples import LatentBatch, OccupancyBatch
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.fingerprint import fingerprint_of


class FrozenAutoencoder:
    """An autoencoder that encodes and decodes for a stage.

    It is not an nn.Module, so it is not trained, averaged or saved with the stage. It computes in float32 even under
    autocast, as `lagem encode` does. It has the same attributes as a data module of cached latents, so that the stage
    can check that the latents fit.

    Args:
        name: Name or path of the weights, as `load_codec` takes it.
    """

    def __init__(self, name: str | Path) -> None:
        self._autoencoder, spec = load_autoencoder(name)
        self.levels: Sequence[LevelSpec] = spec.levels
        self.fingerprint = fingerprint_of(self._autoencoder)
        self.category_names: Sequence[str] = ()
        self.num_categories: int | None = None
        self.condition_dim: int | None = None
        self.encoder = ""
        self.up: Literal["y", "z"] | None = None

    def take_facts_from(self, datamodule: Any) -> None:
        """Take from a data module the axis that points up in its shapes, and their categories.

        The categories are those of the training and validation shapes. `encode` then returns, as the condition of a
        shape, the index of its category in the sorted list of these categories.
        """
        self.up = getattr(datamodule, "up", None)
        sets = (datamodule.train_shapes, datamodule.val_shapes)
        self.category_names = sorted({shapes.category(index) for shapes in sets for index in range(len(shapes))})
        self.num_categories = len(self.category_names)

    @torch.no_grad()
    def encode(self, batch: OccupancyBatch) -> LatentBatch:
        """Return the latents of a batch of shapes, with the categories of the shapes as the condition."""
        device = batch.surface_points.device
        with torch.autocast(device.type, enabled=False):
            latents = self._autoencoder.to(device).encode(batch.surface_points)
        numbers = [self.category_names.index(name) for name in batch.categories]
        return LatentBatch(
            ids=batch.ids,
            categories=batch.categories,
            condition=torch.tensor(numbers, device=device),
            latents=latents,
            frames=batch.frames,
        )

    @torch.no_grad()
    def decode(self, latents: Sequence[Tensor]) -> Field:
        """Decode the latents of all levels, (B, M_i, D_i) each, fine to coarse, to the fields of B shapes."""
        device = latents[0].device
        with torch.autocast(device.type, enabled=False):
            return self._autoencoder.to(device).decode([z.float() for z in latents])
