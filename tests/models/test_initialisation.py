"""The local start: what is near is attended to before anything was learned."""

import torch

from lagem.levels import LevelSpec
from lagem.models import Autoencoder
from lagem.models.initialisation import start_anchored, start_local


def network(local: bool = False, anchored: bool = False, dims: int = 8) -> Autoencoder:
    torch.manual_seed(0)
    made = Autoencoder(levels=[LevelSpec(64, dims, depth=1), LevelSpec(16, dims, depth=1)], width=128)
    if local:
        start_local(made)
    if anchored:
        start_anchored(made)
    return made


def share_of_attention_within(autoencoder: Autoencoder, radius: float) -> float:
    """Mean share of the first cross attention that an anchor gives to points within `radius` of it."""
    points = torch.rand(1, 512, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    attention = autoencoder.downsample[0].attention
    embedded = autoencoder.point_embedding(points)
    keys, _ = attention.keys_values(embedded)
    queries = attention.to_q(attention.norm(embedded)).unflatten(-1, (-1, 64)).transpose(1, 2)
    weights = (queries @ keys.transpose(-1, -2) / 8).softmax(dim=-1)
    near = torch.cdist(points, points)[:, None] < radius
    return float((weights * near).sum(dim=-1).mean())


@torch.no_grad()
def test_attention_is_to_what_is_near():
    """Of points uniform in the cube, those within .3 are 1.4% (4/3 pi .3^3 / 8)."""
    assert share_of_attention_within(network(local=False), 0.3) < 0.05
    assert share_of_attention_within(network(local=True), 0.3) > 0.2


def share_of_queries_within(autoencoder: Autoencoder, radius: float) -> float:
    """Mean share of the finest level's attention that a query at an anchor gives to latents of anchors near it."""
    points = torch.rand(1, 64, 3, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.6
    attention = autoencoder.query_attention[0]
    field = autoencoder.decode(autoencoder.encode(points, anchor_indices=torch.arange(64)[None]))
    keys, _ = field._keys_values[0]
    queries = attention.to_q(attention.norm(autoencoder.point_embedding(points))).unflatten(-1, (-1, 64))
    weights = (queries.transpose(1, 2) @ keys.transpose(-1, -2) / 8).softmax(dim=-1)
    near = torch.cdist(points, points)[:, None] < radius
    return float((weights * near).sum(dim=-1).mean())


@torch.no_grad()
def test_queries_begin_with_the_latents_around_them():
    """An even share over the 64 latents would be that of those within .4: about a tenth."""
    assert share_of_queries_within(network(local=True), 0.4) < 0.15
    assert share_of_queries_within(network(anchored=True), 0.4) > 0.3


def test_an_anchored_start_is_finite_for_latents_wider_than_the_embedding():
    assert all(torch.isfinite(tensor).all() for tensor in network(anchored=True, dims=96).state_dict().values())


@torch.no_grad()
def test_a_small_move_changes_the_embedding_less():
    points = torch.rand(256, 3, generator=torch.Generator().manual_seed(1))
    changes = []
    for local in (False, True):
        embedding = network(local).point_embedding
        moved = embedding(points + 0.01)
        changes.append(float((moved - embedding(points)).norm() / moved.norm()))
    assert changes[1] < changes[0] / 2


def test_only_first_values_differ():
    published, local = network(local=False).state_dict(), network(local=True).state_dict()
    assert {name: tensor.shape for name, tensor in published.items()} == {n: t.shape for n, t in local.items()}
    changed = {name for name in published if not torch.equal(published[name], local[name])}
    assert all("point_embedding" in name or "to_q" in name or "to_kv" in name for name in changed)
    assert not any("self_attention" in name for name in changed)
