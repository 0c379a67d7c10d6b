"""Run `lagem generate`: sample shapes, given the names of a cascade and of categories, and write the files."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from lagem.generation.bundle import load_cascade
from lagem.generation.generator import CascadedGenerator
from lagem.generation.report import TABLE, GenerationReport
from lagem.generation.requests import Request, embedded_requests, forced_requests, free_requests
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.frame import Up
from lagem.latents.cache import LatentCache
from lagem.storage.atomic import check_folder

EVERY_CATEGORY = "all"


def generate(
    bundle: str,
    output: Path,
    *,
    categories: Sequence[str] | None,
    count: int,
    embeddings: str | None,
    latents: str | None,
    split: str | None,
    keep: Sequence[int],
    sampler: SamplerSettings,
    surface: SurfaceSettings,
    format: str,
    batch_size: int,
    device: str,
    seed: int,
    up: Up | None,
) -> None:
    """Generate shapes, and write meshes, latents.safetensors, samples.csv and picture.png.

    Args:
        bundle: Name or folder of a cascade, as `load_cascade` takes it.
        output: Folder of the results.
        categories: Names of categories, or only `all`; None for a cascade without categories.
        count: Number of shapes of each category, or of each embedding.
        embeddings: File of `lagem embed`, if the condition of the samples comes from such a file; else None.
        latents: Latent cache that `lagem encode` wrote. The levels in `keep` are taken from its shapes instead of being
            sampled; None samples all levels.
        split: The split from which shapes of the cache are taken; None means `val`.
        keep: The levels to take from the cache, each given by its number; these must be the coarsest levels.
        sampler: How latents are sampled.
        surface: How fields become meshes.
        format: File extension of the meshes.
        batch_size: Number of samples that are made at once.
        device: Device of the networks.
        seed: Seed of all draws; the noise of sample i is keyed by (seed, i).
        up: The axis that points up in the shapes; glb files are turned so that the shapes stand upright. None for that
            of the cascade's training shapes, or z.

    Raises:
        ValueError: If these arguments do not fit the cascade, no sample has a mesh, or the folder cannot be written to.
    """
    check_folder(output)
    if latents is None and (keep or split):
        raise ValueError(
            "--keep and --split need the shapes of --latents CACHE; add --latents, or leave out --keep and --split."
        )
    if embeddings is not None and (categories or latents):
        raise ValueError(
            "--embeddings cannot be combined with --category or --latents: the file of --embeddings holds the "
            "condition. Leave out --category and --latents."
        )
    generator = load_cascade(bundle, device=device)
    about: dict[str, Any] = {"bundle": bundle, "category": categories, "seed": seed}
    if latents is not None:
        about |= {"latents": latents, "split": split or "val", "keep": keep}
    if embeddings is not None:
        about |= {"embeddings": embeddings}
        requests = embedded_requests(embeddings, generator, count=count)
    else:
        requests = _requests(generator, categories, count, latents, split or "val", keep)
    report = GenerationReport(
        output=output,
        total=sum(len(request.sources) for request in requests),
        format=format,
        up=up or generator.up or "z",
        about=about | asdict(sampler),
        num_categories=len(requests),
        sources={
            request.first + number: source for request in requests for number, source in enumerate(request.sources)
        },
    )
    shapes = [
        generator.stream(
            count=len(request.sources),
            category=request.category,
            condition=request.condition,
            given=request.given,
            seed=seed,
            first=request.first,
            batch_size=batch_size,
            sampler=sampler,
            surface=surface,
            on_step=report.on_step,
        )
        for request in requests
    ]
    report.take(chain.from_iterable(shapes))
    if not report.num_meshes:
        raise ValueError(f"none of {report.total} samples has a mesh; the reasons are above and in {output / TABLE}.")


def _requests(
    generator: CascadedGenerator,
    categories: Sequence[str] | None,
    count: int,
    latents: str | None,
    split: str,
    keep: Sequence[int],
) -> list[Request]:
    """Return a request for each category."""
    # In a cascade without categories `all` is an unknown name, which is refused later.
    every = list(categories or ()) == [EVERY_CATEGORY] and bool(generator.category_names)
    names: list[str | None] = [*(generator.category_names if every else categories or ())] or [None]
    if len(set(names)) < len(names):
        raise ValueError(f"--category names a category more than once: {' '.join(map(str, names))}. Name each once.")
    if latents is None:
        return free_requests(names, count)
    return forced_requests(
        LatentCache(latents), generator, split=split, categories=names, every=every, count=count, keep=keep
    )
