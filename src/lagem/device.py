"""The device that a user names, and the message when its memory is full."""

import re

import torch

SIGNS = ("out of memory", "can't allocate memory", "Unable to allocate", "ALLOC_FAILED", "killed by signal: Killed")
FOR_TRAINING = (
    "Lower data.init_args.batch_size and raise trainer.accumulate_grad_batches by the same factor: the training is "
    "equivalent. Or save memory with trainer.precision bf16-mixed, for an autoencoder model.init_args.step leanest "
    "or model.init_args.checkpoint_activations true, fewer data.init_args.num_volume_queries and num_near_queries, a "
    "smaller model.init_args.width, or on several GPUs --config experiments/layers/fsdp.yaml. `lagem describe FILE` "
    "prints what a step needs."
)
FOR_TOOLS = "Use smaller settings: `--help` lists the options, such as --batch-size or --resolution."


def named_device(name: str) -> torch.device:
    """The torch device of a name, `auto` for a GPU if there is one; raises ValueError if it cannot be used here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used here: {error}") from error
    if device.type == "meta":
        raise ValueError(f"--device {name} holds no numbers; give cpu or cuda.")
    return device


def out_of_memory_message(error: Exception, *, training: bool) -> str | None:
    """The message if an error says that memory ran out; None for any other error.

    Args:
        error: A MemoryError, or torch's RuntimeError from CUDA, the CPU or a loading process.
        training: Whether to name the options of a training instead of those of a tool.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and not any(sign in text for sign in SIGNS):
        return None
    where = "the GPU" if "CUDA" in text or "CUBLAS" in text else "this machine"
    asked = re.search(r"allocate (\d[\d.]* ?[A-Za-z]+)", text)
    size = f", requested {asked[1]} more" if asked else ""
    return f"{where} is out of memory{size}. {FOR_TRAINING if training else FOR_TOOLS}"
