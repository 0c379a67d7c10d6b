"""From meshes to shards that training reads: sampling, labelling, packing, and the reader."""

from lagem.preparation.packing import pack
from lagem.preparation.pipeline import prepare
from lagem.preparation.quantisation import POOLS, VOLUME_RADIUS
from lagem.preparation.records import Record
from lagem.preparation.report import show
from lagem.preparation.shape import Settings, ShapeArrays, prepare_shape
from lagem.preparation.shards import Shards
from lagem.preparation.sources import MeshSource, find_meshes

__all__ = [
    "POOLS",
    "VOLUME_RADIUS",
    "MeshSource",
    "Record",
    "Settings",
    "ShapeArrays",
    "Shards",
    "find_meshes",
    "pack",
    "prepare",
    "prepare_shape",
    "show",
]
