"""Folded and layer-by-layer query decoders agree on the logits, even if attention scores would overflow."""

import numpy as np
import pytest
import torch

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import centred_weight
from lagem.models.queries.field import DEEPEST_SHIFT, LARGEST_EXPONENT, centred, fold_shapes, score_bound
from lagem.pretrained import AUTOENCODERS, pretrained_autoencoder
from lagem.procedural.furniture import CATEGORIES
from lagem.weights.autoencoder import load_autoencoder

from .conftest import LEVELS

KL = LevelSpec(20, 8, depth=1, bottleneck="kl")
NETWORKS = {
    "three levels": {"levels": LEVELS, "width": 64},
    "single skip, two heads": {"levels": LEVELS, "width": 128, "skip": "single"},
    "two levels, few octaves": {"levels": LEVELS[:2], "width": 128, "octaves": 3},
    "VecSet": {"levels": [KL], "width": 64},
    "more waves than channels": {"levels": [LEVELS[0], KL], "width": 64, "octaves": 11},
    "one latent": {"levels": [LevelSpec(3, 4, depth=0), LevelSpec(1, 4, depth=0)], "width": 64, "octaves": 1},
}


def trained_like(factor: float = 3.0, **options: object) -> Autoencoder:
    """Return an autoencoder with random weights and sharp attention of queries to latents, as after training."""
    torch.manual_seed(0)
    model = Autoencoder(**options).eval()  # type: ignore[arg-type]
    for attention in model.query_attention:
        attention.to_q.weight.data.mul_(factor)
        attention.norm.weight.data.add_(0.3 * torch.randn(model.width))
        attention.norm.bias.data.add_(0.3 * torch.randn(model.width))
    return model


def furthest_apart(folded: torch.Tensor, plain: torch.Tensor) -> float:
    """Return the largest difference of the logits, in standard deviations of the plain ones."""
    return float((folded - plain).abs().max() / plain.std())


