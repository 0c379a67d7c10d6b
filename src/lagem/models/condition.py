"""Embed the condition of Eq. 10 as tokens for the network; a condition is a category, a vector or several tokens.

A learned null token represents a dropped or absent condition, which classifier-free guidance needs
(Ho & Salimans 2022).

Letters: B samples, T tokens, C feature channels.
"""

import torch
from torch import Tensor, nn


class ConditionEmbedding(nn.Module):
    """Embeds conditions as tokens. Exactly one of `num_categories` and `condition_dim` must be given.

    Args:
        width: C, the number of channels of a token.
        num_categories: Number of categories, if conditions are category indices.
        condition_dim: Number of channels, if conditions are embeddings, for example of an image or a text.
    """

    def __init__(self, *, width: int, num_categories: int | None = None, condition_dim: int | None = None) -> None:
        super().__init__()
        if (num_categories is None) == (condition_dim is None):
            raise ValueError(
                "a condition is either a category or an embedding, but num_categories "
                f"{num_categories} and condition_dim {condition_dim} were given. Give one of them."
            )
        self.condition_dim = condition_dim
        self.embed: nn.Module
        if num_categories is not None:
            self.embed = nn.Embedding(num_categories, width)
        else:
            assert condition_dim is not None
            self.embed = nn.Linear(condition_dim, width)
        self.null = nn.Parameter(torch.randn(width))

    def forward(self, condition: Tensor, drop: Tensor | None = None) -> Tensor:
        """Return the tokens of a batch.

        Args:
            condition: (B,) int64 category indices, or (B, condition_dim) or (B, T, condition_dim) embeddings.
            drop: (B,) bool, True for samples whose condition is replaced by the null token. None keeps all conditions.

        Returns:
            (B, T, C) tokens; T is 1 unless the embeddings have several tokens.
        """
        self._check(condition)
        tokens = self.embed(condition)
        if tokens.ndim == 2:
            tokens = tokens.unsqueeze(1)
        if drop is None:  # the null token still takes part: DDP needs a gradient, here 0, for every parameter
            drop = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        # T null tokens act like one, because attention averages equal values.
        return torch.where(drop[:, None, None], self.null.to(tokens.dtype), tokens)

    def null_tokens(self, batch_size: int) -> Tensor:
        """Return the (B, 1, C) tokens of samples without a condition."""
        return self.null.expand(batch_size, 1, -1)

    def _check(self, condition: Tensor) -> None:
        shape = tuple(condition.shape)
        if self.condition_dim is None:
            if condition.ndim != 1 or condition.is_floating_point():
                raise ValueError(
                    "the condition must be a category for each sample, (B,) integers, but a tensor of shape "
                    f"{shape} and type {condition.dtype} was given."
                )
        elif condition.ndim not in (2, 3) or shape[-1] != self.condition_dim:
            raise ValueError(
                f"the condition must have the shape (B, {self.condition_dim}) or (B, T, {self.condition_dim}), but "
                f"{shape} was given."
            )
