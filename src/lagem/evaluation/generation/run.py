"""Evaluate generated shapes, and write the card. Distances are saved to a journal, so a killed run can resume."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.evaluation.card_head import GenerationHead
from lagem.evaluation.generation.card import print_generation_summary, write_generation_card
from lagem.evaluation.generation.matching import MatchedSets, indices_by_group, match_sets
from lagem.evaluation.generation.pairs import ChamferDistances, Clouds, EarthMoversDistances, Matrix, pair_distances
from lagem.evaluation.generation.presets import (
    PRESETS,
    ApproximateEarthMoversDistances,
    Preset,
    PresetName,
    grid_occupancy,
)
from lagem.evaluation.generation.samples import Sample, samples_of, sha256_of_tables
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
    preset: PresetName | None = None,
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
        seed: Seed of all random draws: of shapes, of points, and of the halves from which intervals are computed.
        preset: The published script to imitate, LION's or OctFusion's; see `lagem.evaluation.generation.presets`. Then,
            in each generated category, all references of the split are compared with the same number of generated
            shapes: the first that have a surface. With None, equally many of both are drawn at random.
        references_name: What the card calls the references.
        training_name: What the card calls the training set.
    """
    if points < 1 or workers < 1 or seed < 0 or not 0 <= emd_points <= points:
        raise ValueError(
            "points and workers must be at least 1, the seed at least 0 and EMD points from 0 to the number of points, "
            f"but {points} points, {workers} workers, seed {seed} and {emd_points} EMD points were given."
        )
    check_bounds("--workers", workers, least=1, most=MOST_WORKERS)
    rules = None if preset is None else PRESETS[preset]
    if rules is not None and (points != rules.points or emd_points not in (0, rules.points)):
        raise ValueError(
            f"--preset {preset} needs --points {rules.points}, and --emd-points with the same number or 0, "
            f"but --points {points} and --emd-points {emd_points} were given; change these options."
        )
    samples, samples_sha256 = samples_of(generated), sha256_of_tables(generated)
    indices = indices_by_group(references, split, {sample.category for sample in samples})
    if training is not None and split == TRAINING and TRAINING in references.splits:
        raise ValueError(
            f"--split {split} cannot be compared for novelty: the cascade was trained on it. Use another split."
        )
    output.mkdir(parents=True, exist_ok=True)
    journals = {name: output / f".{name}.jsonl" for name in ("nearest_train", "chamfer", "emd")}
    with kept_on_stop(lambda: "the distances so far are kept; the same command resumes."):
        sets = _read_sets(
            samples, references, indices, training, journals["nearest_train"], points=points, seed=seed, rules=rules
        )
        ordered = [*sets.references, *sets.generated, *sets.more]
        n = len(sets.groups)
        matrices = _distances(ordered, n, journals, points=points, emd_points=emd_points, workers=workers, rules=rules)
    plain, squared = matrices.pop("chamfer")
    published = {"chamfer": _set_distances(squared, n)}
    # a distance with two directions has two matrices; the second holds the distances in the opposite direction
    published |= {name: _set_distances(np.tril(emd[0]) + np.triu(emd[-1]), n) for name, emd in matrices.items()}
    histograms = _histograms(sets) if rules is not None and rules.jsd else None
    compared = ComparedSets(np.array(sets.groups), _set_distances(plain, n), published, histograms)
    shapes = [*_recognised(ordered, plain, n), *sets.failed, *sets.unread]
    shapes.sort(key=lambda shape: (shape.set, shape.id))
    summary = summarise_generation(shapes, compared, sets.left_out, seed)
    head = GenerationHead(
        generated=str(generated),
        samples_sha256=samples_sha256,
        references=references_name,
        training_set=training_name,
        split=split if split in references.splits else EVERY_SPLIT,
        points=points,
        emd_points=emd_points or "none",
        samples=len(samples),
        compared=n,
        seed=seed,
        preset=preset,
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
    rules: Preset | None,
) -> MatchedSets:
    with long_progress() as progress:
        search, journal = None, None
        if training is not None:
            search = TrainingSearch(*_training_shapes(training, seed), progress)
            journal = Journal(journal_path, hashlib.sha256(search.descriptors.tobytes()).hexdigest())
        framed = None if rules is None else rules.framed
        reader = ShapeReader(points=points, seed=seed, search=search, journal=journal, framed=framed)
        task = progress.add_task("reading generated shapes", total=len(samples))
        generated = []
        for sample in samples:
            generated.append(reader.generated(sample))
            progress.advance(task)
        with_surface = Counter(shape.category for shape in generated if not shape.reason)
        needed = sum(
            len(found) if rules is not None and with_surface[group] else min(len(found), with_surface[group])
            for group, found in indices.items()
        )
        task = progress.add_task("reading references", total=needed)

        def read(index: int) -> JudgedShape:
            progress.advance(task)
            return reader.reference(references, index)

        return match_sets(
            generated, indices, read, lambda index: references.ids[index], seed, all_references=rules is not None
        )


