"""Every other way to compute a training step agrees with the plain way in loss and gradients, and needs less memory."""

from contextlib import nullcontext
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from lagem.levels import LevelSpec
from lagem.models.attention import Step
from lagem.models.autoencoder import Autoencoder
from lagem.models.cost import count_step, training_cost

from .conftest import LEVELS

FOLDED = [step for step in get_args(Step) if step != "plain"]
NETWORKS = {
    "three levels": {"levels": LEVELS, "width": 128, "octaves": 4},
    "VecSet": {"levels": [LevelSpec(24, 8, depth=2, bottleneck="kl")], "width": 64, "skip": "single"},
    "single heads": {"levels": LEVELS, "width": 128, "single_head_cross": True},
    "blocks recomputed": {"levels": LEVELS, "width": 64, "checkpoint_activations": True},
}
# The 512-latent setting of the paper with a quarter of its latents, points, queries and width.
TABLE_3 = {"levels": [LevelSpec(128, 16, depth=8), LevelSpec(32, 32, depth=8), LevelSpec(8, 64, depth=8)], "width": 128}


def network(step: Step, **options: object) -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder(step=step, **options)  # type: ignore[arg-type]
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms and biases that are not 1 and 0
            parameter.data.add_(0.1 * torch.randn(len(parameter)))
    return model


def loss_of(model: Autoencoder, cloud: torch.Tensor, query_points: torch.Tensor) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(index) for index in range(len(cloud))]
    result = model(cloud, query_points, generators=generators)
    return F.softplus(3 * result.logits).mean() + result.kl.mean()


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("step", FOLDED)
def test_loss_and_all_gradients_are_those_of_the_plain_step(step, options, cloud, query_points):
    for dtype, tolerance in (
        (torch.float64, {"atol": 1e-10, "rtol": 1e-7}),
        (torch.float32, {"atol": 1e-5, "rtol": 1e-3}),
    ):
        losses, gradients = [], []
        for model in (network("plain", **options).to(dtype), network(step, **options).to(dtype)):
            loss = loss_of(model, cloud.to(dtype), query_points.to(dtype))
            loss.backward()
            losses.append(loss.detach())
            gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        torch.testing.assert_close(*losses, **tolerance)
        assert all(gradient is not None for gradient in gradients[1].values())  # as DDP wants
        torch.testing.assert_close(gradients[1], gradients[0], **tolerance)


@pytest.mark.parametrize("step", FOLDED)
def test_under_autocast_gradients_err_no_more_than_those_of_the_plain_step(step, cloud, query_points):
    def gradient(step: Step, autocast: bool) -> torch.Tensor:
        model = network(step, levels=LEVELS, width=128)
        with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
            loss = loss_of(model, cloud, query_points)
        loss.backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    exact = gradient("plain", False)
    errors = [float((gradient(one, True) - exact).norm() / exact.norm()) for one in ("plain", step)]
    assert errors[1] < 1.25 * errors[0]


@pytest.mark.parametrize(("step", "most"), [("lean", 0.52), ("leanest", 0.25)])
def test_a_step_keeps_no_more_than_its_share_of_what_the_plain_one_keeps(step, most):
    points, queries, anchors = torch.randn(1, 512, 3), torch.randn(1, 512, 3), torch.arange(128).unsqueeze(0)
    operations, kept = zip(
        *(count_step(network(one, **TABLE_3), points, queries, anchors, bfloat16=False) for one in ("plain", step)),
        strict=True,
    )
    assert kept[1] <= most * kept[0]
    assert operations[1] <= operations[0]


@pytest.mark.parametrize("bfloat16", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("step", get_args(Step))
def test_cost_before_running_equals_what_a_real_step_counts(step, recompute, bfloat16):
    options = {"levels": LEVELS, "width": 64, "step": step, "checkpoint_activations": recompute}
    cost = training_cost(**options, bfloat16=bfloat16, batch_size=2, num_surface_points=200, num_queries=50)
    inputs = torch.rand(2, 200, 3), torch.rand(2, 50, 3), torch.randint(200, (2, 32))
    operations, kept = count_step(Autoencoder(**options), *inputs, bfloat16=bfloat16)
    assert cost.operations == operations
    assert cost.saved_bytes == pytest.approx(kept, rel=0.05)


def test_losses_of_a_training_are_those_of_the_plain_step(cloud, query_points):
    losses = {}
    for step in get_args(Step):
        model = network(step, levels=LEVELS, width=64)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        losses[step] = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_of(model, cloud, query_points)
            loss.backward()
            optimizer.step()
            losses[step].append(float(loss.detach()))
    assert losses["plain"][-1] < 0.99 * losses["plain"][0]
    for step in FOLDED:
        assert losses[step] == pytest.approx(losses["plain"], rel=1e-5)


@pytest.mark.parametrize("step", get_args(Step))
def test_weights_have_the_same_names_whatever_the_step(step):
    assert list(network(step, levels=LEVELS, width=64).state_dict()) == list(
        network("plain", levels=LEVELS, width=64).state_dict()
    )


@pytest.mark.parametrize("step", FOLDED)
def test_chunks_of_queries_in_training_change_nothing(step, cloud, query_points, monkeypatch):
    losses = []
    for scores in (2**22, 100):
        monkeypatch.setattr("lagem.models.queries.decoder.SCORES_AT_ONCE", scores)
        model = network(step, levels=LEVELS, width=64).double()
        loss = loss_of(model, cloud.double(), query_points.double())
        loss.backward()
        losses.append((loss.detach(), *(parameter.grad for parameter in model.parameters())))
    torch.testing.assert_close(*losses, atol=1e-12, rtol=1e-10)


def test_an_unknown_step_is_refused():
    with pytest.raises(ValueError, match="step must be one of plain, lean, leanest, but 'fast' was given"):
        Autoencoder(levels=LEVELS, width=64, step="fast")  # type: ignore[arg-type]
