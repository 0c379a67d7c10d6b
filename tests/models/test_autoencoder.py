"""The autoencoder computes the equations of the paper."""

import math

import pytest
import torch
import torch.nn.functional as F

from lagem.levels import LevelSpec
from lagem.models.attention import Attention
from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import PointEmbedding

from .conftest import LEVELS


def test_latents_have_the_sizes_of_their_levels(autoencoder, cloud):
    assert [tuple(z.shape) for z in autoencoder.encode(cloud)] == [(2, 32, 4), (2, 12, 6), (2, 5, 8)]


def test_latents_are_standardised_over_their_channels(autoencoder, cloud):
    for latents in autoencoder.encode(cloud):
        torch.testing.assert_close(latents.mean(-1), torch.zeros(latents.shape[:2]), atol=1e-5, rtol=0)
        torch.testing.assert_close(latents.var(-1, correction=0), torch.ones(latents.shape[:2]), atol=1e-3, rtol=0)


def test_latents_ignore_the_order_of_surface_points(autoencoder, cloud):
    shuffled = cloud[:, torch.randperm(cloud.shape[1], generator=torch.Generator().manual_seed(0))]
    for one, other in zip(autoencoder.encode(cloud), autoencoder.encode(shuffled), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_shape_is_encoded_and_asked_alike_alone_and_in_a_batch(autoencoder, cloud, query_points):
    together = autoencoder(cloud, query_points).logits
    alone = torch.cat([autoencoder(cloud[i : i + 1], query_points[i : i + 1]).logits for i in range(2)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 17, 1000])
def test_any_number_of_input_points_can_be_encoded(autoencoder, count):
    latents = autoencoder.encode(torch.randn(1, count, 3))
    assert [z.shape[1] for z in latents] == [32, 12, 5]
    assert all(torch.isfinite(z).all() for z in latents)


def test_chunks_of_queries_change_nothing(autoencoder, cloud, query_points):
    field = autoencoder.decode(autoencoder.encode(cloud))
    torch.testing.assert_close(field(query_points), field(query_points, chunk=7), atol=1e-5, rtol=1e-4)


def test_a_field_made_under_autocast_answers_outside_of_it(autoencoder, cloud, query_points):
    plain = autoencoder(cloud, query_points).logits
    with torch.autocast("cpu", torch.bfloat16):
        field = autoencoder.decode(autoencoder.encode(cloud))
    torch.testing.assert_close(field(query_points), plain, atol=0.05, rtol=0.05)


def test_a_selected_field_answers_as_its_place_in_the_batch(autoencoder, cloud, query_points):
    field = autoencoder.decode(autoencoder.encode(cloud))
    torch.testing.assert_close(field.select(1)(query_points[1]), field(query_points)[1], atol=1e-5, rtol=1e-4)


def test_the_order_of_latents_inside_a_set_does_not_change_the_field(autoencoder, cloud, query_points):
    latents = autoencoder.encode(cloud)
    shuffled = [z[:, torch.randperm(z.shape[1], generator=torch.Generator().manual_seed(4))] for z in latents]
    torch.testing.assert_close(
        autoencoder.decode(latents)(query_points), autoencoder.decode(shuffled)(query_points), atol=1e-5, rtol=1e-4
    )


def test_every_level_reaches_the_logits(autoencoder, cloud, query_points):
    latents = autoencoder.encode(cloud)
    logits = autoencoder.decode(latents)(query_points)
    for index in range(len(LEVELS)):
        changed = [z if i != index else z + 1 for i, z in enumerate(latents)]
        assert (autoencoder.decode(changed)(query_points) - logits).abs().max() > 1e-4


def test_a_shape_decoded_from_a_coarser_level_on_has_zeros_for_the_finer_ones(autoencoder, cloud, query_points):
    finest = torch.arange(len(cloud)) % 3 + 1
    logits = autoencoder(cloud, query_points, finest=finest).logits
    latents = autoencoder.encode(cloud)
    for index, level in enumerate(finest.tolist()):
        kept = [z if number >= level else torch.zeros_like(z) for number, z in enumerate(latents, start=1)]
        expected = autoencoder.decode(kept)(query_points)[index]
        torch.testing.assert_close(logits[index], expected, rtol=1e-4, atol=1e-5)


def test_double_skip_adds_the_features_once_more_before_self_attention():
    levels = [LevelSpec(8, 4, depth=0), LevelSpec(4, 4, depth=0)]
    torch.manual_seed(0)
    double = Autoencoder(levels=levels, width=64, skip="double").eval()
    single = Autoencoder(levels=levels, width=64, skip="single").eval()
    single.load_state_dict(double.state_dict())
    latents = [torch.randn(1, 8, 4), torch.randn(1, 4, 4)]
    features = double.bottlenecks[0].to_features(latents[0])
    resampled = double.upsample[0](features, double.bottlenecks[1].to_features(latents[1]))
    for model, expected in ((single, resampled), (double, features + resampled)):
        keys, values = model.decode(latents).keys_values[0]
        expected_keys, expected_values = model.query_attention[0].keys_values(expected)
        torch.testing.assert_close(keys, expected_keys)
        torch.testing.assert_close(values, expected_values)


def test_one_level_is_vecset(cloud, query_points):
    """The expected result is Fig. 3, written out: CA(PE(FPS(P)), PE(P)), bottleneck, SAs, CA(PE(p), F), FC."""
    torch.manual_seed(0)
    model = Autoencoder(levels=[LevelSpec(16, 8, depth=3, bottleneck="kl")], width=64).eval()
    embedded = model.point_embedding(cloud)
    from lagem.models.furthest_points import furthest_point_order

    anchors = cloud.gather(1, furthest_point_order(cloud, 16).unsqueeze(-1).expand(-1, -1, 3))
    encoder, bottleneck = model.downsample[0], model.bottlenecks[0]
    x = model.point_embedding(anchors)
    x = x + encoder.attention(x, embedded)
    x = x + encoder.feed_forward(x)
    x = bottleneck.up(bottleneck.mean(x))
    for block in model.self_attention[0]:
        x = x + block.attention(x)
        x = x + block.feed_forward(x)
    logits = model.to_logits(model.query_attention[0](model.point_embedding(query_points), x)).squeeze(-1)
    torch.testing.assert_close(model(cloud, query_points).logits, logits, atol=1e-5, rtol=1e-4)


def test_kl_is_that_of_a_gaussian_and_its_sample_has_its_variance():
    torch.manual_seed(0)
    model = Autoencoder(levels=[LevelSpec(4, 3, bottleneck="kl", depth=0)], width=64)
    features = torch.randn(2, 4, 64)
    bottleneck = model.bottlenecks[0]
    mean, kl = bottleneck.to_latents(features)
    posterior = torch.distributions.Normal(mean, (0.5 * bottleneck.log_variance(features)).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean(dim=(1, 2))
    torch.testing.assert_close(kl, expected)
    draws = torch.stack(
        [
            bottleneck.to_latents(features, [torch.Generator().manual_seed(2 * s + i) for i in range(2)])[0]
            for s in range(2000)
        ]
    )
    torch.testing.assert_close(draws.std(0), posterior.stddev, rtol=0.1, atol=0)


def test_attention_matches_the_written_out_softmax():
    torch.manual_seed(0)
    attention = Attention(width=128, cross=True)
    x, context = torch.randn(1, 5, 128), torch.randn(1, 7, 128)
    q = attention.to_q(attention.norm(x))[0]
    k, v = attention.to_kv(attention.norm_context(context))[0].split(128, dim=-1)
    heads = []
    for head in range(2):
        channels = slice(64 * head, 64 * head + 64)
        weights = F.softmax(q[:, channels] @ k[:, channels].T / 8, dim=-1)
        heads.append(weights @ v[:, channels])
    torch.testing.assert_close(attention(x, context)[0], attention.to_out(torch.cat(heads, -1)), atol=1e-5, rtol=1e-4)


def test_embedding_orders_sines_cosines_and_coordinates_as_published():
    embedding = PointEmbedding(width=64)
    point = torch.tensor([0.3, -0.7, 0.11])
    phases = [float(c) * math.pi * 2**k for c in point for k in range(8)]
    table = torch.tensor([math.sin(p) for p in phases] + [math.cos(p) for p in phases] + point.tolist())
    torch.testing.assert_close(embedding(point), embedding.linear(table), atol=1e-4, rtol=1e-4)


def test_autocast_keeps_the_phases_of_the_embedding_exact():
    embedding = PointEmbedding(width=64)
    seen = []
    embedding.linear.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    points = torch.rand(100, 3)
    embedding(points)
    with torch.autocast("cpu", torch.bfloat16):
        embedding(points)
    assert torch.equal(*seen)


def test_recomputed_activations_give_the_same_gradients(cloud, query_points):
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = Autoencoder(levels=LEVELS, width=64, checkpoint_activations=recompute)
        model(cloud, query_points).logits.square().mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_levels_that_run_coarse_to_fine_are_refused_in_the_users_words():
    with pytest.raises(ValueError, match=r"a level with 16 latents follows one with 8"):
        Autoencoder(levels=[LevelSpec(8, 4), LevelSpec(16, 4)], width=64)


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 64"):
        Autoencoder(levels=LEVELS, width=100)
