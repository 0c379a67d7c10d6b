"""How a training whose ranks lost one another ends: at once, on every rank, with a line that says so.

A rank that dies is noticed when its connections close, one that hangs when the others have waited for as long as the
process group allows. What remains has nobody to take leave of, so it does not try.
"""

import os
import re
import sys
from signal import SIGKILL
from typing import NoReturn

from lightning.pytorch import Trainer
from torch.distributed import DistError

GLOO = re.compile(r"gloo.*(closed by peer|reset by peer|timed out|broken pipe)", re.IGNORECASE | re.DOTALL)


def is_lost_rank(error: BaseException) -> bool:
    """Whether an error says that another rank did not answer."""
    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and GLOO.search(str(error)) is not None)


def give_up(trainer: Trainer, error: BaseException) -> NoReturn:
    """End this rank, and those that it started."""
    reason = " ".join(str(error).split())
    print(
        f"lagem: error: rank {trainer.global_rank} lost another rank, which died or hung ({reason}). The first error "
        "that the others printed says why. Go on from the last checkpoint by --ckpt_path last.",
        file=sys.stderr,
        flush=True,
    )
    launcher = trainer.strategy.launcher
    if launcher is not None:
        launcher.kill(SIGKILL)
    os._exit(1)
