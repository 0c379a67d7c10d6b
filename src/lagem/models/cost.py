"""Cost of a training step before anything is run.

The step is traced on fake tensors, which have shapes but no memory: torch's own counter gives the
operations and saved-tensor hooks give the activations, so the figures follow every change of the model.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    grad: Sequence[int], query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any
) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


# torch's counter knows attention on CUDA but not its CPU kernel; the same formulas hold.
ATTENTION_ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


@dataclass(frozen=True)
class TrainingCost:
    """parameters: number of weights; operations: floating-point operations of one step, forward and backward,
    a multiplication and an addition counted as two; saved_bytes: activations kept for the backward pass."""

    parameters: int
    operations: int
    saved_bytes: int


def training_cost(
    *,
    levels: Sequence[LevelSpec],
    width: int,
    batch_size: int,
    num_surface_points: int,
    num_queries: int,
    bfloat16: bool = False,
    checkpoint_activations: bool = False,
) -> TrainingCost:
    """Cost of one training step of an autoencoder.

    Args:
        levels: Sizes of the levels, fine to coarse.
        width: C, feature channels.
        batch_size: B, shapes a step on one device.
        num_surface_points: N.
        num_queries: Volume and near queries together.
        bfloat16: Whether the step runs under bfloat16 autocast.
        checkpoint_activations: Whether self-attention blocks are recomputed.
    """
    with FakeTensorMode():
        autoencoder = Autoencoder(levels=levels, width=width, checkpoint_activations=checkpoint_activations)
        surface_points = torch.empty(batch_size, num_surface_points, 3)
        query_points = torch.empty(batch_size, num_queries, 3)
        anchors = torch.zeros(batch_size, levels[0].num_latents, dtype=torch.int64)
        operations, saved_bytes = count_step(autoencoder, surface_points, query_points, anchors, bfloat16=bfloat16)
    parameters = sum(parameter.numel() for parameter in autoencoder.parameters())
    return TrainingCost(parameters=parameters, operations=operations, saved_bytes=saved_bytes)


def count_step(
    autoencoder: Autoencoder, surface_points: Tensor, query_points: Tensor, anchors: Tensor, *, bfloat16: bool
) -> tuple[int, int]:
    """Operations and bytes saved for the backward pass in one step on the given tensors, real or fake."""
    held: dict[int, Tensor] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in autoencoder.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            held[storage] = tensor
        return tensor

    autocast = torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext()
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_CPU) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
            logits = autoencoder(surface_points, query_points, anchor_indices=anchors).logits
            loss = F.binary_cross_entropy_with_logits(logits.float(), torch.zeros_like(logits, dtype=torch.float32))
        saved_bytes = sum(tensor.untyped_storage().nbytes() for tensor in held.values())
        loss.backward()
    autoencoder.zero_grad(set_to_none=True)
    return counter.get_total_flops(), saved_bytes
