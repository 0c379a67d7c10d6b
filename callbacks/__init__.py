"""Lightning callbacks: geometry metrics, exports of meshes and samples, early warnings, and saving on a signal."""

from lagem.callbacks.early_warnings import EarlyWarnings
from lagem.callbacks.geometry_metrics import LogGeometryMetrics
from lagem.callbacks.mesh_export import ExportMeshes
from lagem.callbacks.sample_export import ExportSamples
from lagem.callbacks.save_on_signal import SaveOnSignal
from lagem.callbacks.weight_average import WeightAverage

__all__ = ["EarlyWarnings", "ExportMeshes", "ExportSamples", "LogGeometryMetrics", "SaveOnSignal", "WeightAverage"]
