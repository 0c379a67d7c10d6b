"""Diagnose an experiment: draw shapes, test them, train a few steps, and judge what was measured.

Drawing, testing and training have deadlines, so that a diagnosis takes less than five minutes on two CPU cores. The
result says how much was examined.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from lagem.data_modules.stream import ShapeSet
from lagem.diagnosis.balance import check_balance
from lagem.diagnosis.examined import ExaminedShape, check_values, examined
from lagem.diagnosis.finding import Finding, failure_found
from lagem.diagnosis.frame import frame_test, judge_augmented, judge_frames
from lagem.diagnosis.labels import judge_labels, label_test
from lagem.diagnosis.machine import check_memory, check_precision, judge_loader, seconds_per_batch
from lagem.diagnosis.overfit import overfit
from lagem.diagnosis.rate import Curve, judge_overfit, judge_rate
from lagem.diagnosis.split import SplitShape, check_split
from lagem.diagnosis.stored import read_stored
from lagem.diagnosis.subject import Subject, accelerator_here, batches, merged, more_training_shapes, singles
from lagem.models.cost import TrainingCost, training_cost
from lagem.prepared.descriptors import COMPARED_POINTS
from lagem.progress import long_progress
from lagem.randomness import sample_seed
from lagem.samples import OccupancyBatch

# maximum numbers of training and of validation shapes to examine; up to `FIRST` of the training shapes are the first
# ones of the training set
MOST_TRAIN, MOST_VAL, FIRST = 320, 160, 96
DRAWN = 96  # number of shapes that are drawn exactly as in training, for the check of the balance
DRAWING_SECONDS, TESTING_SECONDS, PROBE_SECONDS, EIGHT_SECONDS = 55.0, 50.0, 25.0, 35.0
PROBE_STEPS, EIGHT_STEPS, LEAST_STEPS = 80, 60, 20
EIGHT = 8
MOST_OPERATIONS = 1.5e12  # of a step on one shape; with more, a CPU cannot take LEAST_STEPS steps in PROBE_SECONDS
MOST_CATEGORIES_READ = 100_000


@dataclass
class Diagnosis:
    """The result of a diagnosis.

    config: The experiment file.
    findings: What was found, the worst first.
    examined: For each group of checks, a text that says what was examined.
    seconds: Wall-clock time that the diagnosis took.
    """

    config: str
    findings: list[Finding] = field(default_factory=list)
    examined: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def faults(self) -> list[Finding]:
        """The findings that are errors or warnings, not notes."""
        return [finding for finding in self.findings if finding.is_fault]


def diagnose(config: Path, overrides: Sequence[str] = ()) -> Diagnosis:
    """Diagnose an experiment that trains an autoencoder, and return what was found.

    Args:
        config: Experiment file.
        overrides: Options as for `lagem fit`, such as `--data.init_args.root DIR`.

    Raises:
        ValueError: If the experiment is not valid, or does not train an autoencoder; the message is one line.
    """
    start = time.monotonic()
    result = Diagnosis(str(config))
    subject = Subject.of(config, overrides)
    with long_progress() as progress, np.errstate(divide="ignore", invalid="ignore"):  # findings name invalid values
        drawn = list(batches(subject.data, "train", max(1, DRAWN // subject.batch_size)))
        is_valid = _examine_data(subject, drawn, result, progress)
        _examine_training(subject, drawn, result, progress, is_valid=is_valid)
    order = {"error": 0, "warning": 1, "note": 2}
    result.findings.sort(key=lambda finding: (order[finding.severity], -finding.confidence))
    result.seconds = time.monotonic() - start
    return result


def _examine_data(
    subject: Subject, batches_drawn: Sequence[OccupancyBatch], result: Diagnosis, progress: Progress
) -> bool:
    """Test the data, and return whether all samples are valid (see `ExaminedShape`).

    Args:
        subject: The experiment.
        batches_drawn: Training batches, drawn with the settings of the experiment.
        result: The diagnosis to which the findings are added.
        progress: The progress bar.
    """
    deadline = time.monotonic() + DRAWING_SECONDS
    task = progress.add_task("drawing shapes", total=MOST_TRAIN + MOST_VAL)
    shapes: dict[tuple[str, str], ExaminedShape] = {}

    def keep(drawn: Iterable[ExaminedShape], most: int, until: float) -> None:
        for shape in drawn:
            shapes.setdefault((shape.split, shape.id), shape)
            progress.update(task, completed=len(shapes))
            if time.monotonic() > until or len(shapes) >= most:
                return

    keep(examined(batches(subject.examined, "val", MOST_VAL), "val"), MOST_VAL, deadline - 0.7 * DRAWING_SECONDS)
    num_val = len(shapes)
    keep(examined(batches(subject.examined, "train", MOST_TRAIN), "train"), num_val + MOST_TRAIN - FIRST, deadline)
    first = examined(more_training_shapes(subject.examined, range(FIRST)), "train")
    keep(first, num_val + MOST_TRAIN, deadline)
    progress.update(task, total=len(shapes), completed=len(shapes))

    drawn = list(shapes.values())
    result.findings += check_values(drawn)
    valid = [shape for shape in drawn if shape.is_valid]
    counts = Counter(shape.split for shape in drawn)
    result.examined["data"] = f"{counts['train']} training and {counts['val']} validation shapes"
    with failure_found(result.findings, "labels", "Labels and frames"):
        _examine_labels(valid, result, progress)
    with failure_found(result.findings, "balance", "Samples as drawn in training"):
        _examine_drawn(subject, batches_drawn, result)
    others: list[SplitShape] = []
    if (shards := subject.shards) is not None:
        with failure_found(result.findings, "values", "Stored arrays"):
            members = (subject.data.train_shapes.members, subject.data.val_shapes.members)  # type: ignore[attr-defined]
            stored = read_stored(shards, *members, drawn={shape.id for shape in drawn}, progress=progress)
            result.findings += stored.findings
            result.examined["stored"] = f"{stored.read} of {sum(map(len, members))} stored shapes"
            others = stored.others
    with failure_found(result.findings, "split", "Training and validation sets"):
        _examine_split(subject, result, valid, others)
    return len(valid) == len(drawn)


def _examine_labels(shapes: Sequence[ExaminedShape], result: Diagnosis, progress: Progress) -> None:
    """Test labels and frames of as many shapes as the time allows, in random order."""
    task = progress.add_task("testing labels and frames", total=len(shapes))
    times_seen = Counter(shape.id for shape in shapes)
    frames, labels, splits = {}, {}, {}
    deadline = time.monotonic() + TESTING_SECONDS
    for shape in sorted(shapes, key=lambda shape: sample_seed(0, 0, shape.id)):
        if time.monotonic() > deadline:
            break
        name = f"{shape.split}/{shape.id}" if times_seen[shape.id] > 1 else shape.id
        frames[name], labels[name], splits[name] = frame_test(shape), label_test(shape), shape.split
        progress.advance(task)
    apart = [id for id, test in frames.items() if test.is_apart]
    result.findings += judge_frames(frames, splits)
    result.findings += judge_labels(labels, out_of_frame=apart)
    in_frame = labels.keys() - apart
    judged = sum(labels[id].judged for id in in_frame)
    result.examined["labels"] = f"{judged:,} labels of {len(in_frame)} shapes"
    if apart:
        result.examined["labels"] += f"; those of {len(apart)} shapes were not judged, because their frame is wrong"


def _examine_drawn(subject: Subject, drawn: Sequence[OccupancyBatch], result: Diagnosis) -> None:
    """Check the balance and the scale of samples that are drawn exactly as in training and validation."""
    of_val = batches(subject.data, "val", max(1, DRAWN // subject.batch_size))
    samples = [*examined(drawn, "train"), *examined(of_val, "val")]
    shapes = [shape for shape in samples if shape.is_valid]
    result.findings += check_balance(shapes)
    norms = [float(np.linalg.norm(shape.surface_points, axis=1).max()) for shape in shapes if shape.split == "train"]
    if not any(finding.check == "frame" for finding in result.findings):
        result.findings += judge_augmented(norms)
    result.examined["balance"] = f"{len(shapes)} samples, drawn as in training and validation"


def _examine_split(
    subject: Subject, result: Diagnosis, shapes: Sequence[ExaminedShape], stored: list[SplitShape]
) -> None:
    described: dict[str, list[SplitShape]] = {"train": [], "val": []}
    for shape in shapes:
        points = partial(np.asarray, shape.surface_points[:COMPARED_POINTS])
        described[shape.split].append(SplitShape.of(shape.id, shape.category, points))
    sets = [getattr(subject.data, f"{split}_shapes", None) for split in ("train", "val")]
    counts = tuple(
        len(found) if found is not None else len(described[split])
        for split, found in zip(("train", "val"), sets, strict=True)
    )
    result.findings += check_split(
        described["train"],
        described["val"],
        others=stored,
        categories=(_categories(sets[0], described["train"]), _categories(sets[1], described["val"])),
        counts=(counts[0], counts[1]),
    )


def _categories(shapes: Any, described: Sequence[SplitShape]) -> Counter[str]:
    if isinstance(shapes, ShapeSet):
        step = max(1, len(shapes) // MOST_CATEGORIES_READ)
        return Counter(shapes.category(index) for index in range(0, len(shapes), step))
    return Counter(shape.category for shape in described)


def _examine_training(
    subject: Subject, drawn: Sequence[OccupancyBatch], result: Diagnosis, progress: Progress, *, is_valid: bool
) -> None:
    """Check memory and precision, train a few steps on one shape and on eight, and check the loading of data."""
    accelerator = accelerator_here(subject.settings)
    trainer = subject.settings.trainer
    wants_gpu = trainer.accelerator in ("gpu", "cuda")
    cost = _cost(subject, drawn[0])
    result.findings += check_memory(cost, accelerator=accelerator, wants_gpu=wants_gpu)
    reason = ""
    if not is_valid:
        reason = "samples hold invalid values"
    elif cost.operations / len(drawn[0]) > MOST_OPERATIONS and accelerator == "cpu":
        reason = "a step on one shape takes too long on this CPU; diagnose it on a GPU"
    if reason:
        result.examined["training"] = f"not tried, because {reason}"
        result.findings += judge_rate(*_rate_of(subject), None, None)
        return
    with failure_found(result.findings, "overfit", "Short trainings"):
        _examine_short_trainings(
            subject, drawn, result, progress, checks_loader=not (wants_gpu and accelerator == "cpu")
        )


def _examine_short_trainings(
    subject: Subject,
    drawn: Sequence[OccupancyBatch],
    result: Diagnosis,
    progress: Progress,
    *,
    checks_loader: bool,
) -> None:
    parts = [part for batch in drawn[:EIGHT] for part in singles(batch)][:EIGHT]
    one, eight = parts[0], merged(parts)
    with failure_found(result.findings, "precision", "Precisions"):
        precision, accelerator = subject.settings.trainer.precision, accelerator_here(subject.settings)
        result.findings += check_precision(precision, accelerator, subject.module.autoencoder, one)
    task = progress.add_task("training on one shape", total=2 * PROBE_STEPS + EIGHT_STEPS)

    def trained(batch: OccupancyBatch, most: int, seconds: float, factor: float = 1.0) -> tuple[Curve, float]:
        deadline = time.monotonic() + 1.5 * seconds
        _, second = overfit(subject, batch, steps=3, deadline=deadline)
        steps = most if not second * most > seconds else max(LEAST_STEPS, int(seconds / second))
        curve, second = overfit(subject, batch, steps=steps, factor=factor, deadline=deadline)
        progress.advance(task, most)
        return curve, second

    curve, _ = trained(one, PROBE_STEPS, PROBE_SECONDS)
    tenth, _ = trained(one, PROBE_STEPS, PROBE_SECONDS, factor=0.1)
    rate = judge_rate(*_rate_of(subject), curve, tenth)
    result.findings += rate
    progress.update(task, description="training on eight shapes")
    many, second = trained(eight, EIGHT_STEPS, EIGHT_SECONDS, factor=0.1 if rate else 1.0)
    if not result.faults:
        result.findings += judge_overfit(curve, many, rate_is_wrong=bool(rate))
    result.examined["training"] = (
        f"one shape: {curve} (at a tenth of the learning rate: {tenth}); {len(eight)} shapes: {many}"
    )
    if checks_loader and math.isfinite(second):
        with failure_found(result.findings, "loader", "Loading times"):
            _examine_loader(subject, second * subject.batch_size / len(eight), result)


def _examine_loader(subject: Subject, step: float, result: Diagnosis) -> None:
    loading = seconds_per_batch(subject.data)
    result.findings += judge_loader(loading, step, workers=int(getattr(subject.data, "num_workers", 0)))
    result.examined["loader"] = f"{loading:.3f} s to load a batch, {step:.3f} s for a training step"


def _rate_of(subject: Subject) -> tuple[str, float, float]:
    module = subject.module
    return module.optimizer, module.base_lr * subject.effective_batch / 256, module.base_lr


def _cost(subject: Subject, batch: OccupancyBatch) -> TrainingCost:
    network, spec = subject.module.autoencoder, subject.module.spec
    return training_cost(
        levels=spec.levels,
        width=spec.width,
        octaves=spec.octaves,
        batch_size=len(batch),
        num_surface_points=batch.surface_points.shape[1],
        num_queries=batch.volume_points.shape[1] + batch.near_points.shape[1],
        bfloat16=str(subject.settings.trainer.precision).startswith("bf16"),
        step=network.step,
        checkpoint_activations=network.checkpoint_activations,
    )
