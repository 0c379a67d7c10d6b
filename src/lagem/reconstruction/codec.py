"""Use an autoencoder: shape → points → latents → field → mesh.

    import lagem

    codec = lagem.load_codec("large")
    latents = codec.encode("chair.obj")
    codec.decode(latents, resolution=256).save("chair.glb")

Letters: N points, L levels, M_i latents of level i with D_i channels.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.device import named_device
from lagem.geometry.mesh import Mesh
from lagem.geometry.surface import ExtractionMethod, QueryLogits, extract_surface
from lagem.models.autoencoder import Autoencoder
from lagem.randomness import sample_generator
from lagem.reconstruction.latents import Latents
from lagem.sources.unit_shape import ShapeLike, unit_shape
from lagem.weights.autoencoder import AutoencoderSpec, load_autoencoder
from lagem.weights.fingerprint import check_fingerprint, fingerprint_of
from lagem.weights.hub import pushed
from lagem.weights.saving import save_weights


class ShapeCodec:
    """An autoencoder on a device: encodes shapes to latents, and decodes latents to fields and meshes.

    `encode` and `decode` work in the coordinates of the given shape. `latents_of`, `field_of` and `mesh_of` work in the
    unit sphere: the frame of a shape moves the center of its bounding box to the origin and scales its largest norm
    to 1.

    Args:
        autoencoder: The network.
        spec: Sizes and settings of the network.
    """

    def __init__(self, autoencoder: Autoencoder, spec: AutoencoderSpec) -> None:
        self.autoencoder = autoencoder.eval()
        self.spec = spec

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.autoencoder.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """Move the network, and return this codec."""
        self.autoencoder.to(device)
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the autoencoder. The latents that it makes are stored with this fingerprint."""
        return fingerprint_of(self.autoencoder)

    def save(self, folder: str | Path, *, half: bool = False) -> Path:
        """Write a folder of weights, which `load_codec` reads: config.json, model.safetensors and README.md.

        Args:
            folder: Folder to create.
            half: Store the weights as float16, which halves the size and changes results in the last digits. Latents of
                this codec then do not belong to the codec in the folder.

        Returns:
            The folder.

        Raises:
            ValueError: If the folder already exists.
        """
        return save_weights(self.autoencoder, self.spec, [], folder, half=half)

    def push_to_hub(self, name: str, *, half: bool = False, private: bool = False) -> str:
        """Save a folder of weights to the Hugging Face Hub; `load_codec("hf://owner/name")` reads it.

        Args:
            name: Repository, as `owner/name`; it is created if it does not exist. An existing README.md is kept.
            half: Store the weights as float16, as in `save`.
            private: Whether a new repository is private.

        Returns:
            The address of the repository.

        Raises:
            ValueError: If the package huggingface_hub is missing, or the upload fails.
        """
        return pushed(partial(self.save, half=half), name, private=private)

    def encode(self, shape: ShapeLike, *, num_surface_points: int | None = None, seed: int = 0) -> Latents:
        """Return the latents of a shape, with its frame.

        A file is read in this process, without limits on time and memory. `lagem reconstruct` reads files in a child
        process with such limits.

        Args:
            shape: Path of a mesh or point cloud, a `Mesh`, or an (N, 3) array or tensor of surface points, in any
                coordinates; or a result of `load_shape`, which is already in the unit sphere.
            num_surface_points: Number of surface points to encode; None takes as many as in training.
            seed: Seed of the draw of these points. The draw is also keyed by the file's name.

        Raises:
            ValueError: If the shape cannot be read or has no extent.
        """
        unit = unit_shape(shape)
        points = unit.draw(self.count_of_points(num_surface_points), sample_generator(seed, 0, unit.name))
        levels = [z.cpu() for z in self.latents_of(torch.from_numpy(points))]
        return Latents(levels, unit.frame, self.fingerprint, unit.up)

    def decode(
        self,
        latents: Latents | Sequence[Tensor],
        *,
        resolution: int = 128,
        method: ExtractionMethod = "coarse_to_fine",
    ) -> Mesh:
        """Return the mesh of latents, in the coordinates of the encoded shape and with its `up` axis.

        Args:
            latents: A result of `encode`; or (M_i, D_i) tensors, fine to coarse, for a mesh in the unit sphere.
            resolution: Number of cells along a side of the grid.
            method: How the grid is evaluated, as in `extract_surface`.

        Raises:
            EmptySurfaceError: If the field has no inside.
            ValueError: If the latents are of another autoencoder.
        """
        if not isinstance(latents, Latents):
            return self.mesh_of(latents, resolution=resolution, method=method)
        check_fingerprint(self.fingerprint, latents.autoencoder, "the set of latents")
        mesh = self.mesh_of(latents.levels, resolution=resolution, method=method).in_source(latents.frame)
        return replace(mesh, up=latents.up)

    def count_of_points(self, asked: int | None) -> int:
        """Return the number of surface points to encode: `asked`, or as many as in training if that is None.

        Raises:
            ValueError: If the number is not positive.
        """
        count = self.spec.num_surface_points if asked is None else asked
        if count < 1:
            source = "used in training (these weights are untrained)" if asked is None else "asked for"
            raise ValueError(f"encoding needs at least 1 surface point, but {count} surface points were {source}.")
        return count

    @torch.no_grad()
    def latents_of(self, points: Tensor, *, generator: torch.Generator | None = None) -> list[Tensor]:
        """Encode (N, 3) points in the unit sphere to (M_i, D_i) latents, fine to coarse, on the codec's device.

        Args:
            points: (N, 3) surface points.
            generator: CPU generator from which posteriors of KL levels are sampled; None uses their means.
        """
        generators = None if generator is None else [generator]
        encoded = self.autoencoder.encode(points.float().unsqueeze(0).to(self.device), generators=generators)
        return [z[0] for z in encoded]

    @torch.no_grad()
    def field_of(self, latents: Sequence[Tensor]) -> QueryLogits:
        """Return the field of (M_i, D_i) latents, fine to coarse.

        The field maps (Q, 3) points in the unit sphere to (Q,) logits, positive inside.
        """
        expected = [(level.num_latents, level.latent_dim) for level in self.spec.levels]
        if (found := [tuple(z.shape) for z in latents]) != expected:
            raise ValueError(f"latents must have the sizes {expected}, finest level first, but {found} were given.")
        return self.autoencoder.decode([z.unsqueeze(0).to(self.device) for z in latents]).select(0)

    def mesh_of(
        self,
        latents: Sequence[Tensor],
        *,
        resolution: int = 128,
        method: ExtractionMethod = "coarse_to_fine",
        seeds: NDArray[np.floating] | None = None,
    ) -> Mesh:
        """Return the mesh of (M_i, D_i) latents, in the unit sphere.

        Args:
            latents: Latents of all levels, fine to coarse.
            resolution: Number of cells along a side of the grid.
            method: How the grid is evaluated, as in `extract_surface`.
            seeds: (N, 3) points that were encoded, if they are known; they help coarse_to_fine to find thin parts.

        Raises:
            EmptySurfaceError: If the field has no inside.
        """
        field = self.field_of(latents)
        return extract_surface(field, resolution=resolution, method=method, seeds=seeds, device=self.device)


def load_codec(name: str | Path = "autoencoder", *, device: str = "cpu") -> ShapeCodec:
    """Load an autoencoder.

    Args:
        name: `autoencoder` or `large`, which ship with the package; a checkpoint of `lagem fit`; a safetensors file;
            a folder that `save` or `lagem bundle` wrote; the folder of a run (its checkpoints/last.ckpt is taken); a
            latent cache; another folder that holds only one file of weights; or `hf://owner/name`, a folder of weights
            on the Hugging Face Hub. For a cascade, its autoencoder is loaded.
        device: A torch device, or `auto` for a GPU if there is one.

    Raises:
        ValueError: If no weights are found under that name, or the device cannot be used.
    """
    return ShapeCodec(*load_autoencoder(name)).to(named_device(device))
