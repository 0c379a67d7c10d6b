"""Attention between sets of vectors, and the transformer block from which the networks are built.

Letters: B shapes, Q vectors that attend, M vectors of the context, C feature channels, H heads, W channels of a head.
"""

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagem.models.embedding import PointFeatures, normed_map
from lagem.models.recomputation import linear_of

HEAD_WIDTH = 64

KeysValues = tuple[Tensor, Tensor]
Step = Literal["plain", "lean", "leanest"]


class Attention(nn.Module):
    """Pre-LayerNorm softmax attention with heads of 64 channels, or with a single head.

    head_width: W, the number of channels of a head.

    Args:
        width: C, the number of channels, a multiple of 64.
        cross: Whether the context is another set, which then has a separate LayerNorm.
        single_head: Whether there is one head of C channels.
        normed: Whether this layer has the LayerNorms; if not, the caller must normalise, e.g. adaptively.
        step: `plain` keeps normalised vectors for the backward pass; `lean` and `leanest` recompute them.
    """

    def __init__(
        self, *, width: int, cross: bool, single_head: bool = False, normed: bool = True, step: Step = "plain"
    ) -> None:
        super().__init__()
        if width % HEAD_WIDTH:
            raise ValueError(f"width must be a multiple of {HEAD_WIDTH} (the head width), but {width} was given.")
        self.head_width = width if single_head else HEAD_WIDTH
        self.step: Step = step
        self.norm = _norm(width, normed)
        self.norm_context = _norm(width, normed) if cross else None
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | PointFeatures | None = None) -> Tensor:
        """Attend from `x` to a context.

        Args:
            x: (B, Q, C) vectors that attend.
            context: (B, M, C) vectors or embedded points; None for self attention.

        Returns:
            (B, Q, C) vectors.
        """
        if isinstance(context, PointFeatures):
            return self._attend_points(x, context)
        if self.norm_context is not None:
            assert context is not None, "cross attention needs a context"
            return self.attend(x, self.keys_values(context))
        if self.step == "plain":
            x = self.norm(x)
            queries, keys_values = self.to_q(x), self.to_kv(x)
        else:
            queries, keys_values = linear_of(_normed, [x, *_norm_of(self.norm)], [self.to_q, self.to_kv])
        return self._attend(queries, self._split(keys_values))

    def keys_values(self, context: Tensor) -> KeysValues:
        """Return the keys and values of a (B, M, C) context, each (B, H, M, W); `attend` can use them repeatedly."""
        assert self.norm_context is not None, "only cross attention has a context"
        return self._split(self._projected(self.norm_context, self.to_kv, context))

    def attend(self, x: Tensor, keys_values: KeysValues) -> Tensor:
        """Attend from `x` (B, Q, C) to a context, given its keys and values; returns (B, Q, C)."""
        return self._attend(self._projected(self.norm, self.to_q, x), keys_values)

    def _projected(self, norm: nn.Module, linear: nn.Linear, x: Tensor) -> Tensor:
        if self.step == "plain":
            return linear(norm(x))
        return linear_of(_normed, [x, *_norm_of(norm)], [linear])[0]

    def _split(self, keys_values: Tensor) -> KeysValues:
        keys, values = keys_values.chunk(2, dim=-1)
        return self._heads(keys), self._heads(values)

    def _heads(self, x: Tensor) -> Tensor:
        """Reshape (B, M, C) vectors to (B, H, M, W); heads are contiguous groups of channels."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)

    def _attend(self, projected: Tensor, keys_values: KeysValues) -> Tensor:
        queries, (keys, values) = self._heads(projected), keys_values
        # Stored keys and values may have been computed under autocast, and the queries without it.
        attended = F.scaled_dot_product_attention(queries.to(keys.dtype), keys, values).to(queries.dtype)
        return self.to_out(attended.transpose(1, 2).flatten(-2))

    def _attend_points(self, x: Tensor, points: PointFeatures) -> Tensor:
        """Attend to embedded points without computing their keys and values.

        Keys and values are linear in psi, the vector that `lagem.models.embedding` defines for each point. So queries
        are mapped from W channels to the E + 1 channels of psi, and the attention-weighted mean of psi is mapped back
        to W channels. As all heads share psi, they are computed as one head with H times as many queries.
        """
        queries = self._heads(self._projected(self.norm, self.to_q, x))
        with torch.autocast(x.device.type, enabled=False):
            normed = normed_map(cast(nn.LayerNorm, self.norm_context), points.centred)
            keys, values = (self.to_kv.weight.to(normed.dtype) @ normed).unflatten(0, (2, -1, self.head_width))
        asked = queries @ keys.to(queries.dtype)  # (B, H, Q, E + 1)
        psi = points.psi.to(queries.dtype).unsqueeze(1)
        attended = F.scaled_dot_product_attention(
            asked.flatten(1, 2).unsqueeze(1), psi, psi, scale=self.head_width**-0.5
        ).view_as(asked)
        return self.to_out((attended @ values.mT.to(queries.dtype)).transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Pre-LayerNorm GEGLU layer with 4C hidden channels.

    Args:
        width: C, the number of channels of input and output.
        normed: Whether this layer has the LayerNorm; if not, the caller must normalise.
        step: What is kept for the backward pass. `plain` keeps 18C numbers per vector. `lean` keeps the input and the
            8C outputs of the first linear layer, and recomputes no matrix product. `leanest` keeps only the input, and
            also recomputes the first linear layer.
    """

    def __init__(self, *, width: int, normed: bool = True, step: Step = "plain") -> None:
        super().__init__()
        self.step: Step = step
        self.norm = _norm(width, normed)
        self.expand = nn.Linear(width, 8 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, Q, C) to (B, Q, C)."""
        if self.step == "plain":
            return self.contract(_gated(self.expand(self.norm(x))))
        inputs = [x, *_norm_of(self.norm)]
        if self.step == "lean":
            expanded = linear_of(_normed, inputs, [self.expand])
            return linear_of(_gated, expanded, [self.contract])[0]
        return linear_of(_expanded, [*inputs, self.expand.weight, self.expand.bias], [self.contract])[0]


class Block(nn.Module):
    """Residual attention followed by a residual feed-forward layer.

    Args:
        width: C, the number of channels, a multiple of 64.
        cross: Whether vectors attend to another set, the context, instead of to each other.
        single_head: Whether the attention has one head of C channels.
        step: How much the backward pass recomputes to save memory: nothing (`plain`), some (`lean`) or most
            (`leanest`). `Attention` and `FeedForward` say what each choice keeps.
    """

    def __init__(self, *, width: int, cross: bool, single_head: bool = False, step: Step = "plain") -> None:
        super().__init__()
        self.attention = Attention(width=width, cross=cross, single_head=single_head, step=step)
        self.feed_forward = FeedForward(width=width, step=step)

    def forward(self, x: Tensor, context: Tensor | PointFeatures | None = None) -> Tensor:
        """Map (B, Q, C) to (B, Q, C)."""
        x = self.attention(x, context) + x
        return self.feed_forward(x) + x


def _norm(width: int, normed: bool) -> nn.Module:
    return nn.LayerNorm(width) if normed else nn.Identity()


def _norm_of(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a LayerNorm."""
    assert isinstance(norm, nn.LayerNorm), "a layer without its LayerNorm cannot recompute normalised vectors"
    return norm.weight, norm.bias


def _normed(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], gamma, beta)


def _gated(expanded: Tensor) -> Tensor:
    value, gate = expanded.chunk(2, dim=-1)
    return value * F.gelu(gate)


def _expanded(x: Tensor, gamma: Tensor, beta: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _gated(F.linear(_normed(x, gamma, beta), weight, bias))
