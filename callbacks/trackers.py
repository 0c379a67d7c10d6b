"""Pictures and meshes for the trackers of a run: TensorBoard and W&B, each where the run logs to it."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from numpy.typing import NDArray

from lagem.geometry.mesh import Mesh


def show_picture(trainer: Trainer, name: str, picture: NDArray[np.uint8]) -> None:
    """Give a picture to TensorBoard and W&B."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], step=trainer.global_step)


def show_meshes(trainer: Trainer, name: str, meshes: Mapping[str, Mesh], *, up: Literal["y", "z"]) -> None:
    """Give meshes, by the id of their shape, to W&B as 3D objects; TensorBoard has no use for them."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and meshes:
            import wandb

            with TemporaryDirectory() as folder:
                objects = []
                for number, (shape_id, mesh) in enumerate(meshes.items()):
                    path = Path(folder) / f"{number}.glb"
                    (mesh if up == "y" else _standing(mesh)).save(path)
                    objects.append(wandb.Object3D(str(path), caption=shape_id))
                logger.experiment.log({name: objects, "trainer/global_step": trainer.global_step})


def _standing(mesh: Mesh) -> Mesh:
    """A mesh whose up is z turned to have up y, as GLB has it."""
    x, y, z = mesh.vertices.T
    return Mesh(np.stack([x, z, -y], axis=1), mesh.faces)
