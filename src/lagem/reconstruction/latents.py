"""The latents of one shape together with its frame, in memory and as a file (docs/latents-format.md)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lagem.geometry.frame import Frame, Up
from lagem.storage.atomic import write_bytes

FORMAT = "lagem-shape-latents-1"


@dataclass(frozen=True, eq=False)
class Latents:
    """The latents of one shape, from one autoencoder.

    levels: L tensors (M_i, D_i) float32 on the CPU, fine to coarse.
    frame: The frame of the shape, which maps its coordinates to the unit sphere and back.
    autoencoder: Fingerprint of the autoencoder that encoded the shape.
    up: The axis that points up in the shape.
    """

    levels: list[Tensor]
    frame: Frame
    autoencoder: str
    up: Up = "z"

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all. Missing folders are created."""
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ValueError(f"{path}: latents are saved as .safetensors; rename the file.")
        arrays = {f"level_{number}": z.contiguous() for number, z in enumerate(self.levels, start=1)}
        arrays["center"] = torch.tensor(self.frame.center, dtype=torch.float64)
        arrays["scale"] = torch.tensor(self.frame.scale, dtype=torch.float64)
        about = {"format": FORMAT, "fingerprint": self.autoencoder, "up": self.up}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(arrays, metadata={"lagem": json.dumps(about)}))

    @classmethod
    def load(cls, path: str | Path) -> "Latents":
        """Read latents from a file that `save` wrote; raises ValueError naming the file if it holds anything else."""
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path}: there is no such file.")
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {}).get("lagem", "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']!r}")
            center, scale = arrays.pop("center").double(), float(arrays.pop("scale"))
            levels = [arrays[f"level_{number}"].float() for number in range(1, len(arrays) + 1)]
            finite = all(bool(torch.isfinite(values).all()) for values in (center, *levels))
            if center.shape != (3,) or not 0 < scale < float("inf") or not finite:
                raise ValueError("an invalid frame or invalid latents")
            up: Any = about.get("up", "z")  # files before `up` had none
            if up not in ("y", "z"):
                raise ValueError(f"up axis {up!r}")
            return cls(levels, Frame(center.numpy(), scale), str(about["fingerprint"]), up)
        except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not latents of one shape, as `Latents.save` writes them ({error}).") from error
