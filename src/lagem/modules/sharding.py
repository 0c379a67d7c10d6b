"""Weights shared out over ranks by FSDP2, and whole again while callbacks look at them.

A block's weights are gathered as it is reached and dropped after it; those outside of blocks stay from forward to
backward. In evaluation every rank holds all weights, since callbacks ask the network on some ranks only.
"""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from lagem.models.attention import Block
from lagem.models.denoiser import DenoiserBlock


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Share a network's parameters out over the ranks of a mesh; once, however often it is called.

    Args:
        network: Whose `forward` is what a training step calls.
        mesh: Lightning's, `data_parallel` times `tensor_parallel`: weights are shared out along the second and copied
            along the first, which by default are the GPUs of a node and the nodes; with one of size 1, along the other.
    """
    if isinstance(network, FSDPModule):
        return
    if mesh.size(1) == 1:
        mesh = mesh["data_parallel"]
    elif mesh.size(0) == 1:
        mesh = mesh["tensor_parallel"]
    for module in network.modules():
        if isinstance(module, Block | DenoiserBlock):
            fully_shard(module, mesh=mesh)
    fully_shard(network, mesh=mesh)


def gather(network: nn.Module) -> None:
    """Give every rank all weights until `scatter`; all ranks have to call it."""
    with torch.inference_mode(False), torch.no_grad():
        for module in network.modules():
            if isinstance(module, FSDPModule):
                module.set_reshard_after_forward(False, recurse=False)
                module.unshard()


def scatter(network: nn.Module) -> None:
    """Leave each rank its own share again."""
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_forward(module is not network, recurse=False)
            module.reshard()
