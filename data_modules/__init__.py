"""Data modules: for prepared shapes, for cached latents, and for random furniture generated during training."""

from lagem.data_modules.latents import LatentDataModule
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.data_modules.procedural import ProceduralDataModule
from lagem.sources.augmentation import Augmentation

__all__ = ["Augmentation", "LatentDataModule", "OccupancyDataModule", "ProceduralDataModule"]
