"""The cost that is computed before a training step equals the cost of a step that runs."""

from functools import partial

import pytest
import torch

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.models.cost import count_stage_step, count_step, stage_cost, training_cost
from lagem.models.denoiser import Backbone

LEVELS = [LevelSpec(64, 8, depth=2), LevelSpec(16, 16, depth=1), LevelSpec(8, 16, depth=1, bottleneck="kl")]
SIZES = {"batch_size": 2, "num_surface_points": 300, "num_queries": 100}


@pytest.mark.parametrize("bfloat16", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("recompute", [False, True])
def test_cost_before_running_equals_what_a_real_step_counts(bfloat16, recompute):
    network = {"levels": LEVELS, "width": 128, "octaves": 5, "checkpoint_activations": recompute}
    cost = training_cost(**network, bfloat16=bfloat16, **SIZES)
    model = Autoencoder(**network)
    operations, saved = count_step(
        model, torch.rand(2, 300, 3), torch.rand(2, 100, 3), torch.randint(300, (2, 64)), bfloat16=bfloat16
    )
    assert cost.operations == operations
    assert cost.saved_bytes == pytest.approx(saved, rel=0.05)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_operations_are_those_of_the_matrix_products_written_out():
    """The products of the forward and the backward pass are counted by hand, for one level without self attention."""
    batch, points, latents, queries, width, dim = 2, 300, 64, 100, 128, 8
    cost = training_cost(
        levels=[LevelSpec(latents, dim, depth=0)],
        width=width,
        batch_size=batch,
        num_surface_points=points,
        num_queries=queries,
        step="plain",
    )

    def linear(rows: int, wide: int, out: int) -> int:
        return 2 * batch * rows * wide * out

    embedding = linear(points + queries, 51, width)  # its input needs no gradient
    layers = (
        linear(latents, width, width)
        + linear(points, width, 2 * width)
        + linear(latents, width, width)  # encoder
        + linear(latents, width, 8 * width)
        + linear(latents, 4 * width, width)
        + linear(latents, width, dim)
        + linear(latents, dim, width)
        + linear(queries, width, width)
        + linear(latents, width, 2 * width)
        + linear(queries, width, width)
        + linear(queries, width, 1)
    )
    scores = 2 * batch * width * (latents * points + queries * latents)  # one product of each attention
    forward, backward = 2 * scores, 5 * scores  # the backward pass of the fused kernel recomputes the scores
    assert cost.operations == 2 * embedding + 3 * layers + forward + backward


def test_recomputation_keeps_less_and_computes_more():
    plain = training_cost(levels=LEVELS, width=128, **SIZES)
    recomputed = training_cost(levels=LEVELS, width=128, checkpoint_activations=True, **SIZES)
    assert recomputed.saved_bytes < plain.saved_bytes
    assert recomputed.operations > plain.operations


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("condition", [{}, {"num_categories": 5}, {"condition_dim": 7}], ids=str)
def test_cost_of_a_stage_before_running_equals_what_a_real_step_counts(bfloat16, condition):
    sizes = {"levels": LEVELS, "level": 1, "width": 128, "depth": 2, **condition}
    cost = stage_cost(partial(Backbone, **sizes), batch_size=3, bfloat16=bfloat16)
    backbone = Backbone(**sizes)
    operations, saved = count_stage_step(backbone, batch_size=3, bfloat16=bfloat16)
    assert cost.operations == operations
    assert cost.saved_bytes == pytest.approx(saved, rel=0.05)
    assert cost.parameters == sum(parameter.numel() for parameter in backbone.parameters())


def test_operations_of_an_evaluation_are_those_of_the_matrix_products_written_out():
    latents, coarser, width, depth = 64, 16, 128, 3
    levels = [LevelSpec(latents, 8), LevelSpec(coarser, 16)]
    cost = stage_cost(partial(Backbone, levels=levels, level=1, width=width, depth=depth), batch_size=2)

    def linear(rows: int, wide: int, out: int) -> int:
        return 2 * rows * wide * out

    def attention(of: int, to: int) -> int:
        projections = 2 * linear(of, width, width) + linear(to, width, 2 * width)
        return projections + 2 * 2 * of * to * width + linear(1, width, 2 * width)  # and its adaptive LayerNorm

    feed_forward = linear(latents, width, 8 * width) + linear(latents, 4 * width, width) + linear(1, width, 2 * width)
    ends = linear(latents, 8, width) + linear(coarser, 16, width) + linear(latents, width, 8)
    noise = linear(1, 256, width) + linear(1, width, width)
    blocks = depth * (attention(latents, latents) + feed_forward)
    assert cost.evaluation == ends + noise + attention(latents, coarser) + blocks
