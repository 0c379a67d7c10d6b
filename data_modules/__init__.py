"""Where shapes come from: prepared shards, or random furniture made on the fly."""

from lagem.data_modules.augmentation import Augmentation
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.data_modules.procedural import ProceduralDataModule

__all__ = ["Augmentation", "OccupancyDataModule", "ProceduralDataModule"]
