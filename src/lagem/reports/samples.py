"""The sections of a report on samples that `lagem generate` wrote: their settings, counts and shapes."""

from collections import Counter
from pathlib import Path
from typing import cast

from lagem.evaluation.generation.card import CARD, read_generation_card, read_judged_samples
from lagem.evaluation.generation.samples import TABLE, Sample, samples_of, sha256_of_tables
from lagem.evaluation.generation.shapes import JudgedShape
from lagem.geometry.frame import Up
from lagem.reports.meshes import ShownFile, gallery_of
from lagem.reports.page.content import Block, Facts, Paragraph, Section, Table
from lagem.reports.reconstructions import ShapeSettings
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.description import Description


def samples_sections(folder: Path, settings: ShapeSettings) -> list[Section]:
    """Return the section about the samples in a folder and its subfolders; an empty list if there are none."""
    if not (folder / TABLE).is_file() and not any(folder.glob(f"*/{TABLE}")):
        return []
    samples = samples_of(folder)
    with_mesh = Counter(sample.category for sample in samples if sample.path is not None)
    rows = [["category", "samples", "with a surface"]]
    for category, count in sorted(Counter(sample.category for sample in samples).items()):
        rows.append([category or "any", str(count), str(with_mesh[category])])
    axes = {path: settings.up or _stated_up(path) for path in {sample.folder for sample in samples}}
    judged = _judged(folder)
    gallery, hidden = gallery_of(
        [
            ShownFile(
                f"{sample.category} {sample.id}".strip(),
                sample.path or sample.reason,
                axes[sample.folder],
                notes=_notes(sample, judged.get(sample.id)),
            )
            for sample in samples
        ]
    )
    text = f"{with_mesh.total():,} of {len(samples):,} samples have a surface.{hidden}"
    return [Section("Samples", [Paragraph(text), *_facts(folder), Table(rows), gallery])]


def _notes(sample: Sample, judged: JudgedShape | None) -> tuple[str, ...]:
    """Return the lines below a sample's title: its seed, and its nearest training shape with the distance, if known."""
    notes = [f"seed {sample.seed}"] if sample.seed else []
    if judged is not None and judged.nearest_train is not None:
        distance = judged.nearest_train_distance
        far = "" if distance is None else f", distance {distance:.4f}"
        notes.append(f"nearest training shape {judged.nearest_train}{far}")
    return tuple(notes)


def _judged(folder: Path) -> dict[str, JudgedShape]:
    """Return the samples by id, as the card in their folder has them; empty if there is no card of these samples.

    It is a card of these samples if their tables have not changed since.
    """
    if not (folder / CARD).is_file() or read_generation_card(folder)[0].samples_sha256 != sha256_of_tables(folder):
        return {}
    return {shape.id: shape for shape in read_judged_samples(folder)}


def _facts(folder: Path) -> list[Block]:
    """Return a block with the settings of the samples; no block if they are not known."""
    about = _about(folder)
    return [] if about is None else [Facts.of_json(about.values)]


def _stated_up(folder: Path) -> Up:
    """Return the axis that points up in the samples of a folder; z if it is not known."""
    about = _about(folder)
    if about is None or "up" not in about:
        return "z"
    return cast(Up, about.text("up", choices=("y", "z")))


def _about(folder: Path) -> Description | None:
    """Return the settings of the samples in a folder, read from their latents; None if there are no latents."""
    path = folder / "latents.safetensors"
    if not path.is_file():
        return None
    file = ArrayFile(path, entry="generation", what="the latents of samples", remedy="generate the samples again")
    return file.description
