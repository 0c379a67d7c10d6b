"""How well an autoencoder reconstructs: scores of shapes, their summary, and the card that reports them."""

from lagem.evaluation.card import write_card
from lagem.evaluation.run import evaluate
from lagem.evaluation.score import ShapeScore, score_shape
from lagem.evaluation.summary import Summary, summarise
from lagem.evaluation.truth import Truth, Untrue, truths_of_meshes, truths_of_prepared

__all__ = [
    "ShapeScore",
    "Summary",
    "Truth",
    "Untrue",
    "evaluate",
    "score_shape",
    "summarise",
    "truths_of_meshes",
    "truths_of_prepared",
    "write_card",
]
