"""Pictures of an evaluation show each of the worst, median and best shapes once."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from lagem.evaluation.reconstruction.examples import draw_examples, examples
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.truth import Truth


def scores(count: int) -> list[ShapeScore]:
    return [ShapeScore(id=f"shape_{number}", category="toys", fscore_020=number / count) for number in range(count)]


@pytest.mark.parametrize("count", range(20))
def test_each_shape_is_an_example_at_most_once(count):
    kinds = examples(scores(count)[::-1])
    shown = list(chain(*kinds.values()))
    assert len({score.id for score in shown}) == len(shown) == min(count, 12)
    assert shown == sorted(shown, key=lambda score: score.fscore_020)
    assert all(kinds.values())


def test_of_many_shapes_the_worst_median_and_best_four_are_examples():
    ids = {kind: [score.id for score in shown] for kind, shown in examples(scores(100)).items()}
    numbers = {"worst": range(4), "median": range(48, 52), "best": range(96, 100)}
    assert ids == {kind: [f"shape_{number}" for number in those] for kind, those in numbers.items()}


class NoSurface:
    """A method whose results have no surface."""

    def draw(self, truth: Truth, *, size: int, up: str) -> None:
        return None


def test_a_row_with_fewer_examples_ends_in_white(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    points /= 2 * np.linalg.norm(points, axis=1, keepdims=True)

    def truths(ids: set[str]) -> Iterator[Truth]:
        for id in sorted(ids):
            yield Truth(id, "toys", points, points, 2 * points, volume=None, near=None)

    draw_examples(tmp_path / "examples.png", NoSurface(), scores(6), truths, up="z")  # of each other kind, only one
    picture = np.asarray(Image.open(tmp_path / "examples.png"))
    third, half = len(picture) // 3, picture.shape[1] // 2
    is_drawn = [(picture[top : top + third, half:] != 255).any() for top in (0, third, 2 * third)]
    assert is_drawn == [True, False, False]
