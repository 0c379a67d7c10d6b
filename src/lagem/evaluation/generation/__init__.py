"""How good generated shapes are: as a set beside real ones, and one by one."""

from lagem.evaluation.generation.run import evaluate_generation
from lagem.evaluation.generation.shapes import MeshSurfaces
from lagem.evaluation.generation.summary import Figures, GenerationSummary

__all__ = ["Figures", "GenerationSummary", "MeshSurfaces", "evaluate_generation"]
