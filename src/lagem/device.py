"""The device that a user names."""

import torch


def named_device(name: str) -> torch.device:
    """The torch device of a name; ValueError where it cannot be used here."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used here: {error}") from error
