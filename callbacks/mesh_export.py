"""A callback that writes reconstructed meshes, and a picture of the input shapes and their reconstructions."""

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from lagem.callbacks.protocols import DecodedBatch, HasReferences, Reconstructs, counted
from lagem.callbacks.trackers import show_meshes, show_picture
from lagem.configuration.bounds import MOST_RESOLUTION, check_bounds
from lagem.geometry.frame import Up
from lagem.geometry.picture import contact_sheet, render_mesh, render_points, save_picture
from lagem.geometry.surface import surface_or_none


class ExportMeshes(Callback):
    """Write reconstructed meshes in each shape's original coordinates, and a picture of them after each validation.

    A validation writes `<run>/meshes/step_<k>/<id>.<format>` and `<run>/meshes/step_<k>.png`. Outside a fit, these
    names have `validate` in place of `step_<k>`. `predict` writes only meshes, to `<run>/predictions/`. The picture is
    also logged to TensorBoard and W&B, and the meshes of a validation (in the unit sphere) to W&B.

    Args:
        num_shapes: Number of validation shapes to export.
        resolution: Number of cells along a side of the grid.
        format: File format of the meshes.
        by_level: Whether the picture shows a reconstruction from the coarsest level, and one more for each finer level
            that is added. If False, it shows only the reconstruction from all levels.
        up: The axis of the shapes that points up. Pictures and glb files show the shapes upright. With null, it is the
            axis given to `lagem prepare --up`, or z if none was given.
    """

    def __init__(
        self,
        *,
        num_shapes: int = 8,
        resolution: int = 128,
        format: Literal["ply", "glb"] = "ply",
        by_level: bool = False,
        up: Up | None = None,
    ) -> None:
        super().__init__()
        self.num_shapes = num_shapes
        check_bounds("resolution", resolution, least=2, most=MOST_RESOLUTION)
        self.resolution = resolution
        self.format = format
        self.by_level = by_level
        self.up = up

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export the meshes and the picture, on rank zero."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return  # only rank zero continues, so no collective call may follow
        name = f"step_{trainer.global_step}" if trainer.state.fn == "fit" else "validate"
        folder = Path(trainer.default_root_dir) / "meshes" / name
        data, module = cast(HasReferences, trainer.datamodule), cast(Reconstructs, pl_module)  # type: ignore[attr-defined]
        up = up_axis(self.up, trainer)
        columns: list[list[NDArray[np.uint8] | None]] = []
        names, meshes = [], {}
        finest = range(module.num_levels, 0, -1) if self.by_level else [1]
        for shape in counted(trainer, data.reference_shapes(self.num_shapes), "writing meshes"):
            surface_points = shape.surface_points.unsqueeze(0).to(pl_module.device)
            pictures: list[NDArray[np.uint8] | None] = [render_points(shape.reference_points.numpy(), up=up)]
            for level in finest:
                with torch.no_grad():
                    field = module.reconstruct(surface_points, finest=level).select(0)
                    mesh = surface_or_none(
                        field, resolution=self.resolution, seeds=shape.surface_points, device=pl_module.device
                    )
                pictures.append(None if mesh is None else render_mesh(mesh, up=up))
            if mesh is not None:
                mesh.in_source(shape.frame).save(folder / f"{file_name(shape.id)}.{self.format}", up=up)
                meshes[shape.id] = mesh
            columns.append(pictures)
            names.append(shape.id)
        levels = [_level_title(level, module.num_levels) for level in finest] if self.by_level else ["reconstruction"]
        rows = list(zip(*columns, strict=True))
        sheet = contact_sheet(rows, column_titles=names, row_titles=["input", *levels])
        save_picture(sheet, folder.with_suffix(".png"))
        show_picture(trainer, "val/reconstructions", sheet)
        show_meshes(trainer, "val/meshes", meshes, up=up)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Export a mesh of every shape that `predict` decoded, on the rank that decoded it."""
        fields = cast(DecodedBatch, outputs)
        folder = Path(trainer.default_root_dir) / "predictions"
        for index, name in enumerate(batch.ids):
            with torch.no_grad():
                mesh = surface_or_none(fields.select(index), resolution=self.resolution, device=pl_module.device)
            if mesh is None:
                print(f"{name}: the field has no inside, so no mesh is written.", flush=True)
                continue
            path = folder / f"{file_name(name)}.{self.format}"
            mesh.in_source(batch.frames[index]).save(path, up=up_axis(self.up, trainer))


def up_axis(given: Up | None, trainer: Trainer) -> Up:
    """Return the axis that points up in the shapes: the given one, else that of the trainer's data, else z."""
    up: Up | None = given or getattr(trainer.datamodule, "up", None)  # type: ignore[attr-defined]
    return up or "z"


def file_name(shape_id: str) -> str:
    """Return a shape's id as a file name without an extension; each `/` becomes `__`."""
    return shape_id.replace("/", "__")


def _level_title(finest: int, num_levels: int) -> str:
    if finest == 1:
        return "all levels"
    return f"level {num_levels}" if finest == num_levels else f"levels {num_levels} to {finest}"
