"""Data modules: shapes from prepared shards, their cached latents, or random furniture generated on the fly."""

from lagem.data_modules.latents import LatentDataModule
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.data_modules.procedural import ProceduralDataModule
from lagem.sources.augmentation import Augmentation

__all__ = ["Augmentation", "LatentDataModule", "OccupancyDataModule", "ProceduralDataModule"]
