"""The query decoder (Eq. 9) in two forms: layer by layer, and folded. The folded form is exact, not an approximation.

The attention scores of a query point p are linear in psi(p) (`lagem.models.embedding`), and all layers after the
softmax are linear. So the weights can be multiplied in advance ("folded"). For each latent and head of a level, this
gives a row of E + 1 numbers and a single value. The product of the row with psi(p) is the score, and the mean of the
values, weighted by the softmax of the scores, is added to the logit. A query then needs no LayerNorm, no projection and
no 64-channel values.

Letters: B shapes, P points, M latents of a level, C feature channels, H heads, E = 6 * octaves + 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from lagem.models.attention import Attention, KeysValues
from lagem.models.embedding import PointEmbedding, normed_map, point_features
from lagem.models.recomputation import recomputed

SCORES_AT_ONCE = 2**22  # number of scores per shape that a training step computes at once: 16 MiB


class FoldedLevel(NamedTuple):
    """The folded weights of one level, which serve any number of queries.

    Its contribution to the logit of a query is constant + sum over h, m of softmax_m(rows[h] @ psi)[m] * values[h, m].
    Here psi is the vector of E + 1 numbers that `lagem.models.embedding` defines for the query point.

    rows: (B, H, M, E + 1).
    values: (B, H, M).
    constant: ().
    """

    rows: Tensor
    values: Tensor
    constant: Tensor


@dataclass(frozen=True)
class QueryDecoder:
    """The layers of a network that answer queries (Eq. 9). They are shared with the network, not copied."""

    embedding: PointEmbedding
    attentions: Sequence[Attention]
    to_logits: nn.Linear

    @property
    def eps(self) -> float:
        """The eps of the LayerNorms that are applied to queries; all levels have the same eps."""
        return cast(nn.LayerNorm, self.attentions[0].norm).eps

    def plain(self, query_points: Tensor, keys_values: Sequence[KeysValues]) -> Tensor:
        """Return the (B, P) logits of (B, P, 3) points, layer by layer. This is the reference for the folded form."""
        embedded = self.embedding(query_points)
        answers = [
            attention.attend(embedded, level_keys_values)
            for attention, level_keys_values in zip(self.attentions, keys_values, strict=True)
        ]
        # Concatenated coarsest first, [F_L ... F_1], as in the published weights.
        return self.to_logits(torch.cat(answers[::-1], dim=-1)).squeeze(-1)

    def fold(self, keys_values: Sequence[KeysValues], directions: Tensor) -> list[FoldedLevel]:
        """Fold all levels, and return them fine to coarse, with the dtype of `directions`.

        The folded levels do not include the bias of `to_logits`: add it once to the sum of their contributions.

        Args:
            keys_values: Keys and values of the levels, fine to coarse.
            directions: A (C, E) matrix: either W~, or a D with D R = W~ for some (E, E) matrix R. With D, the folded
                rows must be multiplied with [R r(p) e(p), 1] instead of psi(p) = [r(p) e(p), 1].
        """
        readouts = self.to_logits.weight.to(directions.dtype)[0].chunk(len(self.attentions))[::-1]
        return [
            _fold_level(attention, level_keys_values, directions, readout)
            for attention, level_keys_values, readout in zip(self.attentions, keys_values, readouts, strict=True)
        ]

    def folded(self, query_points: Tensor, keys_values: Sequence[KeysValues]) -> Tensor:
        """Return the (B, P) logits of (B, P, 3) points in the folded form; the backward pass recomputes the scores."""
        psi, centred = point_features(self.embedding, query_points, self.eps)
        with torch.autocast(query_points.device.type, enabled=False):
            logits = self.to_logits.bias.to(psi.dtype)
            for rows, values, constant in self.fold(keys_values, centred):
                chunk = max(1, SCORES_AT_ONCE // values[0].numel())
                parts = [recomputed(attended, part, rows, values) for part in psi.split(chunk, dim=1)]
                logits = logits + constant + torch.cat(parts, dim=1)
        return logits


def _fold_level(attention: Attention, keys_values: KeysValues, directions: Tensor, readout: Tensor) -> FoldedLevel:
    dtype, head_width, (keys, values) = directions.dtype, attention.head_width, keys_values
    projected = attention.to_q.weight.to(dtype) @ normed_map(cast(nn.LayerNorm, attention.norm), directions)
    rows = keys.to(dtype) @ (projected.unflatten(0, (-1, head_width)) / head_width**0.5)
    read = (readout @ attention.to_out.weight.to(dtype)).unflatten(0, (-1, head_width, 1))
    return FoldedLevel(rows, (values.to(dtype) @ read).squeeze(-1), readout @ attention.to_out.bias.to(dtype))


def attended(psi: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Return (B, P): for each point, the sum of `values` over heads and latents, weighted by each head's softmax."""
    scores = psi @ rows.flatten(1, 2).transpose(1, 2)  # (B, P, H M)
    weights = scores.unflatten(-1, values.shape[1:]).softmax(dim=-1)
    return (weights.flatten(-2) @ values.flatten(1).unsqueeze(-1)).squeeze(-1)
