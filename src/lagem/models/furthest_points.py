"""Furthest point sampling (LaGeM §3.1). One ordering of the points gives the anchors of every level.

The selection is greedy, so the first M_2 of the M_1 anchors P_1 of level 1 are exactly the anchors FPS(P_1, M_2) of
level 2, and so on. It starts at the point of largest norm, so it does not depend on the order of the input.

Letters: B shapes, N points, M selected points.
"""

import functools
import importlib.util
import warnings
from typing import Literal

import torch
from torch import Tensor

FPSBackend = Literal["auto", "torch_cluster", "triton", "quickfps", "torch"]
MOST_POINTS_FOR_TRITON = 8192  # more do not fit into the registers of one GPU program


@torch.compiler.disable  # torch.compile would unroll the loop, with 15 operations per point
def furthest_point_order(points: Tensor, count: int, *, backend: FPSBackend = "auto") -> Tensor:
    """Return the indices of `count` points, each of which is the furthest from those selected before it.

    Args:
        points: (B, N, 3). If N < count, the ordering is repeated from its start.
        count: M, the number of points to select.
        backend: For CUDA tensors, `auto` uses torch_cluster if it is installed, else triton if it works and N <= 8192;
            for CPU tensors, quickfps (torch-quickfps) if it is installed; in all other cases, the torch loop. All
            backends give the same indices, except for ties caused by rounding.

    Returns:
        (B, M) int64 indices in order of selection.
    """
    if points.shape[1] == 0:
        raise ValueError("furthest point sampling needs at least one point, but the cloud is empty.")
    distinct = min(count, points.shape[1])
    if backend == "auto":
        backend = _backend_for_cuda(points) if points.is_cuda else _backend_for_cpu(points)
    with torch.no_grad():
        points = points.detach().float()
        start = points.square().sum(-1).argmax(dim=1)
        select = {
            "torch_cluster": _select_torch_cluster,
            "triton": _select_triton,
            "quickfps": _select_quickfps,
            "torch": _select_torch,
        }[backend]
        order = select(points, start, distinct)
    if distinct < count:
        order = order[:, torch.arange(count, device=order.device) % distinct]
    return order


def _backend_for_cpu(points: Tensor) -> FPSBackend:
    return "quickfps" if points.device.type == "cpu" and importlib.util.find_spec("torch_quickfps") else "torch"


def _backend_for_cuda(points: Tensor) -> FPSBackend:
    if importlib.util.find_spec("torch_cluster"):
        return "torch_cluster"
    return "triton" if points.shape[1] <= MOST_POINTS_FOR_TRITON and _triton_works(points.device) else "torch"


@functools.cache
def _triton_works(device: torch.device) -> bool:
    """Return whether a Triton kernel runs on the device, and warn if not.

    At first use, Triton compiles its launcher. This needs a C compiler and Python.h.
    """
    try:
        _select_triton(torch.zeros(1, 2, 3, device=device), torch.zeros(1, dtype=torch.int64, device=device), 1)
    except Exception as error:
        warnings.warn(
            f"furthest points are selected by a slow loop, because Triton does not work: {error} Triton needs a C "
            "compiler and Python.h (apt install gcc python3-dev).",
            stacklevel=2,
        )
        return False
    return True


def _select_torch(points: Tensor, start: Tensor, count: int) -> Tensor:
    x, y, z = (axis.contiguous() for axis in points.unbind(-1))
    order = torch.empty(len(points), count, dtype=torch.int64, device=points.device)
    distance = torch.full_like(x, torch.inf)
    latest = start.unsqueeze(1)
    for step in range(count):
        order[:, step] = latest[:, 0]
        dx, dy, dz = x - x.gather(1, latest), y - y.gather(1, latest), z - z.gather(1, latest)
        distance = torch.minimum(distance, dx * dx + dy * dy + dz * dz)
        latest = distance.argmax(dim=1, keepdim=True)
    return order


def _select_torch_cluster(points: Tensor, start: Tensor, count: int) -> Tensor:
    from torch_cluster import fps

    batch, total = points.shape[:2]
    # fps starts at the first point of each cloud, so swap the start to the front, and map the indices back below.
    swap = torch.arange(total, device=points.device).repeat(batch, 1)
    swap[:, 0] = start
    swap.scatter_(1, start.unsqueeze(1), 0)
    swapped = points.gather(1, swap.unsqueeze(-1).expand_as(points))
    owner = torch.arange(batch, device=points.device).repeat_interleave(total)
    # fps selects ceil(ratio * N) points; half a point more keeps float rounding from giving one too few.
    ratio = min((count + 0.5) / total, 1.0)
    flat = fps(swapped.flatten(0, 1), owner, ratio=ratio, random_start=False)
    order = flat.view(batch, -1)[:, :count] - torch.arange(batch, device=points.device).unsqueeze(1) * total
    return swap.gather(1, order)


def _select_quickfps(points: Tensor, start: Tensor, count: int) -> Tensor:
    if points.device.type != "cpu":
        raise ValueError(
            f"fps 'quickfps' selects on the CPU, but the points are on {points.device}. Use 'auto' or 'torch'."
        )
    from torch_quickfps import sample_idx

    # One call per cloud, because all clouds of a call would share one start.
    return torch.stack([sample_idx(cloud, count, start_idx=int(one)) for cloud, one in zip(points, start, strict=True)])


def _select_triton(points: Tensor, start: Tensor, count: int) -> Tensor:
    if not points.is_cuda or points.shape[1] > MOST_POINTS_FOR_TRITON:
        raise ValueError(
            f"fps 'triton' selects from at most {MOST_POINTS_FOR_TRITON} points, and only on a GPU, but there are "
            f"{points.shape[1]} points on {points.device}. Use 'auto' or 'torch'."
        )
    from lagem.models.furthest_points_triton import select_triton

    return select_triton(points, start, count)
