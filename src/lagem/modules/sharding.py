"""Weights sharded over ranks by FSDP2, gathered while callbacks use them.

In training, the weights of a block are gathered before the block runs and freed afterwards; weights outside blocks stay
gathered from the forward to the backward pass. In evaluation, every rank holds all weights, because callbacks call the
network on some ranks only.
"""

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from lagem.models.attention import Block
from lagem.models.denoiser import DenoiserBlock


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a network's parameters over the ranks of a mesh. Does nothing if they are already sharded.

    Args:
        network: The network; training steps must call its `forward`.
        mesh: Lightning's device mesh with the axes `data_parallel` and `tensor_parallel`, whose sizes are by default
            the number of nodes and the number of GPUs per node. Weights are sharded along the second axis and copied
            along the first. If one axis has size 1, they are sharded along the other.
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
    """Give every rank all weights until `scatter` is called; all ranks must call this function."""
    with torch.inference_mode(False), torch.no_grad():
        for module in network.modules():
            if isinstance(module, FSDPModule):
                module.set_reshard_after_forward(False, recurse=False)
                module.unshard()


def scatter(network: nn.Module) -> None:
    """Undo `gather`, so that each rank again holds only its shard of the weights."""
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_forward(module is not network, recurse=False)
            module.reshard()
