"""Functions that log pictures and meshes to the trackers of a run: TensorBoard and W&B."""

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
    """Log a (height, width, 3) picture to TensorBoard and W&B."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], step=trainer.global_step)


def show_meshes(trainer: Trainer, name: str, meshes: Mapping[str, Mesh], *, up: Literal["y", "z"]) -> None:
    """Log meshes to W&B as 3D objects; `meshes` maps the id of a shape to its mesh. TensorBoard gets none."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and meshes:
            import wandb

            with TemporaryDirectory() as folder:
                objects = []
                for number, (shape_id, mesh) in enumerate(meshes.items()):
                    path = Path(folder) / f"{number}.glb"
                    mesh.save(path, up=up)
                    objects.append(wandb.Object3D(str(path), caption=shape_id))
                logger.experiment.log({name: objects, "trainer/global_step": trainer.global_step})
