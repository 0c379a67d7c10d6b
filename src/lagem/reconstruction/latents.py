"""The latents of one shape together with its frame, in memory and as a file (docs/latents-format.md)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from lagem.geometry.frame import Frame, Up
from lagem.storage.atomic import write_bytes
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.checksums import with_checksums

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
            raise ValueError(f"{path}: the name of a file of latents must end in .safetensors; rename the file.")
        arrays = {f"level_{number}": z.contiguous() for number, z in enumerate(self.levels, start=1)}
        arrays["center"] = torch.tensor(self.frame.center, dtype=torch.float64)
        arrays["scale"] = torch.tensor(self.frame.scale, dtype=torch.float64)
        content = {name: array.numpy() for name, array in arrays.items()}
        about = with_checksums({"format": FORMAT, "fingerprint": self.autoencoder, "up": self.up}, content)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(arrays, metadata={"lagem": json.dumps(about)}))

    @classmethod
    def load(cls, path: str | Path) -> "Latents":
        """Read latents from a file that `save` wrote; raises ValueError naming the file if it holds anything else."""
        path = Path(path)
        what = "latents of one shape, as `Latents.save` writes them"
        try:
            file = ArrayFile(path, entry="lagem", what=what, remedy="give a file of `Latents.save`")
        except FileNotFoundError:
            raise ValueError(f"{path}: there is no such file.") from None
        file.description.text("format", choices=(FORMAT,))
        file.verify_description()
        center, scale = file.array("center", "F64", (3,)), file.array("scale", "F64", ())
        numbers = range(1, len(file.names) - 1)
        levels = [file.array(f"level_{number}", "F32", (None, None)) for number in numbers]
        if not levels or not all(np.isfinite(level).all() for level in levels):
            raise file.description.damaged("holds no latents, or latents that are not finite")
        (frame,) = Frame.of_rows(center[None], scale[None], source=path)
        up: Any = file.description.text("up", choices=("y", "z")) if "up" in file.description else "z"
        return cls([torch.from_numpy(level) for level in levels], frame, file.description.text("fingerprint"), up)