def _histograms(sets: MatchedSets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the `grid_occupancy` of the generated shapes that are compared, and of the references: (n, nodes) each."""
    generated, references = (
        np.stack([grid_occupancy(shape.points) for shape in shapes if shape.points is not None])
        for shapes in (sets.generated, sets.references)
    )
    return generated, references


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
    shapes: Sequence[JudgedShape],
    n: int,
    journals: dict[str, Path],
    *,
    points: int,
    emd_points: int,
    workers: int,
    rules: Preset | None,
) -> dict[str, list[Matrix]]:
    """Return the distances by name: Chamfer distances and, if they are measured, earth mover's distances.

    The first n shapes are the references, and the next n are generated. These 2 n shapes are all compared with each
    other. Further generated shapes are compared with the references only, and only by Chamfer distance.
    """
    clouds = [shape.points for shape in shapes if shape.points is not None]
    emd_of: Callable[[Clouds], Callable[[int, int], tuple[float, ...]]] = EarthMoversDistances
    if rules is not None:
        emd_of = partial(ApproximateEarthMoversDistances, references=n, squared=rules.squared_emd)
    found = {}
    for name, measure_of, size, reach in (
        ("chamfer", ChamferDistances, points, [*range(2 * n), *[n] * (len(shapes) - 2 * n)]),
        ("emd", emd_of, emd_points, [*range(2 * n)]),
    ):
        if size:
            few = [cloud[:size] for cloud in clouds[: len(reach)]]
            digest = hashlib.sha256(np.stack(few).tobytes()).hexdigest()
            kind = {"points": digest, "reach": reach}
            if name == "emd" and rules is not None:
                kind["measure"] = f"approximate, {'squared' if rules.squared_emd else 'not squared'}"
            journal = Journal(journals[name], kind)
            title = f"{name} distances"
            found[name] = pair_distances(measure_of(few), reach, journal=journal, workers=workers, title=title)
    return found


def _set_distances(matrix: Matrix, n: int) -> SetDistances:
    """Return the distances between the compared shapes.

    In the rows and columns of `matrix`, the first n shapes are the references, and the next n are generated shapes.
    """
    return SetDistances(matrix[n : 2 * n, n : 2 * n], matrix[n : 2 * n, :n], matrix[:n, :n])


def _recognised(shapes: Sequence[JudgedShape], plain: Matrix, n: int) -> list[JudgedShape]:
    """Return the shapes with `recognised_as` set to the category of the nearest reference.

    The first n shapes are the references. A reference is not compared with itself.
    """
    to_references = plain[:, :n].copy()
    np.fill_diagonal(to_references, np.inf)
    recognised = []
    for shape, row in zip(shapes, to_references, strict=True):
        nearest, distance = shapes[int(row.argmin())], float(row.min())
        if np.isfinite(distance):  # the distance is infinite if the shape is the only reference
            shape = replace(
                shape,
                recognised_as=nearest.category,
                nearest_reference=nearest.id,
                nearest_reference_distance=distance,
            )
        recognised.append(shape)
    return recognised
