"""From meshes to shards that training reads: sampling, labelling, packing, and the reader."""

from lagem.preparation.inspection import Inspection, inspect_folder
from lagem.preparation.packing import pack
from lagem.preparation.parts import Part, status_line
from lagem.preparation.pipeline import TIME_LIMIT, preparation_status, prepare
from lagem.preparation.quantisation import POOLS, VOLUME_RADIUS
from lagem.preparation.records import Measures, Record
from lagem.preparation.report import show, show_part
from lagem.preparation.settings import Settings
from lagem.preparation.shape import ShapeArrays, prepare_shape
from lagem.preparation.shards import Shards, labelled
from lagem.preparation.solid import CONVERSIONS
from lagem.preparation.sources import MeshSource, find_meshes

__all__ = [
    "CONVERSIONS",
    "POOLS",
    "TIME_LIMIT",
    "VOLUME_RADIUS",
    "Inspection",
    "Measures",
    "MeshSource",
    "Part",
    "Record",
    "Settings",
    "ShapeArrays",
    "Shards",
    "find_meshes",
    "inspect_folder",
    "labelled",
    "pack",
    "preparation_status",
    "prepare",
    "prepare_shape",
    "show",
    "show_part",
    "status_line",
]
