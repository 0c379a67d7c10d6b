"""An evaluation of generated shapes, from folders to the card; distances are kept as they come."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lagem.evaluation.card_head import GenerationHead
from lagem.evaluation.generation.card import show, write_generation_card
from lagem.evaluation.generation.matching import MatchedSets, match, places_by_group
from lagem.evaluation.generation.pairs import ChamferDistances, EarthMoversDistances, Matrix, pair_distances
from lagem.evaluation.generation.samples import Sample, samples_of
from lagem.evaluation.generation.sets import ComparedSets, SetDistances
from lagem.evaluation.generation.shapes import JudgedShape, ShapeReader
from lagem.evaluation.generation.summary import GenerationSummary, summarise_generation
from lagem.evaluation.neighbours import TRAINING, TrainingSearch
from lagem.progress import long_progress
from lagem.randomness import sample_generator
from lagem.sources.surfaces import EVERY_SPLIT, Points, SurfaceSource
from lagem.storage.journal import Journal


def evaluate_generation(
    generated: Path,
    references: SurfaceSource,
    output: Path,
    *,
    split: str = "val",
    training: SurfaceSource | None = None,
    points: int = 2048,
    emd_points: int = 0,
    workers: int = 1,
    seed: int = 0,
    references_name: str | None = None,
    training_name: str | None = None,
) -> GenerationSummary:
    """Hold generated shapes against real ones, and write generation.csv, generation.json and generation.md.

    Args:
        generated: A folder of `lagem generate`, or one with such folders below it.
        references: Real shapes that the cascade was not trained on.
        output: Folder of the card; a killed evaluation of the same goes on there.
        split: Of the references.
        training: Its split `train` is what the cascade was trained on; None leaves the novelty out.
        points: Points of each shape for the Chamfer distances (published: 2,048).
        emd_points: Points of each shape for the earth mover's distance, at most `points`; 0 leaves it out.
        workers: Threads.
        seed: Of the draws of shapes, of points and of halves.
        references_name: What the card calls the references.
        training_name: What the card calls the training set.
    """
    if points < 1 or workers < 1 or seed < 0 or not 0 <= emd_points <= points:
        raise ValueError(
            "points and workers must be at least 1, the seed at least 0 and the EMD's points between 0 and points, but "
            f"{points}, {workers}, {seed} and {emd_points} were given."
        )
    samples = samples_of(generated)
    places = places_by_group(references, split, {sample.category for sample in samples})
    if training is not None and split == TRAINING and TRAINING in references.splits:
        raise ValueError(
            "novelty is told beside that of references the cascade was not trained on; name another split."
        )
    output.mkdir(parents=True, exist_ok=True)
    kept = {name: output / f".{name}.jsonl" for name in ("nearest_train", "chamfer", "emd")}
    sets = _read(samples, references, places, training, kept["nearest_train"], points=points, seed=seed)
    ordered = [*sets.references, *sets.generated, *sets.more]
    n = len(sets.groups)
    found = _distances(ordered, n, kept, points=points, emd_points=emd_points, workers=workers)
    plain, squared = found.pop("chamfer")
    published = {"chamfer": _sets(squared, n)} | {name: _sets(emd, n) for name, (emd,) in found.items()}
    compared = ComparedSets(np.array(sets.groups), _sets(plain, n), published)
    shapes = [*_recognised(ordered, plain, n), *sets.failed, *sets.unread]
    shapes.sort(key=lambda shape: (shape.set, shape.id))
    summary = summarise_generation(shapes, compared, sets.left_out, seed)
    head = GenerationHead(
        generated=str(generated),
        references=references_name,
        training_set=training_name,
        split=split if split in references.splits else EVERY_SPLIT,
        points=points,
        emd_points=emd_points or "none",
        samples=len(samples),
        compared=n,
        seed=seed,
    )
    write_generation_card(output, shapes, summary, head)
    for path in kept.values():
        path.unlink(missing_ok=True)
    show(summary, output, compared=n)
    return summary


def _read(
    samples: Sequence[Sample],
    references: SurfaceSource,
    places: dict[str, list[int]],
    training: SurfaceSource | None,
    kept: Path,
    *,
    points: int,
    seed: int,
) -> MatchedSets:
    with long_progress() as progress:
        search, neighbours = None, None
        if training is not None:
            search = TrainingSearch(*_training_shapes(training, seed), progress)
            neighbours = Journal(kept, hashlib.sha256(search.descriptors.tobytes()).hexdigest())
        reader = ShapeReader(points=points, seed=seed, search=search, kept=neighbours)
        task = progress.add_task("reading generated shapes", total=len(samples))
        generated = []
        for sample in samples:
            generated.append(reader.generated(sample))
            progress.advance(task)
        whole = Counter(shape.category for shape in generated if not shape.reason)
        needed = sum(min(len(found), whole[group]) for group, found in places.items())
        task = progress.add_task("reading references", total=needed)

        def read(place: int) -> JudgedShape:
            progress.advance(task)
            return reader.reference(references, place)

        return match(generated, places, read, lambda place: references.ids[place], seed)


def _training_shapes(training: SurfaceSource, seed: int) -> tuple[list[str], Callable[[int, int], Points]]:
    """Ids of the training shapes, and what draws the points of each."""
    places = [place for place, split in enumerate(training.splits) if split == TRAINING]
    if not places:
        raise ValueError(
            f"the training set has no shape of split {TRAINING!r}; give a prepared folder, or leave --train out."
        )

    def cloud(number: int, count: int) -> Points:
        place = places[number]
        return training.draw(place, count, sample_generator(seed, 0, f"train/{training.ids[place]}"))

    return [training.ids[place] for place in places], cloud


def _distances(
    shapes: Sequence[JudgedShape], n: int, kept: dict[str, Path], *, points: int, emd_points: int, workers: int
) -> dict[str, list[Matrix]]:
    """Of the n references and the n generated shapes, which come first, all pairs; of others to the references."""
    clouds = [shape.points for shape in shapes if shape.points is not None]
    found = {}
    for name, measure_of, size, reach in (
        ("chamfer", ChamferDistances, points, [*range(2 * n), *[n] * (len(shapes) - 2 * n)]),
        ("emd", EarthMoversDistances, emd_points, [*range(2 * n)]),
    ):
        if size:
            few = [cloud[:size] for cloud in clouds[: len(reach)]]
            digest = hashlib.sha256(np.stack(few).tobytes()).hexdigest()
            rows = Journal(kept[name], {"points": digest, "reach": reach})
            title = f"{name} distances of pairs"
            found[name] = pair_distances(measure_of(few), reach, kept=rows, workers=workers, title=title)
    return found


def _sets(matrix: Matrix, n: int) -> SetDistances:
    """Of the n references that come first and the n generated shapes that follow."""
    return SetDistances(matrix[n : 2 * n, n : 2 * n], matrix[n : 2 * n, :n], matrix[:n, :n])


def _recognised(shapes: Sequence[JudgedShape], plain: Matrix, n: int) -> list[JudgedShape]:
    """Shapes, the n references first, each with the nearest other reference: what the category is recognised by."""
    to_references = plain[:, :n].copy()
    np.fill_diagonal(to_references, np.inf)
    found = []
    for shape, row in zip(shapes, to_references, strict=True):
        nearest, distance = shapes[int(row.argmin())], float(row.min())
        if np.isfinite(distance):  # a single reference has no other
            shape = replace(
                shape,
                recognised_as=nearest.category,
                nearest_reference=nearest.id,
                nearest_reference_distance=distance,
            )
        found.append(shape)
    return found
