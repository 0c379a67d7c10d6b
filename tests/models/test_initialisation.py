"""Local and anchored initial weights make points attend to near points; anchored ones let latents hold positions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lagem.levels import LevelSpec
from lagem.models.attention import Attention
from lagem.models.autoencoder import Autoencoder
from lagem.models.initialisation import start_anchored, start_local


def network(
    start: Callable[[Autoencoder], None] | None = None, dims: int = 8, bottleneck: str = "standardised", levels: int = 2
) -> Autoencoder:
    torch.manual_seed(0)
    specs = [LevelSpec(count, dims, depth=1, bottleneck=bottleneck) for count in (64, 16)[:levels]]
    made = Autoencoder(levels=specs, width=128)
    if start is not None:
        start(made)
    return made


def share_within(attention: Attention, embedded: Tensor, keys: Tensor, points: Tensor, radius: float) -> float:
    """Return the mean over points of the fraction of a point's attention that goes to points within `radius`."""
    queries = attention.to_q(attention.norm(embedded)).unflatten(-1, (-1, 64)).transpose(1, 2)
    weights = (queries @ keys.transpose(-1, -2) / 8).softmax(dim=-1)
    near = torch.cdist(points, points)[:, None] < radius
    return float((weights * near).sum(dim=-1).mean())


def share_of_attention_within(autoencoder: Autoencoder, radius: float) -> float:
    """Return `share_within` for the first cross attention, from anchors to points."""
    points = torch.rand(1, 512, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    attention, embedded = autoencoder.downsample[0].attention, autoencoder.point_embedding(points)
    keys, _ = attention.keys_values(embedded)
    return share_within(attention, embedded, keys, points, radius)


@torch.no_grad()
def test_attention_is_to_what_is_near():
    """Uniform attention would give about 1.4% to points within 0.3: the ball's share of the cube, 4/3 pi 0.3^3 / 8."""
    assert share_of_attention_within(network(), 0.3) < 0.05
    assert share_of_attention_within(network(start_local), 0.3) > 0.2


def share_of_queries_within(autoencoder: Autoencoder, radius: float) -> float:
    """Return `share_within` for the attention of the finest level, from queries at the anchors to latents."""
    points = torch.rand(1, 64, 3, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.6
    field = autoencoder.decode(autoencoder.encode(points, anchor_indices=torch.arange(64)[None]))
    keys, _ = field.keys_values[0]
    embedded = autoencoder.point_embedding(points)
    return share_within(autoencoder.query_attention[0], embedded, keys, points, radius)


KINDS = pytest.mark.parametrize("bottleneck", ["standardised", "kl"])


@KINDS
@torch.no_grad()
def test_queries_begin_with_the_latents_around_them(bottleneck):
    """About a tenth of the 64 latents are within 0.4 of a query, so uniform attention would give them a tenth."""
    assert share_of_queries_within(network(start_local, bottleneck=bottleneck), 0.4) < 0.15
    assert share_of_queries_within(network(start_anchored, bottleneck=bottleneck), 0.4) > 0.3


@KINDS
def test_an_anchored_start_is_finite_for_latents_wider_than_the_embedding(bottleneck):
    made = network(start_anchored, dims=96, bottleneck=bottleneck)
    assert all(torch.isfinite(tensor).all() for tensor in made.state_dict().values())


def points_decoded(autoencoder: Autoencoder, points: Tensor, generators: list[torch.Generator] | None) -> Tensor:
    """Encode points with every point as an anchor of level 1, and decode the latent of each anchor to features.

    Return one point for each anchor of each level. It is the point of a 25 x 25 x 25 grid whose embedding is nearest to
    the features of that anchor.
    """
    axis = torch.linspace(-0.6, 0.6, 25)
    grid = torch.cartesian_prod(axis, axis, axis)
    anchors = torch.arange(len(points))[None]
    latents = autoencoder.encode(points[None], anchor_indices=anchors, generators=generators)
    features = [b.to_features(z)[0] for b, z in zip(autoencoder.bottlenecks, latents, strict=True)]
    return grid[torch.cdist(torch.cat(features), autoencoder.point_embedding(grid)).argmin(dim=-1)]


@pytest.mark.parametrize("levels", [1, 2], ids=["VecSet", "two levels"])
@torch.no_grad()
def test_latents_of_kl_levels_start_as_the_positions_of_their_anchors_and_so_do_samples(levels):
    points = torch.rand(64, 3, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.6
    anchors = torch.cat([points, points[:16]][:levels])

    def error(start: Callable[[Autoencoder], None], generators: list[torch.Generator] | None = None) -> float:
        made = network(start, bottleneck="kl", levels=levels)
        return float((points_decoded(made, points, generators) - anchors).norm(dim=-1).mean())

    assert error(start_local) > 0.4
    assert error(start_anchored) < 0.2
    assert error(start_anchored, [torch.Generator().manual_seed(2)]) < 0.2


@torch.no_grad()
def test_the_noise_of_a_kl_level_starts_weaker_than_its_signal():
    """With torch's default initial weights, the noise would be stronger than the signal."""
    points = torch.rand(1, 64, 3, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.6
    ratios = []
    for start in (start_local, start_anchored):
        made = network(start, bottleneck="kl", levels=1)
        anchors = torch.arange(64)[None]
        (mean,) = made.encode(points, anchor_indices=anchors)
        (sample,) = made.encode(points, anchor_indices=anchors, generators=[torch.Generator().manual_seed(2)])
        ratios.append(float((sample - mean).var() / mean.flatten(0, 1).var(dim=0).mean()))
    assert ratios[0] > 5 and ratios[1] < 0.02


@torch.no_grad()
def test_a_small_move_changes_the_embedding_less():
    points = torch.rand(256, 3, generator=torch.Generator().manual_seed(1))
    changes = []
    for start in (None, start_local):
        embedding = network(start).point_embedding
        moved = embedding(points + 0.01)
        changes.append(float((moved - embedding(points)).norm() / moved.norm()))
    assert changes[1] < changes[0] / 2


def test_only_first_values_differ():
    published, local = network().state_dict(), network(start_local).state_dict()
    assert {name: tensor.shape for name, tensor in published.items()} == {n: t.shape for n, t in local.items()}
    changed = {name for name in published if not torch.equal(published[name], local[name])}
    assert all("point_embedding" in name or "to_q" in name or "to_kv" in name for name in changed)
    assert not any("self_attention" in name for name in changed)
