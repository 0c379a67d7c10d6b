"""Furthest point sampling with one GPU program per cloud, in Triton, which comes with CUDA builds of torch.

A loop of torch operations launches about fifteen kernels per selected point. Here a cloud stays in registers instead;
`benchmarks/furthest_points.py` measures the gain. Only `lagem.models.furthest_points` imports this module, when needed.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


def select_triton(points: Tensor, start: Tensor, count: int) -> Tensor:
    """Return (B, M) int64 indices of the selected points, in order of selection.

    Args:
        points: (B, N, 3) on a GPU.
        start: (B,) int64, the index of the first point to select in each cloud.
        count: M, the number of points to select.
    """
    batch, total = points.shape[:2]
    order = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    block = triton.next_power_of_2(total)
    with torch.cuda.device(points.device):  # triton launches on the current device
        _select[(batch,)](
            points.contiguous(),
            start,
            order,
            total,
            count,
            BLOCK=block,
            num_warps=min(max(block // 512, 1), 16),
            enable_fp_fusion=False,  # rounded as on a CPU, so that both select the same points
        )
    return order


@triton.jit
def _select(points, start, order, total, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    cloud = tl.program_id(0).to(tl.int64)
    index = tl.arange(0, BLOCK)
    there = index < total
    points += cloud * total * 3
    x = tl.load(points + index * 3, mask=there, other=0.0)
    y = tl.load(points + index * 3 + 1, mask=there, other=0.0)
    z = tl.load(points + index * 3 + 2, mask=there, other=0.0)
    distance = tl.where(there, float("inf"), -1.0)
    latest = tl.load(start + cloud).to(tl.int32)
    for step in range(count):
        tl.store(order + cloud * count + step, latest.to(tl.int64))
        dx = x - tl.load(points + latest * 3)
        dy = y - tl.load(points + latest * 3 + 1)
        dz = z - tl.load(points + latest * 3 + 2)
        distance = tl.minimum(distance, dx * dx + dy * dy + dz * dz)
        latest = tl.argmax(distance, axis=0)
