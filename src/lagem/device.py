"""The device that a user names."""

import torch


def named_device(name: str) -> torch.device:
    """The torch device of a name, `auto` for a GPU where there is one; ValueError where it cannot be used here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used here: {error}") from error
