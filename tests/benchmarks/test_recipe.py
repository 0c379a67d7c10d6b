"""The recipe's benchmark: differences are paired by shape over the seeds, and what a side does not have is left out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from recipe_measures import table

MEASURES = {"near_loss": "near loss", "noise_2": "in level 2"}


def rows(shift: float, *, levels: int = 3) -> list[dict]:
    return [{"near_loss": shape + shift} | ({"noise_2": shift} if levels > 1 else {}) for shape in range(5)]


def test_a_difference_is_the_mean_over_seeds_of_the_same_shapes():
    results = {"base": {0: rows(0.0), 1: rows(0.0)}, "other": {0: rows(0.1), 1: rows(0.3)}}
    head, base, other = table(results, "base", MEASURES)
    assert head[:4] == ["", "seeds", "near loss", "difference"]
    assert base[:4] == ["base", "2", "2.000", "–"]
    assert other[2:6] == ["2.200", "+0.200 [+0.200, +0.200]", "0.200", "+0.200 [+0.200, +0.200]"]
    assert other[6] == "+0.100 +0.300"


def test_a_measure_that_a_side_does_not_have_is_a_dash():
    """VecSet has one level."""
    (_, _, vecset) = table({"base": {0: rows(0.0)}, "VecSet": {0: rows(0.5, levels=1)}}, "base", MEASURES)
    assert vecset[2:6] == ["2.500", "+0.500 [+0.500, +0.500]", "–", "–"]
