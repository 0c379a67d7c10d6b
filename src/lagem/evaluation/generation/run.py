"""Evaluate generated shapes, from folders to the card. Distances are journalled, so a killed run can resume."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.evaluation.card_head import GenerationHead
from lagem.evaluation.generation.card import print_generation_summary, write_generation_card
from lagem.evaluation.generation.matching import MatchedSets, indices_by_group, match_sets
from lagem.evaluation.generation.pairs import ChamferDistances, EarthMoversDistances, Matrix, pair_distances
from lagem.evaluation.generation.samples import Sample, samples_of
from lagem.evaluation.generation.sets import ComparedSets, SetDistances
from lagem.evaluation.generation.shapes import JudgedShape, ShapeReader
from lagem.evaluation.generation.summary import GenerationSummary, summarise_generation
from lagem.evaluation.neighbours import TRAINING, TrainingSearch
from lagem.progress import long_progress
from lagem.randomness import sample_generator
from lagem.signals import kept_on_stop
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
    """Compare generated shapes with real ones, and write generation.csv, generation.json and generation.md.

    Args:
        generated: A folder that `lagem generate` wrote, or a folder that contains such folders.
        references: Real shapes that the cascade was not trained on.
        output: Folder of the card; a killed evaluation with the same settings resumes there.
        split: Split of the references.
        training: Source whose split `train` the cascade was trained on, to measure the novelty; None to skip it.
        points: Number of points per shape for the Chamfer distances (published: 2,048).
        emd_points: Number of points per shape for the earth mover's distance, at most `points`; 0 to skip it.
        workers: Number of threads.
        seed: Seed of all draws: of shapes, of points, and of the halves from which intervals are computed.
        references_name: What the card calls the references.
        training_name: What the card calls the training set.
    """
    if points < 1 or workers < 1 or seed < 0 or not 0 <= emd_points <= points:
        raise ValueError(
            "points and workers must be at least 1, the seed at least 0 and EMD points from 0 to the number of points, "
            f"but {points} points, {workers} workers, seed {seed} and {emd_points} EMD points were given."
        )
    check_bounds("--workers", workers, least=1, most=MOST_WORKERS)
    samples = samples_of(generated)
    indices = indices_by_group(references, split, {sample.category for sample in samples})
    if training is not None and split == TRAINING and TRAINING in references.splits:
        raise ValueError(
            f"--split {split} cannot be compared for novelty: the cascade was trained on it. Use another split."
        )
    output.mkdir(parents=True, exist_ok=True)
    journals = {name: output / f".{name}.jsonl" for name in ("nearest_train", "chamfer", "emd")}
    with kept_on_stop(lambda: "the distances so far are kept; the same command resumes."):
        sets = _read_sets(samples, references, indices, training, journals["nearest_train"], points=points, seed=seed)
        ordered = [*sets.references, *sets.generated, *sets.more]
        n = len(sets.groups)
        matrices = _distances(ordered, n, journals, points=points, emd_points=emd_points, workers=workers)
    plain, squared = matrices.pop("chamfer")
    published = {"chamfer": _set_distances(squared, n)}
    published |= {name: _set_distances(emd, n) for name, (emd,) in matrices.items()}
    compared = ComparedSets(np.array(sets.groups), _set_distances(plain, n), published)
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
    for path in journals.values():
        path.unlink(missing_ok=True)
    print_generation_summary(summary, output, compared=n)
    return summary


def _read_sets(
    samples: Sequence[Sample],
    references: SurfaceSource,
    indices: dict[str, list[int]],
    training: SurfaceSource | None,
    journal_path: Path,
    *,
    points: int,
    seed: int,
) -> MatchedSets:
    with long_progress() as progress:
        search, journal = None, None
        if training is not None:
            search = TrainingSearch(*_training_shapes(training, seed), progress)
            journal = Journal(journal_path, hashlib.sha256(search.descriptors.tobytes()).hexdigest())
        reader = ShapeReader(points=points, seed=seed, search=search, journal=journal)
        task = progress.add_task("reading generated shapes", total=len(samples))
        generated = []
        for sample in samples:
            generated.append(reader.generated(sample))
            progress.advance(task)
        with_surface = Counter(shape.category for shape in generated if not shape.reason)
        needed = sum(min(len(found), with_surface[group]) for group, found in indices.items())
        task = progress.add_task("reading references", total=needed)

        def read(index: int) -> JudgedShape:
            progress.advance(task)
            return reader.reference(references, index)

        return match_sets(generated, indices, read, lambda index: references.ids[index], seed)


def _training_shapes(training: SurfaceSource, seed: int) -> tuple[list[str], Callable[[int, int], Points]]:
    """Return the ids of the training shapes, and a function that draws points from their surfaces.

    The function takes the index of a shape among these ids, and the number of points to draw.
    """
    indices = [index for index, split in enumerate(training.splits) if split == TRAINING]
    if not indices:
        raise ValueError(
            f"the training set has no shape of split {TRAINING!r}; give a folder that has one, or omit --train."
        )

    def cloud(number: int, count: int) -> Points:
        index = indices[number]
        return training.draw(index, count, sample_generator(seed, 0, f"train/{training.ids[index]}"))

    return [training.ids[index] for index in indices], cloud


def _distances(
    shapes: Sequence[JudgedShape], n: int, journals: dict[str, Path], *, points: int, emd_points: int, workers: int
) -> dict[str, list[Matrix]]:
    """Return the distances by name: Chamfer distances and, if they are measured, earth mover's distances.

    The first 2 n shapes, n references and n generated, are all compared with each other. The other generated shapes
    are compared with the references, by Chamfer distance only.
    """
    clouds = [shape.points for shape in shapes if shape.points is not None]
    found = {}
    for name, measure_of, size, reach in (
        ("chamfer", ChamferDistances, points, [*range(2 * n), *[n] * (len(shapes) - 2 * n)]),
        ("emd", EarthMoversDistances, emd_points, [*range(2 * n)]),
    ):
        if size:
            few = [cloud[:size] for cloud in clouds[: len(reach)]]
            digest = hashlib.sha256(np.stack(few).tobytes()).hexdigest()
            journal = Journal(journals[name], {"points": digest, "reach": reach})
            title = f"{name} distances"
            found[name] = pair_distances(measure_of(few), reach, journal=journal, workers=workers, title=title)
    return found


def _set_distances(matrix: Matrix, n: int) -> SetDistances:
    """Return the distances between the compared shapes.

    In `matrix`, the first n shapes are the references, and the next n are the generated shapes.
    """
    return SetDistances(matrix[n : 2 * n, n : 2 * n], matrix[n : 2 * n, :n], matrix[:n, :n])


def _recognised(shapes: Sequence[JudgedShape], plain: Matrix, n: int) -> list[JudgedShape]:
    """Return the shapes, each recognised as the category of the nearest reference other than the shape itself.

    The first n shapes are the references.
    """
    to_references = plain[:, :n].copy()
    np.fill_diagonal(to_references, np.inf)
    recognised = []
    for shape, row in zip(shapes, to_references, strict=True):
        nearest, distance = shapes[int(row.argmin())], float(row.min())
        if np.isfinite(distance):  # infinite if the shape is the only reference
            shape = replace(
                shape,
                recognised_as=nearest.category,
                nearest_reference=nearest.id,
                nearest_reference_distance=distance,
            )
        recognised.append(shape)
    return recognised
