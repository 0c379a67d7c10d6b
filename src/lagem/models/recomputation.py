"""Operations that keep only their inputs for the backward pass, and recompute everything else in that pass.

They work like torch's `checkpoint`, with two differences. `linear_of` does not repeat the matrix products of its linear
layers. And what a call adds to the function's own time is only microseconds, which matters for small networks and GPUs.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Prepare = Callable[..., Tensor]


def recomputed(function: Prepare, *inputs: Tensor) -> Tensor:
    """Return function(*inputs), keeping only the inputs for the backward pass.

    Args:
        function: A function that uses no tensors except the inputs, because gradients reach no others.
        inputs: Tensors.
    """
    if _is_direct():
        return function(*inputs)
    result: Tensor = _Recomputed.apply(function, *inputs)
    return result


def linear_of(prepare: Prepare, inputs: Sequence[Tensor], linears: Sequence[nn.Linear]) -> tuple[Tensor, ...]:
    """Apply each of several linear layers to prepare(*inputs), keeping only the inputs for the backward pass.

    Args:
        prepare: A function that uses no tensors except the inputs, because gradients reach no others. It is recomputed;
            the layers are not.
        inputs: Tensors, including the parameters of `prepare`.
        linears: Layers that all have the same input width.

    Returns:
        The output of each layer.
    """
    if _is_direct():
        prepared = prepare(*inputs)
        return tuple(linear(prepared) for linear in linears)
    layers = [parameter for linear in linears for parameter in (linear.weight, linear.bias)]
    results: tuple[Tensor, ...] = _LinearOf.apply(prepare, len(inputs), *inputs, *layers)
    return results


def _is_direct() -> bool:
    """Return True if functions are called directly: no gradients are needed, or torch.compile chooses what to keep."""
    return not torch.is_grad_enabled() or torch.compiler.is_compiling()


class _Recomputed(torch.autograd.Function):
    """The autograd function behind `recomputed`."""

    @staticmethod
    def forward(ctx: Any, function: Prepare, *inputs: Tensor) -> Tensor:
        ctx.function, ctx.autocast = function, _autocast_of(inputs[0])
        ctx.save_for_backward(*inputs)
        return function(*(given.detach() for given in inputs))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.enable_grad(), ctx.autocast():
            inputs = _leaves(ctx.saved_tensors, ctx.needs_input_grad[1:])
            result = ctx.function(*inputs)
        return None, *_gradients(result, inputs, gradient)


class _LinearOf(torch.autograd.Function):
    """The autograd function behind `linear_of`.

    The gradient of a layer needs the output of `prepare`, but not the output of the layer.
    """

    @staticmethod
    def forward(ctx: Any, prepare: Prepare, num_inputs: int, *tensors: Any) -> tuple[Tensor, ...]:
        ctx.prepare, ctx.num_inputs, ctx.autocast = prepare, num_inputs, _autocast_of(tensors[0])
        ctx.save_for_backward(*tensors)
        # detached, because autocast would otherwise cache casts of the weights through which no gradient flows
        inputs: list[Any] = [None if tensor is None else tensor.detach() for tensor in tensors]
        prepared = prepare(*inputs[:num_inputs])
        layers = inputs[num_inputs:]
        pairs: zip[tuple[Any, Any]] = zip(layers[::2], layers[1::2], strict=True)
        return tuple(F.linear(prepared, weight, bias) for weight, bias in pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given, layers = ctx.saved_tensors[: ctx.num_inputs], ctx.saved_tensors[ctx.num_inputs :]
        of_layers: list[Tensor | None] = []
        with ctx.autocast():
            with torch.enable_grad():
                inputs = _leaves(given, ctx.needs_input_grad[2:])
                prepared = ctx.prepare(*inputs)
            rows = prepared.detach().flatten(0, -2)
            of_prepared: Tensor | None = None
            for gradient, weight, bias in zip(gradients, layers[::2], layers[1::2], strict=True):
                columns = gradient.flatten(0, -2)
                of_layers.append((columns.T @ rows).to(weight.dtype))
                of_layers.append(None if bias is None else columns.sum(dim=0).to(bias.dtype))
                part = gradient @ weight
                of_prepared = part if of_prepared is None else of_prepared + part
        assert of_prepared is not None
        return None, None, *_gradients(prepared, inputs, of_prepared), *of_layers


def _autocast_of(tensor: Tensor) -> Callable[[], AbstractContextManager[Any]]:
    """Return a function that makes a context with the present state of autocast.

    Autocast is off in the backward pass, so the backward pass needs this context to recompute.
    """
    kind = tensor.device.type
    if not torch.is_autocast_enabled(kind):
        return nullcontext
    return partial(torch.autocast, kind, dtype=torch.get_autocast_dtype(kind), cache_enabled=False)


def _leaves(tensors: Sequence[Tensor], needed: Sequence[bool]) -> list[Tensor]:
    return [tensor.detach().requires_grad_(need) for tensor, need in zip(tensors, needed[: len(tensors)], strict=True)]


def _gradients(result: Tensor, inputs: Sequence[Tensor], gradient: Tensor) -> list[Tensor | None]:
    needed = [given for given in inputs if given.requires_grad]
    found = iter(torch.autograd.grad(result, needed, gradient.to(result.dtype)) if needed else ())
    return [next(found) if given.requires_grad else None for given in inputs]
