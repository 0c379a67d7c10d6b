"""The occupancy field that latents decode to, and its precomputed ("folded") form for one shape.

Letters: B shapes, Q query points, M latents of a level, C feature channels, H heads, E = 6 * octaves + 4.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lagem.models.attention import KeysValues
from lagem.models.embedding import centred_weight
from lagem.models.queries.decoder import FoldedLevel, QueryDecoder

LARGEST_EXPONENT = 60.0  # e^60, times the number of latents and their values, stays far below the largest float32
DEEPEST_SHIFT = 60.0  # e^-60 is e^27 times the smallest normal float32
LARGEST_SUM = 1e10  # if the magnitudes of a level's `values` have a larger sum, torch's softmax is used
SCORES_IN_CACHE = 2**20  # number of scores computed at once on a CPU: 4 MiB
SCORES_ON_DEVICE = 2**26  # number of scores computed at once on other devices
ROWS_OF_A_GROUP = 512  # rows of a HeadGroup; with this number, a CPU answers 2,048 queries at once


class Field:
    """The occupancy field of decoded latents. Their keys and values are computed once, for any number of queries.

    Args:
        decoder: The layers that answer queries.
        keys_values: Keys and values of the levels, fine to coarse.
        fold: Whether to multiply the decoder's weights with the keys and values in advance ("fold" them), which gives
            the same logits faster. Without gradients the weights are folded once per shape (`FoldedShape`), and with
            gradients at each call. If False, queries are answered layer by layer.
    """

    def __init__(self, decoder: QueryDecoder, keys_values: Sequence[KeysValues], *, fold: bool = True) -> None:
        self.decoder = decoder
        self.keys_values = keys_values
        self._fold = fold
        self._shapes: list[FoldedShape] | None = None

    def __call__(self, query_points: Tensor, *, chunk: int = 65536) -> Tensor:
        """Return the logits of occupancy (Eq. 9), positive inside. Gradients reach points, latents and weights.

        Args:
            query_points: (B, Q, 3) in the unit-sphere frame.
            chunk: Maximum number of queries per shape that are answered at once.

        Returns:
            (B, Q) logits.
        """
        num_shapes = len(self.keys_values[0][0])
        if len(query_points) != num_shapes:
            raise ValueError(
                f"the field is that of {num_shapes} shape(s), but queries for {len(query_points)} were given."
            )
        if self._fold and not torch.is_grad_enabled():
            if self._shapes is None:
                self._shapes = fold_shapes(self.decoder, self.keys_values)
            return torch.stack(
                [shape(points, chunk=chunk) for shape, points in zip(self._shapes, query_points, strict=True)]
            )
        answer = self.decoder.folded if self._fold else self.decoder.plain
        return torch.cat([answer(part, self.keys_values) for part in query_points.split(chunk, dim=1)], dim=1)

    def select(self, index: int) -> Callable[[Tensor], Tensor]:
        """Return the field of one shape of the batch, which maps (Q, 3) points to (Q,) logits."""
        one = slice(index, index + 1)
        own = Field(self.decoder, [(keys[one], values[one]) for keys, values in self.keys_values], fold=self._fold)
        return lambda points: own(points.unsqueeze(0)).squeeze(0)


class HeadGroup(NamedTuple):
    """h heads of a level, whose scores are computed by one matrix product.

    rows: (h M, E + 1). Their products with psi of a query (`lagem.models.embedding`) are the scores in base 2: the
        softmax weights are proportional to 2 ** score.
    sums: (h, 2, M), values and ones. Their products with these powers of 2 are the numerators and denominators of the
        softmax-weighted means of the values.
    """

    rows: Tensor
    sums: Tensor


class FoldedShape:
    """The folded field of one shape, without gradients: logit = constant + sum over heads of softmax times values.

    A softmax usually subtracts the maximum from the scores, so that their exponentials do not overflow. Here a bound of
    the scores makes that unnecessary. At a point p, let x = r(p) e(p), with r and e as in `lagem.models.embedding`. A
    latent m with the row [B_m | b_m] has the score B_m (R x) + b_m. The factor R makes |R e(p)|^2 the variance of the
    embedded point over channels, and r(p) is 1 / sqrt(variance + eps). So |R x| < 1 for every point in space, and the
    score is at most |B_m| + b_m (Cauchy-Schwarz). First, the mean over latents is subtracted from the scores, which
    does not change their softmax and makes the largest score at least 0. If the bound of these centred scores is at
    most LARGEST_EXPONENT + DEEPEST_SHIFT, a further shift of at most DEEPEST_SHIFT is subtracted from them. Then their
    exponentials do not overflow, and the sum of the exponentials is a normal number. A level with a larger bound, or
    with values too large to sum, uses torch's softmax, which finds the maximum.

    Args:
        levels: Folded levels of one shape (B = 1), in the basis of R x, in which all points have a length below 1.
        constant: () number that is added to every logit.
        factor: (E, E) matrix R.
        decoder: Layers that answer queries; only the embedding of points and its normalisation are used.
    """

    def __init__(
        self, levels: Sequence[FoldedLevel], *, constant: Tensor, factor: Tensor, decoder: QueryDecoder
    ) -> None:
        self._decoder = decoder
        self._dtype = torch.promote_types(decoder.to_logits.weight.dtype, torch.float32)
        self._constant, self._factor = constant.to(self._dtype), factor.to(self._dtype)
        self._groups: list[HeadGroup] = []
        self._levels: list[tuple[Tensor, Tensor]] = []  # for torch's softmax: rows, values
        for level in levels:
            rows, values = level.rows[0], level.values[0]
            rows = centred(rows)
            shift = (score_bound(rows) - LARGEST_EXPONENT).clamp(min=0)  # of each head
            is_bounded = shift.max() <= DEEPEST_SHIFT and values.abs().sum() <= LARGEST_SUM
            rows = torch.cat([rows[..., :-1] @ factor, rows[..., -1:]], dim=-1)
            if is_bounded:
                rows[..., -1] -= shift.unsqueeze(1)
                self._groups += self._grouped(rows / math.log(2), values)
            else:
                self._levels.append((rows.to(self._dtype), values.to(self._dtype)))

    def __call__(self, points: Tensor, *, chunk: int) -> Tensor:
        """Return the (Q,) logits of (Q, 3) points, computing at most `chunk` of them at once."""
        widest = max([len(group.rows) for group in self._groups] + [values.numel() for _, values in self._levels])
        room = SCORES_IN_CACHE if points.device.type == "cpu" else SCORES_ON_DEVICE
        chunk = min(chunk, max(room // widest, 1), max(len(points), 1))
        logits = self._constant.repeat(len(points))
        scores = logits.new_empty(widest * chunk)
        with torch.autocast(points.device.type, enabled=False):
            for part, out in zip(points.split(chunk), logits.split(chunk), strict=True):
                self._add_answers(out, part.to(self._dtype), scores)
        return logits

    def _add_answers(self, logits: Tensor, points: Tensor, scores: Tensor) -> None:
        waves = F.pad(self._decoder.embedding.waves(points), (0, 1), value=1.0)
        variance = (waves @ self._factor.T).square_().sum(dim=1, keepdim=True)
        psi = F.pad(waves.mul_((variance + self._decoder.eps).rsqrt_()), (0, 1), value=1.0).T
        for rows, sums in self._groups:
            weights = scores[: len(rows) * len(points)].view(len(rows), len(points))
            torch.mm(rows, psi, out=weights).exp2_()
            values, total = (sums @ weights.view(len(sums), sums.shape[2], len(points))).unbind(dim=1)
            logits += (values / total).sum(dim=0)
        for rows, values in self._levels:
            logits += ((rows @ psi).softmax(dim=1) * values.unsqueeze(-1)).sum(dim=(0, 1))

    def _grouped(self, rows: Tensor, values: Tensor) -> list[HeadGroup]:
        sums = torch.stack([values, torch.ones_like(values)], dim=1)
        heads = max(1, ROWS_OF_A_GROUP // values.shape[1])
        return [
            HeadGroup(some_rows.flatten(0, 1).to(self._dtype).contiguous(), some_sums.to(self._dtype).contiguous())
            for some_rows, some_sums in zip(rows.split(heads), sums.split(heads), strict=True)
        ]


def centred(rows: Tensor) -> Tensor:
    """Subtract the mean row from all rows, so that the scores of the M latents at any point have mean 0.

    Args:
        rows: (..., M, E + 1), one row [B_m | b_m] for each latent; `FoldedShape` defines the scores of latents.
    """
    return rows - rows.mean(dim=-2, keepdim=True)


def score_bound(rows: Tensor) -> Tensor:
    """Return, for each head, an upper bound of the scores of all latents at all points.

    Args:
        rows: (..., M, E + 1) rows of the M latents, in the basis of `FoldedShape`.

    Returns:
        (...) bounds.
    """
    return (rows[..., :-1].norm(dim=-1) + rows[..., -1]).amax(dim=-1)


def fold_shapes(decoder: QueryDecoder, keys_values: Sequence[KeysValues]) -> list[FoldedShape]:
    """Return the folded field of each shape of a batch; its weights are multiplied in float64."""
    centred = centred_weight(decoder.embedding, torch.float64)
    channels = len(centred)
    basis, factor = torch.linalg.qr(centred / channels**0.5)
    levels = decoder.fold(keys_values, basis * channels**0.5)
    constant = decoder.to_logits.bias[0].double() + sum(level.constant for level in levels)
    return [
        FoldedShape(
            [FoldedLevel(rows[one], values[one], level_constant) for rows, values, level_constant in levels],
            constant=constant,
            factor=factor,
            decoder=decoder,
        )
        for one in (slice(index, index + 1) for index in range(len(keys_values[0][0])))
    ]
