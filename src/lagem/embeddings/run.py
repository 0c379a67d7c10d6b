"""Run `lagem embed`: load an encoder, embed shapes, and write a file of embeddings."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.device import named_device
from lagem.embeddings.file import write_embeddings
from lagem.embeddings.partial import embedded_clouds
from lagem.embeddings.sources import ToEmbed, captions, images, kind_of, rendered
from lagem.embeddings.transformer import Encoder
from lagem.progress import long_progress
from lagem.sources.data import data_kind, resolve_data
from lagem.sources.surfaces import MeshSurfaces
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.fingerprint import encoder_of, fingerprint_of

Embedded = Iterable[tuple[str, NDArray[np.float16]]]


def embed_clouds(
    weights: str | Path,
    data: str,
    output: Path,
    *,
    views: int = 4,
    num_surface_points: int | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> int:
    """Embed partial point clouds of shapes with the encoder of an autoencoder, and write a file.

    Args:
        weights: Name or path of the autoencoder, as `load_codec` takes it.
        data: A folder that `lagem prepare` wrote; or numbers of procedural shapes, such as `procedural:1024+64`.
        output: The file to write.
        views: Number of directions from which each shape is seen.
        num_surface_points: Number of points of a cloud; None for the number of surface points used in training.
        device: Torch device; `auto` for a GPU if there is one.
        seed: Seed of the directions and the points, and of procedural shapes.

    Returns:
        The number of shapes.

    Raises:
        ValueError: If the data or the weights cannot be used.
    """
    surfaces = resolve_data(data, seed=seed, accepted=("prepared", "procedural"))
    autoencoder, spec = load_autoencoder(weights)
    count = spec.num_surface_points if num_surface_points is None else num_surface_points
    _check_positive("--views", views)
    _check_positive("--surface-points", count)
    embedded = embedded_clouds(
        autoencoder.to(named_device(device)).eval(),
        surfaces,
        range(len(surfaces.ids)),
        views=views,
        num_surface_points=count,
        seed=seed,
    )
    encoder = encoder_of(fingerprint_of(autoencoder))
    return write_embeddings(output, _tracked(embedded, total=len(surfaces.ids)), encoder=encoder)


def embed_known(
    model: Path,
    source: Path,
    output: Path,
    *,
    all_tokens: bool = False,
    views: int = 4,
    device: str = "cpu",
) -> int:
    """Embed captions, images, or rendered views of meshes with a CLIP or DINOv2 model, and write a file.

    Args:
        model: Folder of the model.
        source: A .csv table with the columns id and caption; or a folder of images, each of which is named by the id of
            its shape or is in a subfolder with this name; or meshes, as `lagem prepare` takes them.
        output: The file to write.
        all_tokens: Keep all tokens of the last layer, instead of one embedding for each text or image.
        views: Number of rendered views of each mesh.
        device: Torch device; `auto` for a GPU if there is one.

    Returns:
        The number of shapes.

    Raises:
        ValueError: If the source or the model cannot be used.
    """
    _check_positive("--views", views)
    total = None
    known: Iterator[ToEmbed]
    if (kind := kind_of(source)) == "captions":
        known = captions(source)
    elif kind == "images":
        known = images(source)
    else:
        data_kind(source, accepted=("meshes",))
        meshes = MeshSurfaces(source)
        known, total = rendered(meshes, views=views), len(meshes.ids)
    encoder = Encoder(model, all_tokens=all_tokens, device=device)
    embedded = ((one.id, encoder.texts(one.texts) if one.texts else encoder.images(one.images)) for one in known)
    name = encoder.name_for("text" if kind == "captions" else "image")
    return write_embeddings(output, _tracked(embedded, total=total), encoder=name)


def _check_positive(option: str, number: int) -> None:
    if number < 1:
        raise ValueError(f"{option} is {number}, but must be at least 1.")


def _tracked(embedded: Embedded, *, total: int | None) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Yield the given embeddings unchanged, and show a progress bar."""
    with long_progress() as progress:
        yield from progress.track(embedded, total=total, description="embedding")
