"""The sections of a report on samples that `lagem generate` wrote: their settings, counts and shapes."""

from collections import Counter
from pathlib import Path

from lagem.evaluation.generation.samples import TABLE, samples_of
from lagem.reports.meshes import gallery_of
from lagem.reports.page.content import Block, Facts, Paragraph, Section, Table
from lagem.reports.reconstructions import ShapeSettings
from lagem.storage.checked.arrays import ArrayFile


def samples_sections(folder: Path, settings: ShapeSettings) -> list[Section]:
    """Return the section about the samples in a folder and its subfolders; an empty list if there are none."""
    if not (folder / TABLE).is_file() and not any(folder.glob(f"*/{TABLE}")):
        return []
    samples = samples_of(folder)
    with_mesh = Counter(sample.category for sample in samples if sample.path is not None)
    rows = [["category", "samples", "with a surface"]]
    for category, count in sorted(Counter(sample.category for sample in samples).items()):
        rows.append([category or "any", str(count), str(with_mesh[category])])
    files = [(f"{sample.category} {sample.id}".strip(), sample.path or sample.reason) for sample in samples]
    gallery, hidden = gallery_of(files, up=settings.up)
    text = f"{with_mesh.total():,} of {len(samples):,} samples have a surface.{hidden}"
    return [Section("Samples", [Paragraph(text), *_facts(folder), Table(rows), gallery])]


def _facts(folder: Path) -> list[Block]:
    """Return a block with the settings of the samples, read from their latents; no block if there are no latents."""
    path = folder / "latents.safetensors"
    if not path.is_file():
        return []
    file = ArrayFile(path, entry="generation", what="the latents of samples", remedy="generate the samples again")
    return [Facts.of_json(file.description.values)]
