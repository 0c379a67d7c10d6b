"""The device that a user names, and what to say when its memory is full."""

import re

import torch

SIGNS = ("out of memory", "can't allocate memory", "Unable to allocate", "ALLOC_FAILED", "killed by signal: Killed")
FOR_TRAINING = (
    "Lower data.init_args.batch_size and raise trainer.accumulate_grad_batches by the same factor, which trains alike; "
    "or take less by trainer.precision bf16-mixed, model.init_args.checkpoint_activations true (of an autoencoder), "
    "fewer data.init_args.num_volume_queries and num_near_queries, a smaller model.init_args.width, or on several GPUs "
    "--config experiments/layers/fsdp.yaml. `lagem describe FILE` says what a step needs."
)
FOR_TOOLS = "Ask for less at a time: `--help` names the options, such as a smaller --batch-size or --resolution."


def named_device(name: str) -> torch.device:
    """The torch device of a name, `auto` for a GPU where there is one; ValueError where it cannot be used here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used here: {error}") from error


def out_of_memory_message(error: Exception, *, training: bool) -> str | None:
    """What to say where an error means that memory ran out; None where it means something else.

    Args:
        error: A MemoryError, or torch's RuntimeError of CUDA, of the CPU or of a loading process.
        training: Whether the options of a training help.
    """
    text = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and not any(sign in text for sign in SIGNS):
        return None
    where = "the GPU" if "CUDA" in text or "CUBLAS" in text else "this machine"
    asked = re.search(r"allocate (\d[\d.]* ?[A-Za-z]+)", text)
    size = f", asked for {asked[1]} more" if asked else ""
    return f"{where} is out of memory{size}. {FOR_TRAINING if training else FOR_TOOLS}"
