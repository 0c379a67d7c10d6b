"""Run `lagem vary`: do one study of the levels of a cascade, and print its table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lagem.evaluation.tables import Rows, terminal_table
from lagem.generation.bundle import load_cascade
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings
from lagem.geometry.frame import Up
from lagem.signals import kept_on_stop
from lagem.storage.atomic import check_folder
from lagem.studies.mixing import mix_shapes, mixture_rows
from lagem.studies.noise import disturb_levels, noise_rows
from lagem.studies.sharing import share_levels, sharing_rows
from lagem.studies.study import Study

GROUPS = 8
VARIANTS = 8


def vary(
    bundle: str,
    output: Path,
    *,
    category: str | None,
    meshes: Sequence[Path],
    noise_fractions: Sequence[float] | None,
    mix: bool,
    groups: int | None,
    variants: int | None,
    sampler: SamplerSettings,
    resolution: int,
    device: str,
    seed: int,
    up: Up | None,
) -> None:
    """Run one study of a cascade, print its table, and write the table, its numbers and pictures.

    Args:
        bundle: Name or folder of a cascade, as `load_cascade` takes it.
        output: Folder of the results.
        category: Category of all samples, for a cascade that is conditional on a category.
        meshes: Files of shapes from whose latents the study starts; if empty, it starts from samples.
        noise_fractions: Study the effect of noise: replace these fractions of each level's vectors by noise. None runs
            another study.
        mix: Study mixtures of pairs of shapes. If `mix` is False and `noise_fractions` is None, samples that share
            coarse levels are studied.
        groups: Number of samples, or of pairs of samples, to start from; None for 8.
        variants: Number of samples in each group that shares levels; None for 8.
        sampler: How latents are sampled.
        resolution: Number of cells along a side of the grid.
        device: Device of the networks.
        seed: Seed of all random draws.
        up: The axis that points up in the pictures; None for that of the cascade's training shapes, or z.

    Raises:
        ValueError: If the arguments contradict each other or the cascade, or the folder cannot be written to.
    """
    check_folder(output)
    if groups is not None and meshes:
        raise ValueError("--groups is the number of samples to start from, but --mesh names the shapes; leave one out.")
    if variants is not None and (mix or noise_fractions is not None):
        raise ValueError(
            "--variants is for groups that share levels, but --noise and --mix make no such groups; leave it out."
        )
    study = Study(
        output=output,
        category=category,
        meshes=meshes,
        groups=GROUPS if groups is None else groups,
        seed=seed,
        sampler=sampler,
        resolution=resolution,
    )
    generator = load_cascade(bundle, device=device)
    study = replace(study, up=up or generator.up or "z")
    with kept_on_stop(lambda: "nothing is saved; the same command starts again."):
        rows = _rows(generator, study, noise_fractions, mix, VARIANTS if variants is None else variants)
    Console(soft_wrap=True).print(terminal_table(rows))
    print(f"the table, its numbers as JSON, and pictures are in {output}")


def _rows(
    generator: CascadedGenerator, study: Study, noise_fractions: Sequence[float] | None, mix: bool, variants: int
) -> Rows:
    if mix:
        return mixture_rows(mix_shapes(generator, study))
    if noise_fractions is not None:
        return noise_rows(disturb_levels(generator, study, fractions=noise_fractions))
    return sharing_rows(share_levels(generator, study, variants=variants))
