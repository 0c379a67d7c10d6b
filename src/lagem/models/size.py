"""Checks that the weights of a network fit into the memory of this machine, before the network is built."""

import re
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from lagem.device import memory_of_machine

Network = TypeVar("Network", bound=nn.Module)


def built(make: Callable[[], Network]) -> Network:
    """Return the network that `make` returns, unless this machine has too little memory for its weights.

    `make` is first called on the device `meta`, whose tensors have no values. This draws no random numbers.

    Raises:
        ValueError: If the weights need more memory than this machine has.
    """
    has = f"this machine has {memory_of_machine() / 2**30:,.1f} GiB of memory"
    remedy = "Lower model.init_args.width, or the depth of the levels or of the stage."
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            tensors = make().state_dict().values()
    except RuntimeError as error:  # torch raises it for sizes that no tensor can have
        shape = re.search(r"\[[\d, ]+\]", str(error))
        what = f" of shape {shape[0]}" if shape else ""
        raise ValueError(f"the network has weights{what}, which fit into no machine; {has}. {remedy}") from error
    needed = sum(tensor.nbytes for tensor in tensors)
    if needed > memory_of_machine():
        count = sum(tensor.numel() for tensor in tensors)
        raise ValueError(
            f"the network has {count:,} weights, which need {needed / 2**30:,.1f} GiB, but {has}. {remedy}"
        )
    return make()