def uses_softmax(model: Autoencoder, latents: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Return, for each shape, the levels that use torch's softmax.

    A level uses it if the bound of its scores is too large, or if its values are too large in total.
    """
    field = model.decode(latents)
    return [shape._levels for shape in fold_shapes(field.decoder, field.keys_values)]


def bounds_of(model: Autoencoder, latents: list[torch.Tensor]) -> list[torch.Tensor]:
    """Subtract from the scores their mean over latents; return, for each level, (B, H) upper bounds of the result."""
    field = model.decode(latents)
    basis = torch.linalg.qr(centred_weight(model.point_embedding, torch.float64)).Q * model.width**0.5
    return [score_bound(centred(level.rows)) for level in field.decoder.fold(field.keys_values, basis)]


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def model(request) -> Autoencoder:
    return trained_like(**request.param)


@torch.no_grad()
def test_folded_logits_are_the_plain_ones(model, cloud, query_points):
    latents = model.encode(cloud)
    plain = model.decode(latents, fold=False)(query_points)
    field = model.decode(latents)
    assert plain.std() > 0.02
    assert furthest_apart(field(query_points), plain) < 1e-4
    assert furthest_apart(field.select(1)(query_points[1]), plain[1]) < 1e-4
    torch.testing.assert_close(field(query_points, chunk=7), field(query_points), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_in_double_precision_folding_is_exact(model, cloud, query_points):
    model.double()
    latents = [z.double() for z in model.encode(cloud.double())]
    plain = model.decode(latents, fold=False)(query_points.double())
    torch.testing.assert_close(model.decode(latents)(query_points.double()), plain, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("name", AUTOENCODERS)
@torch.no_grad()
def test_folded_logits_of_a_chair_are_the_plain_ones_and_need_no_maximum(name):
    model, spec = load_autoencoder(pretrained_autoencoder(name))
    rng = np.random.default_rng(0)
    points, _ = CATEGORIES["chair"](rng).sample_surface(spec.num_surface_points, rng)
    latents = model.encode(torch.from_numpy(points).unsqueeze(0))
    queries = 2 * torch.rand(1, 5000, 3) - 1
    plain = model.decode(latents, fold=False)(queries)
    assert 0.02 < (plain > 0).float().mean() < 0.98
    assert furthest_apart(model.decode(latents)(queries), plain) < 1e-4
    assert uses_softmax(model, latents) == [[]]


@torch.no_grad()
def test_scores_that_would_overflow_are_left_to_softmax(cloud, query_points):
    model = trained_like(factor=1000.0, levels=LEVELS, width=64)
    model.query_attention[1].to_q.weight.data.mul_(1e-3)
    latents = model.encode(cloud)
    assert [len(levels) for levels in uses_softmax(model, latents)] == [2, 2]
    plain = model.decode(latents, fold=False)(query_points)
    assert plain.isfinite().all()
    # in float32, scores of thousands have errors of a few 1e-4, so float64 is compared
    model.double()
    exact = model.decode([z.double() for z in latents], fold=False)(query_points.double())
    folded = model.decode([z.double() for z in latents])(query_points.double())
    torch.testing.assert_close(folded, exact, atol=1e-8, rtol=1e-8)


@torch.no_grad()
def test_scores_beyond_the_largest_exponent_are_shifted_and_right(cloud, query_points):
    """The bounds of the scores exceed LARGEST_EXPONENT, but by less than the largest possible shift."""
    model = trained_like(levels=LEVELS, width=64).double()
    latents = model.encode(cloud.double())
    scale = 1.6 * LARGEST_EXPONENT / max(float(bound.max()) for bound in bounds_of(model, latents))
    for attention in model.query_attention:
        attention.to_q.weight.mul_(scale)
    reached = bounds_of(model, latents)
    assert LARGEST_EXPONENT < max(float(bound.max()) for bound in reached) < LARGEST_EXPONENT + DEEPEST_SHIFT
    assert uses_softmax(model, latents) == [[], []]
    plain = model.decode(latents, fold=False)(query_points.double())
    model.float()
    folded = model.decode([z.float() for z in latents])(query_points)
    assert furthest_apart(folded.double(), plain) < 1e-4


@torch.no_grad()
def test_no_score_of_any_point_of_space_exceeds_its_bound(model, cloud):
    latents = [z.double() for z in model.double().encode(cloud.double())]
    points = torch.randn(2, 4000, 3, dtype=torch.float64) * torch.tensor([0.01, 1.0, 100.0, 1e4]).repeat(1000)[:, None]
    keys_values = model.decode(latents).keys_values
    embedded = model.point_embedding(points)
    for attention, (keys, _), bound in zip(model.query_attention, keys_values, bounds_of(model, latents), strict=True):
        queries = attention.to_q(attention.norm(embedded)).unflatten(-1, (-1, 64)).transpose(1, 2)
        scores = queries @ keys.mT / 8
        scores = scores - scores.mean(dim=-1, keepdim=True)
        assert (scores.amax(dim=(2, 3)) <= bound + 1e-9).all()
        assert (scores.amax(dim=-1) >= -1e-9).all()


@torch.no_grad()
def test_values_too_large_to_sum_are_left_to_softmax(cloud, query_points):
    model = trained_like(levels=LEVELS, width=64)
    model.to_logits.weight.mul_(1e12)
    latents = model.encode(cloud)
    assert [len(levels) for levels in uses_softmax(model, latents)] == [3, 3]
    plain = model.decode(latents, fold=False)(query_points)
    assert furthest_apart(model.decode(latents)(query_points), plain) < 1e-4


@torch.no_grad()
def test_weights_that_are_not_finite_give_logits_that_are_not(cloud, query_points):
    model = trained_like(levels=LEVELS, width=64)
    latents = model.encode(cloud)
    model.query_attention[0].to_q.weight[0, 0] = torch.nan
    assert not model.decode(latents)(query_points).isfinite().any()


@torch.no_grad()
def test_no_queries_give_no_logits(model, cloud):
    field = model.decode(model.encode(cloud))
    assert field(cloud[:, :0]).shape == (2, 0)
    assert field.select(0)(cloud[0, :0]).shape == (0,)


@torch.no_grad()
def test_as_many_sets_of_queries_as_shapes_are_needed(model, cloud, query_points):
    with pytest.raises(ValueError, match=r"2 shape\(s\), but queries for 1 were given"):
        model.decode(model.encode(cloud))(query_points[:1])


@torch.no_grad()
def test_logits_stay_in_single_precision_under_autocast_and_for_half_points(model, cloud, query_points):
    latents = model.encode(cloud)
    expected = model.decode(latents)(query_points)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.decode(latents)(query_points), model.decode(latents)(query_points))
        made = model.decode(latents)
    assert made(query_points).dtype == torch.float32
    half = query_points.half()
    torch.testing.assert_close(model.decode(latents)(half), model.decode(latents)(half.float()))
    torch.testing.assert_close(made(query_points), expected, atol=0.05, rtol=0.05)


@pytest.mark.gpu
@torch.no_grad()
def test_folded_logits_on_a_gpu_are_those_of_the_cpu(model, cloud, query_points):
    latents = model.encode(cloud)
    expected = model.decode(latents)(query_points)
    found = model.cuda().decode([z.cuda() for z in latents])(query_points.cuda())
    assert found.device.type == "cuda"
    assert furthest_apart(found.cpu(), expected) < 1e-3


def test_gradients_of_a_folded_field_are_those_of_the_plain_one(model, cloud, query_points):
    """Gradients with respect to points, latents and every weight of the decoder are compared, in double precision."""
    model.double()
    latents = [z.detach().double().requires_grad_() for z in model.encode(cloud.double())]
    points = query_points.double().requires_grad_()
    of = [points, *latents, *(p for name, p in model.named_parameters() if not name.startswith("downsample"))]
    gradients = []
    for fold in (False, True):
        logits = model.decode(latents, fold=fold)(points)
        gradients.append(torch.autograd.grad(logits.sin().sum(), of, allow_unused=True))
    for plain, folded in zip(*gradients, strict=True):
        assert (plain is None) == (folded is None)
        if plain is not None:
            torch.testing.assert_close(folded, plain, atol=1e-9, rtol=1e-7)
