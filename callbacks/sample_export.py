"""Samples of a stage of the cascade as files: its latents and, with an autoencoder, meshes and a picture.

Letters: B shapes, M_i latents of the stage's level i with D_i channels.
"""

import json
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from lagem.callbacks.mesh_export import file_name
from lagem.callbacks.protocols import DecodedBatch, SamplesLevel
from lagem.callbacks.trackers import show_meshes, show_picture
from lagem.geometry.mesh import Mesh
from lagem.geometry.picture import contact_sheet, render_mesh, save_picture
from lagem.geometry.surface import surface_or_none
from lagem.samples import LatentBatch, OccupancyBatch
from lagem.storage.atomic import write_bytes
from lagem.storage.checked.checksums import with_checksums

FORMAT = "lagem-samples-1"

Pictures = list[NDArray[np.uint8] | None]


class ExportSamples(Callback):
    """Write samples of a stage, given the true latents of the coarser levels; also in `predict`.

    Latents go to `<run>/samples/step_<k>/latents_<rank>_<batch>.safetensors` (outside a fit, `validate` replaces
    `step_<k>`), those of `predict` go to `<run>/predictions/`. A stage with `model.init_args.autoencoder` also writes
    meshes in the source's coordinates, `<id>.<format>` next to the latents, and `<run>/samples/step_<k>.png`: each
    shape decoded from its true latents, and with the sampled latents of this level. The picture and the sampled meshes
    (in the unit sphere) also go to W&B. Sampling takes 35 evaluations of the network.

    Args:
        every: Number of validations from one export to the next.
        num_shapes: Number of validation shapes to sample.
        resolution: Cells along a side of the grid.
        format: File format of the meshes.
        up: The axis that points up in the shapes; pictures and glb files show it upright.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        num_shapes: int = 8,
        resolution: int = 64,
        format: Literal["ply", "glb"] = "ply",
        up: Literal["y", "z"] = "z",
    ) -> None:
        super().__init__()
        if every < 1 or num_shapes < 1:
            raise ValueError(f"every and num_shapes must be at least 1, but {every} and {num_shapes} were given.")
        self.every = every
        self.num_shapes = num_shapes
        self.resolution = resolution
        self.format = format
        self.up: Literal["y", "z"] = up
        self._validations = 0
        self._ids: list[str] = []
        self._rows: tuple[Pictures, Pictures] = ([], [])  # true latents, sampled ones
        self._sampled: dict[str, Mesh] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot sample."""
        if not hasattr(pl_module, "sample"):
            raise ValueError(
                "ExportSamples writes samples of a stage of the cascade, but the model is "
                f"{type(pl_module).__name__}. Remove it from trainer.callbacks."
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new picture."""
        self._validations += not trainer.sanity_checking
        self._ids, self._rows, self._sampled = [], ([], []), {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: LatentBatch | OccupancyBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Sample the first shapes, on rank zero."""
        due = trainer.state.fn != "fit" or self._validations % self.every == 0
        missing = self.num_shapes - len(self._ids)
        if trainer.sanity_checking or not trainer.is_global_zero or not due or missing <= 0:
            return  # no collective call below this line
        first, module = batch.first(missing), cast(SamplesLevel, pl_module)
        sampled = module.sample(first)
        meshes = self._write(_validation_folder(trainer), trainer, module, first, sampled, batch_idx)
        true = self._meshes(module.fields(first), len(first), sampled.device)
        self._ids += first.ids
        if meshes:
            self._sampled |= {name: mesh for name, mesh in zip(first.ids, meshes, strict=True) if mesh is not None}
        for row, own in zip(self._rows, (true, meshes), strict=True):
            row += [None if mesh is None else render_mesh(mesh, up=self.up) for mesh in own]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the picture, unless it is empty."""
        if not any(picture is not None for row in self._rows for picture in row):
            return
        titles = ["true latents", f"level {cast(SamplesLevel, pl_module).level} sampled"]
        sheet = contact_sheet(self._rows, column_titles=self._ids, row_titles=titles)
        save_picture(sheet, _validation_folder(trainer).with_suffix(".png"))
        show_picture(trainer, "val/samples", sheet)
        show_meshes(trainer, "val/sampled_meshes", self._sampled, up=self.up)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: LatentBatch | OccupancyBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write every sample of `predict`, on the rank that sampled it."""
        folder = Path(trainer.default_root_dir) / "predictions"
        self._write(folder, trainer, cast(SamplesLevel, pl_module), batch, cast(Tensor, outputs), batch_idx)

    def state_dict(self) -> dict[str, Any]:
        """The number of validations so far, so that a resumed run exports at the same validations."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self._validations = state_dict["validations"]

    def _write(
        self,
        folder: Path,
        trainer: Trainer,
        module: SamplesLevel,
        batch: LatentBatch | OccupancyBatch,
        sampled: Tensor,
        batch_idx: int,
    ) -> list[Mesh | None]:
        """Write latents and, with an autoencoder, meshes; return the meshes in the unit sphere."""
        folder.mkdir(parents=True, exist_ok=True)
        content = latents_file(module, batch, sampled)
        write_bytes(folder / f"latents_{trainer.global_rank}_{batch_idx}.safetensors", content)
        meshes = self._meshes(module.fields(batch, sampled), len(batch), sampled.device)
        for name, frame, mesh in zip(batch.ids, batch.frames, meshes, strict=False):
            if mesh is None:
                print(f"{name}: the sampled field has no inside, so there is no mesh of it.", flush=True)
            else:
                mesh.in_source(frame).save(folder / f"{file_name(name)}.{self.format}", up=self.up)
        return meshes

    def _meshes(self, fields: DecodedBatch | None, count: int, device: torch.device) -> list[Mesh | None]:
        """One mesh for each shape, None if it has no inside; empty without fields."""
        if fields is None:
            return []
        return [
            surface_or_none(fields.select(index), resolution=self.resolution, device=device) for index in range(count)
        ]


def latents_file(module: SamplesLevel, batch: LatentBatch | OccupancyBatch, sampled: Tensor) -> bytes:
    """(B, M_i, D_i) samples as a safetensors file, with the shapes they belong to; docs/latents-format.md."""
    arrays: dict[str, NDArray[Any]] = {
        f"level_{module.level}": sampled.cpu().float().numpy(),
        "center": np.array([frame.center for frame in batch.frames], dtype=np.float64),
        "scale": np.array([frame.scale for frame in batch.frames], dtype=np.float64),
    }
    about = {
        "format": FORMAT,
        "level": module.level,
        "fingerprint": module.fingerprint,
        "ids": batch.ids,
        "categories": batch.categories,
    }
    return save(arrays, metadata={"lagem": json.dumps(with_checksums(about, arrays))})


def _validation_folder(trainer: Trainer) -> Path:
    name = f"step_{trainer.global_step}" if trainer.state.fn == "fit" else "validate"
    return Path(trainer.default_root_dir) / "samples" / name
