"""Attention between vector sets, and the one transformer block everything is built of.

Letters: B shapes, Q vectors that ask, M vectors of the context, C feature channels, H heads.
"""

import torch.nn.functional as F
from torch import Tensor, nn

HEAD_WIDTH = 64

KeysValues = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Pre-LayerNorm softmax attention with heads of 64 channels.

    Args:
        width: C, a multiple of 64.
        cross: Whether the context is another set, with a LayerNorm of its own.
        normed: Whether the LayerNorms are here; without them the caller normalises, e.g. adaptively.
    """

    def __init__(self, *, width: int, cross: bool, normed: bool = True) -> None:
        super().__init__()
        if width % HEAD_WIDTH:
            raise ValueError(f"width must be a multiple of {HEAD_WIDTH} (the head width), but {width} was given.")
        self.norm = _norm(width, normed)
        self.norm_context = _norm(width, normed) if cross else None
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Attend from `x` (B, Q, C) to `context` (B, M, C), or to `x` itself; returns (B, Q, C)."""
        x = self.norm(x)
        if self.norm_context is None:
            return self._attend(x, self._split(self.to_kv(x)))
        assert context is not None, "cross attention needs a context"
        return self._attend(x, self.keys_values(context))

    def keys_values(self, context: Tensor) -> KeysValues:
        """Keys and values (each (B, H, M, 64)) of a context (B, M, C), for any number of later queries."""
        assert self.norm_context is not None, "only cross attention has a context"
        return self._split(self.to_kv(self.norm_context(context)))

    def attend(self, x: Tensor, keys_values: KeysValues) -> Tensor:
        """Attend from `x` (B, Q, C) to a context whose keys and values are already there."""
        return self._attend(self.norm(x), keys_values)

    def _split(self, keys_values: Tensor) -> KeysValues:
        keys, values = keys_values.chunk(2, dim=-1)
        return _heads(keys), _heads(values)

    def _attend(self, normed: Tensor, keys_values: KeysValues) -> Tensor:
        queries, (keys, values) = _heads(self.to_q(normed)), keys_values
        # Kept keys and values may have been made under autocast, where the later queries are not.
        attended = F.scaled_dot_product_attention(queries.to(keys.dtype), keys, values).to(queries.dtype)
        return self.to_out(attended.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Pre-LayerNorm GEGLU layer with 4C hidden channels.

    Args:
        width: C.
        normed: Whether the LayerNorm is here; without it the caller normalises.
    """

    def __init__(self, *, width: int, normed: bool = True) -> None:
        super().__init__()
        self.norm = _norm(width, normed)
        self.expand = nn.Linear(width, 8 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, Q, C) to (B, Q, C)."""
        value, gate = self.expand(self.norm(x)).chunk(2, dim=-1)
        return self.contract(value * F.gelu(gate))


class Block(nn.Module):
    """Residual attention, then residual feed-forward: self attention, or resampling to `x` from a context."""

    def __init__(self, *, width: int, cross: bool) -> None:
        super().__init__()
        self.attention = Attention(width=width, cross=cross)
        self.feed_forward = FeedForward(width=width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map (B, Q, C) to (B, Q, C)."""
        x = self.attention(x, context) + x
        return self.feed_forward(x) + x


def _norm(width: int, normed: bool) -> nn.Module:
    return nn.LayerNorm(width) if normed else nn.Identity()


def _heads(x: Tensor) -> Tensor:
    """(B, M, C) to (B, H, M, 64); heads are contiguous groups of channels."""
    return x.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2)
