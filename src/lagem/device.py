"""The device that a user names, the size of this machine's memory, and the error message if memory runs out."""

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SIGNS = ("out of memory", "can't allocate memory", "Unable to allocate", "ALLOC_FAILED", "killed by signal: Killed")
TOO_LARGE = (  # parts of the messages of Python, numpy and torch about sizes that no array can have
    "too large to convert to C",
    "cannot fit 'int' into an index-sized integer",
    "Maximum allowed dimension exceeded",
    "larger than the maximum possible size",
    "Overflow when unpacking long",
    "numel: integer multiplication overflow",
    "Storage size calculation overflowed",
    "Stride calculation overflowed",
)
FOR_TRAINING = (
    "Lower data.init_args.batch_size and raise trainer.accumulate_grad_batches by the same factor, which gives an "
    "equivalent training. Or save memory by trainer.precision bf16-mixed; by model.init_args.step leanest or "
    "model.init_args.checkpoint_activations true, for an autoencoder; by fewer data.init_args.num_volume_queries and "
    "num_near_queries; by a smaller model.init_args.width; or, on several GPUs, by "
    "--config experiments/layers/fsdp.yaml. `lagem describe FILE` prints how much memory a step needs."
)
FOR_TOOLS = "Use smaller settings: `--help` lists the options, such as --batch-size or --resolution."


def named_device(name: str) -> "torch.device":
    """Return the torch device that a name means; `auto` means a GPU if there is one, else the CPU.

    Raises:
        ValueError: If the device cannot be used on this machine.
    """
    import torch  # imported here, so that messages about memory do not need it

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used here: {error}") from error
    if device.type == "meta":
        raise ValueError(f"--device {name} stores no values, so it cannot compute; give cpu or cuda.")
    return device


def memory_of_machine() -> int:
    """Return the size of this machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def out_of_memory_message(error: Exception, *, training: bool) -> str | None:
    """Return a message if an error means that memory ran out, or that no memory would suffice; None for other errors.

    Args:
        error: Any error. If it is a MemoryError or its text has one of the `SIGNS`, memory ran out. If its text has one
            of the phrases in `TOO_LARGE`, no memory suffices.
        training: Whether the message names the settings of a training instead of the options of a tool.
    """
    text = " ".join(str(error).split())
    if any(sign in text for sign in TOO_LARGE):
        advice = FOR_TRAINING if training else FOR_TOOLS
        return f"a number that was given asks for more memory than any machine has ({text:.200}). {advice}"
    if not isinstance(error, MemoryError) and not any(sign in text for sign in SIGNS):
        return None
    where = "the GPU" if "CUDA" in text or "CUBLAS" in text else "this machine"
    asked = re.search(r"allocate (\d[\d.]* ?[A-Za-z]+)", text)
    size = f", requested {asked[1]} more" if asked else ""
    return f"{where} is out of memory{size}. {FOR_TRAINING if training else FOR_TOOLS}"
