"""The sections of a report on evaluations: of reconstructions, and of generated shapes."""

from itertools import islice
from pathlib import Path

from lagem.evaluation.card_head import CardHead, ReconstructionHead
from lagem.evaluation.generation.card import definition_of, read_generation_card, summary_remarks, summary_tables
from lagem.evaluation.reconstruction.card import definition_lines, read_card, summary_rows
from lagem.evaluation.reconstruction.examples import examples
from lagem.evaluation.reconstruction.methods import NO_WEIGHTS
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise
from lagem.evaluation.tables import TITLES, formatted_value
from lagem.reconstruction.codec import ShapeCodec, load_codec
from lagem.reports.page.content import Block, Facts, Paragraph, Section, Table
from lagem.reports.reconstructions import ShapeSettings, ShownShape, reconstruction_rows
from lagem.sources.data import DataKind, resolve_data
from lagem.sources.surfaces import SurfaceSource
from lagem.storage.checked.digest import sha256_of

SHOWN_MEASURES = ("fscore_020", "chamfer", "iou")
HOW_TO_SHOW = "To show the shapes, report again, with --weights CKPT and --data DATA of the evaluation."


def evaluation_sections(folder: Path, settings: ShapeSettings) -> list[Section]:
    """Return the sections about the evaluations in a folder; an empty list if the folder holds no card."""
    sections = []
    if (folder / "card.json").is_file():
        sections += _of_reconstructions(folder, settings)
    if (folder / "generation.json").is_file():
        sections.append(_of_generated(folder))
    return sections


def facts_of(head: CardHead) -> Facts:
    """Return the fields of the head of a card as a list of facts for a page."""
    return Facts([(key, str(value)) for key, value in head.to_card().items()])


def shape_source(head: ReconstructionHead, settings: ShapeSettings) -> tuple[ShapeCodec, SurfaceSource] | str:
    """Return the autoencoder and the shapes that a card evaluated, or a text that says why they cannot be shown.

    The files that a card names are used only if they have the SHA-256 that the card states. So a stranger's card
    cannot put other files of this machine on a page.

    Raises:
        ValueError: If `settings` name weights or data that differ from those that were evaluated.
    """
    if head.weights == NO_WEIGHTS:
        return "The results are training shapes; no network made them."
    weights = settings.weights or Path(head.weights or "")
    data = settings.data or head.data or ""
    if not weights.is_file() or sha256_of(weights) != head.weights_sha256:
        if settings.weights is not None:
            raise ValueError(f"{weights}: missing, or not the weights that were evaluated; give the evaluated weights.")
        return f"The evaluated weights are not on this machine, or have changed. {HOW_TO_SHOW}"
    index = Path(data) / "index.csv"
    if head.index_sha256 is None:
        if settings.data is None:
            return f"The card does not identify the evaluated meshes. {HOW_TO_SHOW}"
    elif not index.is_file() or sha256_of(index) != head.index_sha256:
        if settings.data is not None:
            raise ValueError(f"{data}: missing, or not the prepared folder that was evaluated; give the evaluated one.")
        return f"The evaluated shapes are not on this machine, or have changed. {HOW_TO_SHOW}"
    kind: DataKind = "meshes" if head.index_sha256 is None else "prepared"
    return load_codec(weights, device=settings.device), resolve_data(data, seed=0, accepted=[kind])


def _of_reconstructions(folder: Path, settings: ShapeSettings) -> list[Section]:
    card = read_card(folder)
    _check_points(card.head.points, folder / "card.json")
    scores = list(card.scores.values())
    summary = summarise(scores, seed=card.head.seed or 0)
    blocks: list[Block] = [facts_of(card.head), Table(summary_rows(summary, intervals=True))]
    blocks.append(Paragraph(" ".join(definition_lines(summary, card.head))))
    if summary.failed:
        blocks.append(Paragraph(f"Shapes without a result: {len(summary.failed)}"))
        blocks.append(Table([["shape", "reason"], *([id, reason] for id, reason in summary.failed.items())]))
    sections = [Section("Evaluation", blocks)]
    found = shape_source(card.head, settings)
    if isinstance(found, str):
        return [*sections, Section("Shapes", [Paragraph(found)])]
    codec, source = found
    indices = {id: index for index, id in enumerate(source.ids)}
    kinds = examples([score for score in scores if score.id in indices])
    shown = [ShownShape(indices[score.id], _title(score)) for of_kind in kinds.values() for score in of_kind]
    rows = iter(
        reconstruction_rows(
            codec, source, shown, settings, num_surface_points=card.head.surface_points_given, seed=card.head.seed or 0
        )
    )
    text = f"Ranked by F-score; meshes extracted on a grid of {settings.resolution} cells a side."
    for kind, of_kind in kinds.items():
        sections.append(Section(f"{kind.capitalize()} shapes", [Paragraph(text), *islice(rows, len(of_kind))]))
    return sections


def _title(score: ShapeScore) -> str:
    values = [(measure, getattr(score, measure)) for measure in SHOWN_MEASURES]
    words = [
        f"{TITLES[measure][0]} {formatted_value(measure, value)}" for measure, value in values if value is not None
    ]
    return f"{score.id}: {', '.join(words)}"


def _of_generated(folder: Path) -> Section:
    head, summary = read_generation_card(folder)
    _check_points(head.points, folder / "generation.json")
    tables = [Table(rows) for rows in summary_tables(summary, intervals=True)]
    blocks: list[Block] = [facts_of(head), *tables]
    blocks += [Paragraph(line) for line in summary_remarks(summary)]
    blocks.append(Paragraph(definition_of(head)))
    return Section("Generated shapes", blocks)


def _check_points(points: int | None, path: Path) -> None:
    if points is None:
        raise ValueError(f"{path}: does not say how many points were drawn on each surface; evaluate again.")
