"""Compute the cost of a training step of an autoencoder, or of a stage of a cascade, without running it.

The step is traced on fake tensors, which have shapes but no memory. Torch's own counter counts the operations, and
saved-tensor hooks find the activations. So no formula has to be adapted when a model changes.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from lagem.levels import LevelSpec
from lagem.models.attention import Step
from lagem.models.autoencoder import Autoencoder
from lagem.models.denoiser import Backbone
from lagem.models.embedding import OCTAVES


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    grad: Sequence[int], query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any
) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


# torch's counter knows the CUDA kernels of attention, but not its CPU kernel; the same formulas hold.
ATTENTION_ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


@dataclass(frozen=True)
class TrainingCost:
    """Cost of one training step.

    parameters: number of weights.
    operations: number of floating-point operations of matrix products and attention, in the forward and backward pass;
        a multiplication and an addition count as two.
    saved_bytes: size of the activations that are kept for the backward pass, in bytes.
    """

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
    octaves: int = OCTAVES,
    bfloat16: bool = False,
    step: Step = "lean",
    checkpoint_activations: bool = False,
) -> TrainingCost:
    """Return the cost of one training step of an autoencoder.

    Args:
        levels: Sizes of the levels, fine to coarse.
        width: C, the number of feature channels.
        batch_size: B, the number of shapes per step on one device.
        num_surface_points: N, the number of input points per shape.
        num_queries: Number of queries per shape, volume queries and near-surface queries together.
        octaves: Number of frequencies of the point embedding.
        bfloat16: Whether the step runs under bfloat16 autocast.
        step: How the step is computed, as in `Autoencoder`.
        checkpoint_activations: Whether self-attention blocks are recomputed.
    """
    with FakeTensorMode():
        autoencoder = Autoencoder(
            levels=levels, width=width, octaves=octaves, step=step, checkpoint_activations=checkpoint_activations
        )
        surface_points = torch.empty(batch_size, num_surface_points, 3)
        query_points = torch.empty(batch_size, num_queries, 3)
        anchors = torch.zeros(batch_size, levels[0].num_latents, dtype=torch.int64)
        operations, saved_bytes = count_step(autoencoder, surface_points, query_points, anchors, bfloat16=bfloat16)
    parameters = sum(parameter.numel() for parameter in autoencoder.parameters())
    return TrainingCost(parameters=parameters, operations=operations, saved_bytes=saved_bytes)


@dataclass(frozen=True)
class StageCost(TrainingCost):
    """Cost of one training step of a stage, and of one evaluation of its network in sampling.

    evaluation: number of operations of one evaluation of the network for one sample. Heun's method takes 2 N - 1
        evaluations for N steps.
    """

    evaluation: int


def stage_cost(make_backbone: Callable[[], Backbone], *, batch_size: int, bfloat16: bool = False) -> StageCost:
    """Return the cost of one training step of a stage, and of one evaluation of its network in sampling.

    Args:
        make_backbone: Makes the stage's network. While it is called, new tensors are fake: they hold no values.
        batch_size: B, the number of shapes per step on one device.
        bfloat16: Whether the step runs under bfloat16 autocast.
    """
    with FakeTensorMode():
        backbone = make_backbone()
        operations, saved_bytes = count_stage_step(backbone, batch_size=batch_size, bfloat16=bfloat16)
        with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_CPU) as counter, torch.no_grad():
            _evaluated(backbone, 1)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return StageCost(parameters, operations, saved_bytes, evaluation=counter.get_total_flops())


def count_step(
    autoencoder: Autoencoder, surface_points: Tensor, query_points: Tensor, anchors: Tensor, *, bfloat16: bool
) -> tuple[int, int]:
    """Count the operations of one step on the given real or fake tensors, and the bytes saved for its backward pass."""

    def loss() -> Tensor:
        logits = autoencoder(surface_points, query_points, anchor_indices=anchors).logits
        return F.binary_cross_entropy_with_logits(logits.float(), torch.zeros_like(logits, dtype=torch.float32))

    return _counted(autoencoder, loss, bfloat16=bfloat16)


def count_stage_step(backbone: Backbone, *, batch_size: int, bfloat16: bool) -> tuple[int, int]:
    """Count the operations of one step of a stage on inputs of zeros, and the bytes saved for its backward pass."""
    return _counted(backbone, lambda: _evaluated(backbone, batch_size).float().square().mean(), bfloat16=bfloat16)


def _evaluated(backbone: Backbone, batch_size: int) -> Tensor:
    """Return the output of a stage's network F_theta for inputs that are all zero."""
    latents = [torch.zeros(batch_size, spec.num_latents, spec.latent_dim) for spec in backbone.levels]
    condition = None
    if backbone.condition is not None:
        dim = backbone.condition.condition_dim
        condition = torch.zeros(batch_size, dtype=torch.int64) if dim is None else torch.zeros(batch_size, dim)
    coarser = latents[: backbone.level - 1 : -1]  # coarsest first
    return backbone(latents[backbone.level - 1], torch.zeros(batch_size), coarser=coarser, condition=condition)


def _counted(network: nn.Module, loss_of: Callable[[], Tensor], *, bfloat16: bool) -> tuple[int, int]:
    held: dict[int, Tensor] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            held[storage] = tensor
        return tensor

    autocast = torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext()
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_ON_CPU) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
            loss = loss_of()
        saved_bytes = sum(tensor.untyped_storage().nbytes() for tensor in held.values())
        loss.backward()
    network.zero_grad(set_to_none=True)
    return counter.get_total_flops(), saved_bytes
