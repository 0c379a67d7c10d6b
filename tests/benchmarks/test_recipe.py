"""Tests of benchmarks/recipe.py: the table's differences are paired by shape and seed; a missing measure is a dash."""

import sys
from pathlib import Path
from types import SimpleNamespace

import scipy.stats

from lagem.levels import LevelSpec
from lagem.modules.autoencoder import AutoencoderModule

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from recipe import DrawnNumbersOfLatents
from recipe_measures import table

MEASURES = {"near_loss": "near loss", "noise_2": "in level 2"}


def rows(shift: float, *, levels: int = 3) -> list[dict]:
    return [{"near_loss": shape + shift} | ({"noise_2": shift} if levels > 1 else {}) for shape in range(5)]


def test_a_difference_is_the_mean_over_seeds_of_the_same_shapes_with_an_interval_for_new_seeds():
    results = {"base": {0: rows(0.0), 1: rows(0.0)}, "other": {0: rows(0.1), 1: rows(0.3)}}
    head, base, other = table(results, "base", MEASURES)
    assert head[:4] == ["", "seeds", "near loss", "difference"]
    assert base[:4] == ["base", "2", "2.0000", "–"]
    low, high = scipy.stats.t(1, 0.2, scipy.stats.sem([0.1, 0.3])).interval(0.95)
    difference = f"+0.2000 [{low:+.4f}, {high:+.4f}]"
    assert other[2:6] == ["2.2000", difference, "0.2000", difference]
    assert other[6] == "+0.1000 +0.3000"


def test_a_measure_that_a_side_does_not_have_is_a_dash():
    """VecSet has one level, so measures of levels 2 and 3 do not exist for it."""
    (_, _, vecset) = table({"base": {0: rows(0.0)}, "VecSet": {0: rows(0.5, levels=1)}}, "base", MEASURES)
    assert vecset[2:6] == ["2.5000", "+0.5000 [+0.5000, +0.5000]", "–", "–"]


def test_numbers_of_latents_are_drawn_from_half_to_twice_and_given_back():
    levels = [LevelSpec(64, 4, depth=1), LevelSpec(16, 4, depth=1)]
    module = AutoencoderModule(levels=levels, width=64)
    callback = DrawnNumbersOfLatents(levels, seed=0)
    drawn = []
    for step in range(50):
        callback.on_train_batch_start(SimpleNamespace(global_step=step), module, None, step)
        drawn.append([level.num_latents for level in module.autoencoder.levels])
    fine = [numbers[0] for numbers in drawn]
    assert 32 <= min(fine) < 40 and 112 < max(fine) <= 128
    assert all(abs(number - 4 * fewer) <= 2 for number, fewer in drawn)
    callback.on_train_end(SimpleNamespace(), module)
    assert module.autoencoder.levels == levels
