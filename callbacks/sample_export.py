"""A callback that writes samples of a stage of the cascade: latents, and also meshes if the stage has an autoencoder.

Letters: B shapes; M_i latents with D_i channels on level i, the level of the stage.
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

from lagem.callbacks.mesh_export import file_name, up_axis
from lagem.callbacks.protocols import DecodedBatch, SamplesLevel, counted
from lagem.callbacks.trackers import show_meshes, show_picture
from lagem.configuration.bounds import MOST_RESOLUTION, check_bounds
from lagem.geometry.frame import Up
from lagem.geometry.mesh import Mesh
from lagem.geometry.picture import contact_sheet, render_mesh, save_picture
from lagem.geometry.surface import surface_or_none
from lagem.samples import LatentBatch, OccupancyBatch
from lagem.storage.atomic import write_bytes
from lagem.storage.checked.checksums import with_checksums

FORMAT = "lagem-samples-1"

Pictures = list[NDArray[np.uint8] | None]


class ExportSamples(Callback):
    """Write samples of a stage, given the true latents of the coarser levels.

    A validation writes latents to `<run>/samples/step_<k>/latents_<rank>_<batch>.safetensors`. Outside a fit, this name
    has `validate` in place of `step_<k>`. `predict` writes latents to `<run>/predictions/`. If the stage has an
    autoencoder (`model.init_args.autoencoder`, or that of the latent cache), meshes in each shape's original
    coordinates are written next to the latents as `<id>.<format>`. A validation then also writes the picture
    `<run>/samples/step_<k>.png`, which shows each shape twice: decoded from its true latents, and with the sampled
    latents of this level. The picture is also logged to TensorBoard and W&B, and the sampled meshes (in the unit
    sphere) to W&B. Sampling a batch takes 35 evaluations of the network.

    Args:
        every: Number of validations from one export to the next.
        num_shapes: Number of validation shapes to sample.
        resolution: Number of cells along a side of the grid.
        format: File format of the meshes.
        up: The axis of the shapes that points up. Pictures and glb files show the shapes upright. With null, it is the
            axis given to `lagem prepare --up`, or z if none was given.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        num_shapes: int = 8,
        resolution: int = 64,
        format: Literal["ply", "glb"] = "ply",
        up: Up | None = None,
    ) -> None:
        super().__init__()
        if every < 1 or num_shapes < 1:
            raise ValueError(f"every and num_shapes must be at least 1, but {every} and {num_shapes} were given.")
        self.every = every
        self.num_shapes = num_shapes
        check_bounds("resolution", resolution, least=2, most=MOST_RESOLUTION)
        self.resolution = resolution
        self.format = format
        self.up = up
        self._validations = 0
        self._ids: list[str] = []
        self._rows: tuple[Pictures, Pictures] = ([], [])  # decoded from the true latents, and with sampled latents
        self._sampled: dict[str, Mesh] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot sample."""
        if not hasattr(pl_module, "sample"):
            raise ValueError(
                "ExportSamples writes samples of a stage of the cascade, but the model is "
                f"{type(pl_module).__name__}. Remove ExportSamples from trainer.callbacks."
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the validation, and start a new picture."""
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
        """Sample and write shapes, both on rank zero only, until this validation has sampled `num_shapes`."""
        due = trainer.state.fn != "fit" or self._validations % self.every == 0
        missing = self.num_shapes - len(self._ids)
        if trainer.sanity_checking or not trainer.is_global_zero or not due or missing <= 0:
            return  # only rank zero continues, so no collective call may follow
        first, module = batch.first(missing), cast(SamplesLevel, pl_module)
        sampled = module.sample(first)
        meshes = self._write(_validation_folder(trainer), trainer, module, first, sampled, batch_idx)
        true = self._meshes(trainer, module.fields(first), len(first), sampled.device)
        self._ids += first.ids
        if meshes:
            self._sampled |= {name: mesh for name, mesh in zip(first.ids, meshes, strict=True) if mesh is not None}
        up = up_axis(self.up, trainer)
        for row, own in zip(self._rows, (true, meshes), strict=True):
            row += [None if mesh is None else render_mesh(mesh, up=up) for mesh in own]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and log the picture, unless it is empty."""
        if not any(picture is not None for row in self._rows for picture in row):
            return
        titles = ["true latents", f"only level {cast(SamplesLevel, pl_module).level} sampled"]
        sheet = contact_sheet(self._rows, column_titles=self._ids, row_titles=titles)
        save_picture(sheet, _validation_folder(trainer).with_suffix(".png"))
        show_picture(trainer, "val/samples", sheet)
        show_meshes(trainer, "val/sampled_meshes", self._sampled, up=up_axis(self.up, trainer))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: LatentBatch | OccupancyBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write every sample that `predict` made, on the rank that made it."""
        folder = Path(trainer.default_root_dir) / "predictions"
        self._write(folder, trainer, cast(SamplesLevel, pl_module), batch, cast(Tensor, outputs), batch_idx)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of validations so far, so that a resumed run exports after the same validations."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to count validations from the number in a checkpoint."""
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
        """Write the sampled latents of a batch and, if there is an autoencoder, the meshes decoded with them.

        Returns:
            The meshes in the unit sphere, with None for each shape whose field has no inside. Without an autoencoder,
            the list is empty.
        """
        folder.mkdir(parents=True, exist_ok=True)
        content = latents_file(module, batch, sampled)
        write_bytes(folder / f"latents_{trainer.global_rank}_{batch_idx}.safetensors", content)
        meshes = self._meshes(trainer, module.fields(batch, sampled), len(batch), sampled.device)
        for name, frame, mesh in zip(batch.ids, batch.frames, meshes, strict=False):
            if mesh is None:
                print(f"{name}: the sampled field has no inside, so no mesh is written.", flush=True)
            else:
                mesh.in_source(frame).save(folder / f"{file_name(name)}.{self.format}", up=up_axis(self.up, trainer))
        return meshes

    def _meshes(
        self, trainer: Trainer, fields: DecodedBatch | None, count: int, device: torch.device
    ) -> list[Mesh | None]:
        """Return `count` meshes, with None for each shape whose field has no inside.

        If `fields` is None, return an empty list.
        """
        if fields is None:
            return []
        return [
            surface_or_none(fields.select(index), resolution=self.resolution, device=device)
            for index in counted(trainer, range(count), "decoding meshes")
        ]


def latents_file(module: SamplesLevel, batch: LatentBatch | OccupancyBatch, sampled: Tensor) -> bytes:
    """Return the content of a safetensors file of samples, in the format of docs/latents-format.md.

    Args:
        module: The stage that made the samples.
        batch: The batch that was sampled; its ids, categories and frames are stored with the samples.
        sampled: (B, M_i, D_i) sampled latents.
    """
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
