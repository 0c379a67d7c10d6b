"""Meshes, occupancy, surfaces from fields, metrics and pictures; knows nothing of models."""

from lagem.geometry.components import dominant_share, largest_part, with_fewer_faces
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import MESH_ENDINGS, POINT_ENDINGS, load_mesh, load_points
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import (
    SurfaceScore,
    chamfer_distance,
    fscore,
    iou,
    sampling_floor,
    score_surface,
    surface_distances,
)
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.picture import contact_sheet, render_mesh, render_points, save_picture
from lagem.geometry.sampling import sample_surface
from lagem.geometry.surface import EmptySurfaceError, QueryLogits, extract_surface

__all__ = [
    "MESH_ENDINGS",
    "POINT_ENDINGS",
    "EmptySurfaceError",
    "Frame",
    "Mesh",
    "MeshError",
    "QueryLogits",
    "SurfaceScore",
    "WindingNumber",
    "chamfer_distance",
    "contact_sheet",
    "dominant_share",
    "extract_surface",
    "fscore",
    "iou",
    "largest_part",
    "load_mesh",
    "load_points",
    "render_mesh",
    "render_points",
    "sample_surface",
    "sampling_floor",
    "save_picture",
    "score_surface",
    "surface_distances",
    "with_fewer_faces",
]
