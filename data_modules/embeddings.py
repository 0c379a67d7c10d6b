"""Embeddings of shapes, for example of a text or a picture of each shape, computed by an encoder outside lagem."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from lagem.storage.names import regular
from lagem.storage.open_files import OpenFiles


class Embeddings:
    """The embeddings in a safetensors file, which holds one array for each shape, named by the id of the shape.

    An array is (dim,), or (T, dim) for an embedding of T tokens. Instances can be pickled and used after a fork,
    because each process opens the file when it first reads from it.

    dim: Number of channels of an embedding.
    """

    def __init__(self, path: str | Path, ids: Collection[str]) -> None:
        """Open a file and check its embeddings.

        Args:
            path: The file.
            ids: Ids of the shapes to use. The file must hold their embeddings, all of one size, and may hold others.
        """
        self._path, self._files = str(path), OpenFiles(_open, most=1)
        file = self._files(self._path)
        held = set(file.keys())
        if missing := [id for id in ids if id not in held]:
            raise ValueError(
                f"{path}: has no embedding of {len(missing)} of {len(ids)} shapes, for example of {missing[0]!r}. "
                "Add the missing embeddings, or choose categories whose shapes all have one."
            )
        sizes = {tuple(file.get_slice(id).get_shape()): id for id in ids}
        if len(sizes) > 1:
            words = " and ".join(f"{size} of {id!r}" for size, id in list(sizes.items())[:2])
            raise ValueError(
                f"{path}: all embeddings must have one size, but there are {words}. Pad or pool them to one size."
            )
        (size,) = sizes
        if len(size) not in (1, 2) or 0 in size:
            raise ValueError(f"{path}: an embedding must be (dim,) or (tokens, dim), but {size} was found.")
        self.dim: int = size[-1]

    def __getitem__(self, id: str) -> Tensor:
        """Return the embedding of the shape with this id, (dim,) or (T, dim) float32."""
        return self._files(self._path).get_tensor(id).float()


def _open(path: str) -> Any:
    try:
        return safe_open(regular(Path(path)), framework="pt")
    except FileNotFoundError:
        raise ValueError(
            f"{path}: there is no such file; a condition must be none, category, or a file of embeddings."
        ) from None
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path}: not a readable safetensors file of embeddings ({error}); give another file."
        ) from None
