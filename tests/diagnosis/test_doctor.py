"""`lagem doctor` checks data: it reports the faults planted in procedural furniture, and accepts healthy data."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.diagnosis.balance import check_balance
from lagem.diagnosis.examined import ExaminedShape, check_values, examined
from lagem.diagnosis.finding import Finding
from lagem.diagnosis.frame import frame_test, judge_frames
from lagem.diagnosis.labels import LabelTest, judge_labels, label_test
from lagem.diagnosis.split import SplitShape, check_split
from lagem.preparation.settings import Settings
from lagem.samples import OccupancyBatch
from planted_data import PlantedData
from preparation_here import prepare

COUNTS = {"num_surface_points": 8192, "num_volume_queries": 2048, "num_near_queries": 2048}


def shapes_of(data: PlantedData, most: int = 24) -> Iterator[ExaminedShape]:
    for split in ("train", "val"):
        shapes = getattr(data, f"{split}_shapes")
        yield from islice(
            examined((OccupancyBatch.collate([shapes[0, index]]) for index in range(len(shapes))), split), most
        )


def faults(fault: str, strength: float, *, seed: int = 0, num_train: int = 16, num_val: int = 12) -> list[Finding]:
    """Return the faults that the checks of the data find in data with a planted fault."""
    data = PlantedData(
        fault=fault, strength=strength, seed=seed, num_train=num_train, num_val=num_val, batch_size=1, **COUNTS
    )
    shapes = list(shapes_of(data, max(num_train, num_val)))
    findings = check_values(shapes)
    valid = [shape for shape in shapes if shape.is_valid]
    frames = {f"{shape.split}/{shape.id}": frame_test(shape) for shape in valid}
    tests = {f"{shape.split}/{shape.id}": label_test(shape) for shape in valid}
    findings += judge_frames(frames, {id: id.split("/")[0] for id in frames})
    findings += judge_labels(tests, out_of_frame=[id for id, test in frames.items() if test.is_apart])
    findings += check_balance(valid)
    findings += split_findings(valid)
    return [finding for finding in findings if finding.is_fault]


def split_findings(shapes: Iterable[ExaminedShape]) -> list[Finding]:
    """Compare the training shapes with the validation shapes, and return what is found."""
    described: dict[str, list[SplitShape]] = {"train": [], "val": []}
    for shape in shapes:
        points = partial(np.asarray, shape.surface_points)
        described[shape.split].append(SplitShape.of(shape.id, shape.category, points))
    categories = [Counter(shape.category for shape in described[split]) for split in ("train", "val")]
    return check_split(
        described["train"],
        described["val"],
        categories=(categories[0], categories[1]),
        counts=(len(described["train"]), len(described["val"])),
    )


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_healthy_shapes_raise_no_alarm(seed):
    assert faults("flip", 0.0, seed=seed) == []


# faults that all shapes have, and the numbers of shapes in which they are found
FAULTS_OF_ALL_SHAPES = ("flip", "scale", "shift", "shift_surface", "shift_volume", "unbalance")
FEW = {"num_train": 6, "num_val": 4}


def planted(fault: str, check: str, *strengths: float) -> list[Any]:
    """Return the parameters of a fault, the strongest first; only the weakest is not slow."""
    *strong, weakest = strengths
    return [
        *(pytest.param(fault, strength, check, marks=pytest.mark.slow) for strength in strong),
        (fault, weakest, check),
    ]


@pytest.mark.parametrize(
    ("fault", "strength", "check"),
    [
        *planted("flip", "labels", 1.0, 0.1, 0.02),
        *planted("flip_shapes", "labels", 0.5, 0.1),
        *planted("scale", "frame", 0.5, 0.9, 0.97),
        *planted("shift", "frame", 0.5, 0.1, 0.03),
        *planted("shift_surface", "frame", 0.3, 0.05, 0.01),
        *planted("shift_volume", "frame", 0.1),
        *planted("swap_axes_of_surface", "frame", 1.0, 0.2),
        *planted("unbalance", "balance", 0.02, 0.1, 0.4),
        *planted("not_a_number", "values", 1.0, 0.1),
        *planted("zero_surface", "values", 1.0, 0.1),
        *planted("copies", "split", 1.0, 0.5, 0.125),
        *planted("leak", "split", 1.0, 0.5, 0.125),
    ],
)
def test_a_planted_fault_is_named(fault, strength, check):
    found = faults(fault, strength, **(FEW if fault in FAULTS_OF_ALL_SHAPES else {}))
    assert check in {finding.check for finding in found}
    for finding in found:
        assert 0.5 <= finding.confidence < 1 and finding.advice and finding.evidence


@pytest.mark.parametrize("strength", [pytest.param(1.0, marks=pytest.mark.slow), 0.5])
def test_a_turned_validation_set_is_named(strength):
    few_queries = {"num_surface_points": 4096, "num_volume_queries": 64, "num_near_queries": 64}
    data = PlantedData(fault="turn", strength=strength, num_train=96, num_val=48, batch_size=1, **few_queries)
    assert "split" in {finding.check for finding in split_findings(shapes_of(data, 96)) if finding.is_fault}


def test_labels_near_the_surface_are_judged_too():
    data = PlantedData(fault="flip", strength=0.0, num_train=4, num_val=1, batch_size=1, **COUNTS)
    for shape in shapes_of(data):
        flipped = np.random.default_rng(0).random(len(shape.near_inside)) < 0.2
        assert label_test(replace(shape, near_inside=shape.near_inside ^ flipped)).rate > label_test(shape).rate + 0.01


def drawn_from_pools(seed: int, *, size: int = 4000) -> Iterator[ExaminedShape]:
    """Yield shapes whose surface points are drawn repeatedly from a pool with fewer points than the sample has."""
    data = PlantedData(fault="flip", strength=0.0, num_train=8, num_val=1, batch_size=1, **COUNTS)
    rng = np.random.default_rng(seed)
    for index in range(8):
        batch = OccupancyBatch.collate([data.train_shapes[0, index]])
        rows = rng.integers(0, size, COUNTS["num_surface_points"])
        yield from examined([replace(batch, surface_points=batch.surface_points[:, rows])], "train")


def test_points_that_are_drawn_repeatedly_contradict_no_label():
    for repeated in drawn_from_pools(0):
        assert len(repeated.surface_points) < 4000
        assert label_test(repeated).rate < 0.01
        tiled = replace(repeated, surface_points=np.tile(repeated.surface_points, (4, 1)))
        (again,) = examined([batch_of(tiled)], "train")
        assert label_test(again) == label_test(repeated)


def batch_of(shape: ExaminedShape) -> OccupancyBatch:
    """Return the sample of an examined shape as a batch."""
    data = PlantedData(fault="flip", strength=0.0, num_train=1, num_val=1, batch_size=1, **COUNTS)
    arrays = {name: getattr(shape, name) for name in ("surface_points", "volume_points", "near_points")}
    arrays |= {"volume_occupancy": shape.volume_inside, "near_occupancy": shape.near_inside}
    tensors = {name: torch.from_numpy(array).float().unsqueeze(0) for name, array in arrays.items()}
    return replace(OccupancyBatch.collate([data.train_shapes[0, 0]]), **tensors)


def test_copies_are_found_although_points_are_drawn_repeatedly():
    sets = [
        [SplitShape.of(f"{name}_{shape.id}", "a", partial(np.asarray, shape.surface_points)) for shape in shapes]
        for name, shapes in (("train", drawn_from_pools(0)), ("val", drawn_from_pools(1)))
    ]
    categories = (Counter({"a": 8}), Counter({"a": 8}))
    (finding,) = check_split(*sets, categories=categories, counts=(8, 8))
    assert finding.severity == "error" and len(finding.evidence["copies"]) == 8


def test_surface_points_at_one_position_are_named_with_their_shapes():
    data = PlantedData(fault="zero_surface", strength=1.0, num_train=6, num_val=2, batch_size=1, **COUNTS)
    shapes = list(shapes_of(data))
    (finding,) = check_values(shapes)
    assert (finding.check, finding.severity) == ("values", "error")
    assert "all 8 shapes" in finding.what and "100% of the points" in finding.what
    assert finding.evidence["shapes"] == [shape.id for shape in shapes]


def test_a_split_without_valid_shapes_is_compared_by_categories():
    equal, other = Counter({"a": 40}), Counter({"b": 40})
    assert check_split([], [], categories=(equal, equal), counts=(40, 40)) == []
    (finding,) = check_split([], [], categories=(equal, other), counts=(40, 40))
    assert "different categories" in finding.what


@pytest.mark.parametrize("kind", ["volume", "near"])
@pytest.mark.parametrize(("stored", "is_fault"), [(2048, False), (80, True)])
def test_repeated_queries_are_named_by_their_kind(kind, stored, is_fault):
    data = PlantedData(fault="flip", strength=0.0, num_train=4, num_val=1, batch_size=1, **COUNTS)

    def drawn(shape: ExaminedShape) -> ExaminedShape:
        rows = np.random.default_rng(0).permutation(2048)[np.arange(512) % stored]
        names = (f"{kind}_points", f"{kind}_inside")
        return replace(shape, **{name: getattr(shape, name)[rows] for name in names})

    findings = check_balance([drawn(shape) for shape in shapes_of(data)])
    findings = [finding for finding in findings if "repeat" in finding.what]
    assert all(f"repeat {kind} queries" in finding.what for finding in findings)
    assert {finding.evidence["split"] for finding in findings} == ({"train", "val"} if is_fault else set())


def with_few_near(shape: ExaminedShape, stored: int, rng: np.random.Generator) -> ExaminedShape:
    """Return the shape as drawn from pools with `stored` near queries inside, and as many outside."""
    sides = [rng.choice(np.flatnonzero(shape.near_inside == side), stored, replace=False) for side in (True, False)]
    rows = np.resize(np.concatenate(sides), len(shape.near_inside))
    return replace(shape, near_points=shape.near_points[rows], near_inside=shape.near_inside[rows])


@pytest.mark.parametrize("stored", [1, 2, *(pytest.param(stored, marks=pytest.mark.slow) for stored in (4, 10))])
def test_a_few_near_queries_are_no_evidence_of_a_wrong_frame(stored):
    data = PlantedData(fault="flip", strength=0.0, num_train=8, num_val=1, batch_size=1, **COUNTS)
    rng = np.random.default_rng(0)
    for shape in shapes_of(data):
        tests = {str(draw): frame_test(with_few_near(shape, stored, rng)) for draw in range(25)}
        assert judge_frames(tests, dict.fromkeys(tests, "train")) == []


@pytest.mark.parametrize("length", [0.0, 0.02, 0.04, 0.06])
def test_a_shift_in_any_direction_is_estimated(length):
    data = PlantedData(fault="flip", strength=0.0, num_train=8, num_val=1, batch_size=1, **COUNTS)
    rng = np.random.default_rng(0)
    for shape in shapes_of(data):
        direction = rng.standard_normal(3)
        shift = length * direction / np.linalg.norm(direction)
        test = frame_test(replace(shape, surface_points=shape.surface_points + shift))
        assert test.shift == pytest.approx(length, abs=0.005) and test.is_apart == (length > 0)


def test_a_fine_grating_is_not_taken_for_shifted(shared_meshes, tmp_path):
    (mesh,) = shared_meshes.rglob("base_metal_grating_03.*")
    prepare([mesh], tmp_path, Settings(surface=20_000, volume=30_000, near=10_000, inside=3_000, val_share=0.0))
    counts = {"num_surface_points": 16_384, "num_volume_queries": 64, "num_near_queries": 4096}
    data = OccupancyDataModule(root=tmp_path, batch_size=1, num_workers=0, **counts)
    data.setup("fit")
    (shape,) = examined(data.train_dataloader(), "train")
    assert not frame_test(shape).is_apart
    shifted = shape.surface_points + np.array([0, 0.02, 0])
    assert frame_test(replace(shape, surface_points=shifted)).is_shifted


def test_without_near_queries_no_shift_is_found():
    data = PlantedData(fault="flip", strength=0.0, num_train=1, num_val=1, batch_size=1, **COUNTS)
    for shape in shapes_of(data):
        test = frame_test(replace(shape, near_points=np.zeros((0, 3)), near_inside=np.zeros(0, dtype=bool)))
        assert not test.is_apart and test.near_count == 0


def test_a_hundred_near_queries_are_evidence_of_a_wrong_frame():
    data = PlantedData(fault="shift_surface", strength=0.3, num_train=8, num_val=1, batch_size=1, **COUNTS)
    rng = np.random.default_rng(0)
    tests = {shape.id: frame_test(with_few_near(shape, 50, rng)) for shape in shapes_of(data)}
    assert sum(test.is_apart for test in tests.values()) > len(tests) / 2


def test_wrong_labels_are_not_judged_if_the_frame_of_more_shapes_is_wrong():
    tests = {"good": LabelTest(4000, 2, 1, 0), "bad": LabelTest(4000, 1200, 700, 600)}
    (error,) = judge_labels(tests)
    assert (error.check, error.severity) == ("labels", "error")
    (note,) = judge_labels(tests, out_of_frame=["x", "y"])
    assert (note.check, note.severity) == ("labels", "note")
    assert "bad" in note.what and "not judged" in note.what
    assert judge_labels({"good": tests["good"]}, out_of_frame=["x", "y"]) == []


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_exchanged_axes_are_not_called_wrong_labels(seed):
    assert {finding.check for finding in faults("swap_axes_of_surface", 1.0, seed=seed)} == {"frame"}
