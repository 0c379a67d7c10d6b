"""Muon (Jordan et al. 2024) for all matrices of one size at once: the update of torch.optim.Muon in a few operations.

torch.optim.Muon orthogonalises one matrix after another, in bfloat16 on every device. On a CPU without instructions for
bfloat16, computing in bfloat16 is slower than in float32. On a GPU, one matrix after another means a thousand kernel
launches per step.
"""

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Muon

# Letters: K matrices of size A x B; m is the smaller of A and B.

Coefficients = tuple[float, float, float]


class StackedMuon(Muon):
    """torch.optim.Muon with `match_rms_adamw`; its arguments and state are the same.

    On a CPU, the updates are computed in float32; elsewhere in bfloat16, as in torch.optim.Muon.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Update all matrices that have a gradient; return the loss if a closure is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices: list[Tensor] = []
            gradients: list[Tensor] = []
            momenta: list[Tensor] = []
            self._init_group(group, matrices, gradients, momenta)
            if not matrices:
                continue
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            directions = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            alike = defaultdict(list)
            for index, matrix in enumerate(matrices):
                alike[matrix.shape, matrix.device].append(index)
            for (shape, device), indices in alike.items():
                updates = orthogonalised(
                    torch.stack([directions[index] for index in indices]),
                    dtype=torch.float32 if device.type == "cpu" else torch.bfloat16,
                    coefficients=group["ns_coefficients"],
                    steps=group["ns_steps"],
                    eps=group["eps"],
                )
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                torch._foreach_add_([matrices[index] for index in indices], list(updates), alpha=-rate)
        return loss


def orthogonalised(
    matrices: Tensor, *, dtype: torch.dtype, coefficients: Coefficients, steps: int, eps: float
) -> Tensor:
    """Orthogonalise matrices by Newton-Schulz iteration: singular values come near 1, singular vectors hardly change.

    Args:
        matrices: (K, A, B).
        dtype: Type of the computation. In float32, the iteration runs on the Gram matrix X X^T if that is cheaper; in
            bfloat16, this would be too inaccurate.
        coefficients: The numbers a, b, c of a step X <- (a + b X X^T + c (X X^T)^2) X.
        steps: Number of steps.
        eps: Lower limit of the Frobenius norm by which each matrix is first divided.

    Returns:
        (K, A, B) matrices in `dtype`.
    """
    x = matrices.to(dtype)
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=eps)
    a_side, b_side = x.shape[1:]
    if dtype == torch.float32 and max(a_side, b_side) >= 2 * min(a_side, b_side):
        if a_side > b_side:
            return x @ _product_of_steps(x.mT @ x, coefficients, steps)
        return _product_of_steps(x @ x.mT, coefficients, steps) @ x
    return _iterated(x.mT, coefficients, steps).mT if a_side > b_side else _iterated(x, coefficients, steps)


def _iterated(x: Tensor, coefficients: Coefficients, steps: int) -> Tensor:
    a, b, c = coefficients
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _product_of_steps(gram: Tensor, coefficients: Coefficients, steps: int) -> Tensor:
    """Return (K, m, m): for each matrix x, given its Gram matrix, the matrix by which all steps together multiply x.

    In each step, x becomes Q x and the Gram matrix G becomes Q G Q, with Q = a + b G + c G^2. So the result is the
    product of the Q of all steps.
    """
    a, b, c = coefficients
    product = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device).expand_as(gram)
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if step == 0 else factor @ product
        if step + 1 < steps:
            gram = factor @ gram @ factor
    return product
