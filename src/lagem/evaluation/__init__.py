"""How well an autoencoder reconstructs: scores of shapes, the card that reports them, and cards compared."""

from lagem.evaluation.card import write_card
from lagem.evaluation.comparison import Comparison, Difference, compare
from lagem.evaluation.methods import Method, Reconstruction, Retrieval
from lagem.evaluation.neighbours import Neighbour, Neighbours, find_neighbours
from lagem.evaluation.run import evaluate, evaluation_status
from lagem.evaluation.score import ShapeScore, score_shape
from lagem.evaluation.summary import Summary, summarise
from lagem.evaluation.truth import Truth, Untrue, truths_of_meshes, truths_of_prepared

__all__ = [
    "Comparison",
    "Difference",
    "Method",
    "Neighbour",
    "Neighbours",
    "Reconstruction",
    "Retrieval",
    "ShapeScore",
    "Summary",
    "Truth",
    "Untrue",
    "compare",
    "evaluate",
    "evaluation_status",
    "find_neighbours",
    "score_shape",
    "summarise",
    "truths_of_meshes",
    "truths_of_prepared",
    "write_card",
]
