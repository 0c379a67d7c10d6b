"""Read and write files of embeddings: vectors that describe each shape, made from a text, a picture or a partial cloud.

Letters: V views of a shape, T tokens, D channels.
"""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from lagem.storage.atomic import write_bytes
from lagem.storage.checked.description import parse_description
from lagem.storage.names import regular
from lagem.storage.open_files import OpenFiles

FORMAT = "lagem-embeddings-1"
REMEDY = "write it again with `lagem embed`"


class Embeddings:
    """The embeddings in a safetensors file, which holds one array for each shape, named by the id of the shape.

    An array is (D,), or (T, D) for an embedding of T tokens, or (V, T, D) for V such embeddings of one shape. Instances
    can be pickled and used after a fork, because each process opens the file when it first reads from it.

    ids: Ids of the shapes.
    dim: D, number of channels of an embedding.
    views: V, number of embeddings of each shape.
    encoder: Name of the model that made the embeddings, as `lagem embed` records it; "" if another program wrote the
        file.
    """

    def __init__(self, path: str | Path, ids: Collection[str] | None = None) -> None:
        """Open a file and check its embeddings.

        Args:
            path: The file.
            ids: Ids of the shapes to use; None uses all shapes of the file. The file must hold an embedding of each of
                these shapes, and all these embeddings must have the same size. It may also hold others.
        """
        self._path, self._files = str(path), OpenFiles(_open, most=1)
        file = self._files(self._path)
        held = set(file.keys())
        self.ids = sorted(held) if ids is None else list(ids)
        if not self.ids:
            raise ValueError(f"{path}: holds no embeddings; {REMEDY}.")
        if missing := [id for id in self.ids if id not in held]:
            raise ValueError(
                f"{path}: has no embedding of {len(missing)} of {len(self.ids)} shapes, for example of {missing[0]!r}. "
                "Add the missing embeddings, or choose categories in which all shapes have an embedding."
            )
        sizes = {tuple(file.get_slice(id).get_shape()): id for id in self.ids}
        if len(sizes) > 1:
            words = " and ".join(f"{size} for {id!r}" for size, id in list(sizes.items())[:2])
            raise ValueError(
                f"{path}: all embeddings must have the same size, but found {words}. Pad or pool them to one size."
            )
        (size,) = sizes
        if len(size) not in (1, 2, 3) or 0 in size:
            raise ValueError(
                f"{path}: an embedding must be (dim,), (tokens, dim) or (views, tokens, dim), but {size} was found."
            )
        self.dim: int = size[-1]
        self.views: int = size[0] if len(size) == 3 else 1
        self._has_views = len(size) == 3
        about = parse_description((file.metadata() or {}).get("lagem", "{}"), str(path), remedy=REMEDY)
        self.encoder = about.text("encoder") if "encoder" in about else ""

    def view(self, id: str, number: int = 0) -> Tensor:
        """Return embedding `number` of the shape with this id, (D,) or (T, D) float32.

        The number is ignored if the file has only one embedding of each shape, without an axis for views.
        """
        file = self._files(self._path)
        embedding: Tensor = file.get_slice(id)[number] if self._has_views else file.get_tensor(id)
        return embedding.float()


def write_embeddings(path: Path, embeddings: Iterable[tuple[str, NDArray[np.float16]]], *, encoder: str) -> int:
    """Write a file of embeddings. If this fails, no part of the file is left.

    Args:
        path: The file; its folder is created.
        embeddings: Pairs of the id of a shape and its embeddings (V, T, D).
        encoder: Name of the model that made the embeddings; the stages that are trained on them record it.

    Returns:
        The number of shapes.

    Raises:
        ValueError: If there are no embeddings, or one is not finite in float16.
    """
    arrays = {}
    for id, embedding in embeddings:
        if not np.isfinite(embedding).all():
            raise ValueError(f"{id}: its embedding is not finite in float16; check the shape and the weights.")
        arrays[id] = embedding
    if not arrays:
        raise ValueError("there is nothing to embed; check the source.")
    path.parent.mkdir(parents=True, exist_ok=True)
    description = json.dumps({"format": FORMAT, "encoder": encoder}, sort_keys=True)
    write_bytes(path, save(arrays, metadata={"lagem": description}))
    return len(arrays)


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
