"""Lightning callbacks that look at geometry."""

from lagem.callbacks.geometry_metrics import LogGeometryMetrics
from lagem.callbacks.mesh_export import ExportMeshes

__all__ = ["ExportMeshes", "LogGeometryMetrics"]
