"""The sections of a report on studies that `lagem levels` and `lagem vary` wrote: their tables and pictures."""

from collections.abc import Callable
from pathlib import Path

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.means import Mean
from lagem.evaluation.reconstruction.comparison import Difference
from lagem.evaluation.tables import Rows
from lagem.reports.evaluation import facts_of, shape_source
from lagem.reports.page.content import Block, Facts, Paragraph, Section, Table
from lagem.reports.page.image import image_of
from lagem.reports.reconstructions import ShapeSettings, ShownShape, reconstruction_rows, varied
from lagem.storage.checked.description import Description, read_description
from lagem.studies import levels, mixing, noise, sharing
from lagem.studies.study import DISTANCE

SHOWN = 6  # maximum number of shapes of the study of levels
MOST_IMAGES = 6


def study_sections(folder: Path, settings: ShapeSettings) -> list[Section]:
    """Return a section for each study in the folder.

    The study of levels also has a section with pictures of shapes, if the autoencoder and the shapes that were studied
    are found.
    """
    sections = []
    if (content := _read(folder, "levels")) is not None:
        sections += _of_levels(folder, content, settings)
    studies: list[tuple[str, Callable[[list[Description]], Rows], str]] = [
        ("sharing", _sharing_rows, sharing.DEFINITION),
        ("noise", _noise_rows, noise.DEFINITION),
        ("mixing", _mixing_rows, mixing.DEFINITION),
    ]
    for name, rows_of, definition in studies:
        if (content := _read(folder, name)) is not None:
            facts = Facts.of_json(content.object("about").values)
            table = Table(rows_of(content.objects("results")))
            blocks: list[Block] = [facts, table, Paragraph(f"{definition} {DISTANCE}"), *_images(folder, name)]
            sections.append(Section(name.capitalize(), blocks))
    return sections


def _read(folder: Path, name: str) -> Description | None:
    path = folder / f"{name}.json"
    return read_description(path, remedy="run the study again in a new folder") if path.is_file() else None


def _images(folder: Path, name: str) -> list[Block]:
    return [image_of(path) for path in sorted(folder.glob(f"{name}*.png"))[:MOST_IMAGES]]


def _of_levels(folder: Path, content: Description, settings: ShapeSettings) -> list[Section]:
    results = [_level_scores(variant) for variant in content.objects("variants")]
    if not results:
        raise content.damaged("holds no variant")
    measures = [measure for measure in levels.MEASURES if measure in results[0].means]
    try:
        head = ReconstructionHead.from_card(content.object("about").values)
    except ValueError as error:
        raise content.damaged(str(error)) from None
    blocks: list[Block] = [facts_of(head), Table(levels.level_rows(results, measures)), Paragraph(levels.DEFINITION)]
    found = shape_source(head, settings)
    if isinstance(found, str):
        return [Section("Levels", [*blocks, *_images(folder, "levels"), Paragraph(found)])]
    codec, source = found
    indices = varied(source, (index for index, split in enumerate(source.splits) if split == head.split), SHOWN)
    shown = [ShownShape(index, source.ids[index]) for index in indices]
    rows = reconstruction_rows(
        codec, source, shown, settings, num_surface_points=head.surface_points_given, seed=head.seed or 0
    )
    text = f"Shapes of the split; meshes extracted on a grid of {settings.resolution} cells a side."
    return [Section("Levels", blocks), Section("Shapes", [Paragraph(text), *rows])]


def _level_scores(variant: Description) -> levels.LevelScores:
    means, differences = variant.object("means"), variant.object("differences")
    return levels.LevelScores(
        name=variant.text("name"),
        means={name: means.object(name).as_dataclass(Mean) for name in means.values},
        differences={name: _difference(differences.object(name)) for name in differences.values},
        empty=variant.integer("empty"),
    )


def _difference(content: Description) -> Difference:
    return Difference(
        first=content.number("first"),
        second=content.number("second"),
        difference=content.object("difference").as_dataclass(Mean),
        left_out=content.integer("left_out"),
    )


def _sharing_rows(results: list[Description]) -> Rows:
    found = [
        sharing.Sharing(
            kept=_levels(result, "kept"),
            distances=[],
            distance=_mean(result, "distance"),
            difference=_mean(result, "difference"),
            floor=result.number("floor"),
            empty=result.integer("empty"),
        )
        for result in results
    ]
    return sharing.sharing_rows(found)


def _noise_rows(results: list[Description]) -> Rows:
    found = [
        noise.Disturbance(
            level=result.integer("level"),
            part=result.number("part"),
            distances=[],
            distance=_mean(result, "distance"),
            empty=result.integer("empty"),
        )
        for result in results
    ]
    return noise.noise_rows(found)


def _mixing_rows(results: list[Description]) -> Rows:
    found = [
        mixing.Mixture(
            kept=_levels(result, "kept"),
            sampled=result.truth("sampled"),
            to_a=[],
            to_b=[],
            distance_to_a=_mean(result, "distance_to_a"),
            distance_to_b=_mean(result, "distance_to_b"),
            empty=result.integer("empty"),
        )
        for result in results
    ]
    return mixing.mixture_rows(found)


def _mean(content: Description, field: str) -> Mean | None:
    found = content.optional(content.object, field)
    return None if found is None else found.as_dataclass(Mean)


def _levels(content: Description, field: str) -> list[int]:
    return [int(number) for number in content.numbers(field)]
