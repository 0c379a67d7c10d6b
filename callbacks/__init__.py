"""Lightning callbacks that look at geometry."""

from lagem.callbacks.geometry_metrics import LogGeometryMetrics
from lagem.callbacks.mesh_export import ExportMeshes
from lagem.callbacks.sample_export import ExportSamples

__all__ = ["ExportMeshes", "ExportSamples", "LogGeometryMetrics"]
