"""Tests of callbacks in a real trainer, with a module that reconstructs exact spheres."""

import csv
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from deadlines import HANG
from lagem.callbacks.geometry_metrics import LogGeometryMetrics
from lagem.callbacks.mesh_export import ExportMeshes
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.progress import LongProgress, long_progress
from lagem.samples import ReferenceShape
from lagem.training import progress

CENTERS, RADIUS = {"left": -0.2, "right": 0.3}, 0.5


def sphere_points(count: int, seed: int) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return RADIUS * points / points.norm(dim=1, keepdim=True)


class Spheres(LightningDataModule):
    """A data module of two spheres that are centred at different points of the x axis."""

    def reference_shapes(self, count: int, *, rank: int = 0, world_size: int = 1) -> list[ReferenceShape]:
        shapes = []
        for name, x in list(CENTERS.items())[:count]:
            shift = torch.tensor([x, 0.0, 0.0])
            volume = torch.rand(4000, 3, generator=torch.Generator().manual_seed(3)) * 2 - 1
            shapes.append(
                ReferenceShape(
                    id=name,
                    category="sphere",
                    surface_points=sphere_points(100, 1) + shift,
                    reference_points=sphere_points(5000, 2) + shift,
                    volume_points=volume,
                    volume_occupancy=(volume - shift).norm(dim=1) < RADIUS,
                    volume_weight=torch.ones(4000),
                    frame=Frame(center=np.array([10.0, 20.0, -30.0]), scale=0.25),
                )
            )
        return shapes

    def val_dataloader(self) -> DataLoader:
        return DataLoader([0])


class Exact(LightningModule):
    """A module that reconstructs the sphere whose centre is nearest to the mean of the points.

    If the mean is near x = `empty`, it reconstructs nothing.
    """

    num_levels = 1

    def __init__(self, empty: float | None = None) -> None:
        super().__init__()
        self.empty = empty

    def validation_step(self, batch, batch_idx):
        pass

    def reconstruct(self, surface_points, *, finest=1):
        center = surface_points.mean(dim=1)[0]

        class OneField:
            def select(_, index):
                if self.empty is not None and abs(float(center[0]) - self.empty) < 0.1:
                    return lambda points: -torch.ones(len(points))
                x = min(CENTERS.values(), key=lambda value: abs(value - float(center[0])))
                return lambda points: RADIUS - (points - torch.tensor([x, 0.0, 0.0])).norm(dim=1)

        return OneField()


def validate(callback, module, folder) -> dict[str, float]:
    trainer = Trainer(
        accelerator="cpu", devices=1, callbacks=[callback], logger=CSVLogger(folder), default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    (metrics,) = trainer.validate(module, Spheres(), verbose=False)
    return metrics


def test_exact_fields_score_as_two_samplings_of_one_surface(tmp_path):
    metrics = validate(LogGeometryMetrics(num_shapes=2, resolution=64, points=5000), Exact(), tmp_path)
    floor = 2 * 0.5 * (np.pi / 5000) ** 0.5  # area 4 pi .25
    assert metrics["val/chamfer"] == pytest.approx(floor, rel=0.1)
    assert metrics["val/fscore"] > 0.8 and metrics["val/iou"] == 1.0 and metrics["val/empty"] == 0


def test_a_field_without_inside_counts_as_fscore_zero_and_is_counted(tmp_path):
    whole = validate(LogGeometryMetrics(num_shapes=2, resolution=32, points=2000), Exact(), tmp_path / "a")
    half = validate(LogGeometryMetrics(num_shapes=2, resolution=32, points=2000), Exact(empty=0.3), tmp_path / "b")
    assert half["val/empty"] == 1
    assert half["val/fscore"] == pytest.approx(whole["val/fscore"] / 2, rel=0.1)
    assert half["val/chamfer"] == pytest.approx(whole["val/chamfer"], rel=0.1)  # of the shape that has a surface
    assert half["val/iou"] == 0.5


def test_the_iou_can_be_estimated_from_fewer_volume_points(tmp_path):
    asked = []

    class Smaller(Exact):
        def reconstruct(self, surface_points, *, finest=1):
            field = super().reconstruct(surface_points).select(0)

            def query(points):
                asked.append(len(points))
                return field(points) - 0.1

            return SimpleNamespace(select=lambda index: query)

    ious = {}
    for count in (4000, 1000):
        asked.clear()
        settings = {"num_shapes": 1, "resolution": 16, "points": 100, "volume_points": count}
        ious[count] = validate(LogGeometryMetrics(**settings), Smaller(), tmp_path / str(count))["val/iou"]
        assert asked[0] == count
    assert 0 < ious[4000] < 1 and ious[1000] == pytest.approx(ious[4000], abs=0.1)


def test_metrics_are_logged_once_a_validation(tmp_path):
    validate(LogGeometryMetrics(num_shapes=2, resolution=16, points=100), Exact(), tmp_path)
    (path,) = tmp_path.rglob("metrics.csv")
    with path.open() as file:
        assert len([row for row in csv.DictReader(file) if row["val/chamfer"]]) == 1


def test_exported_meshes_are_in_the_coordinates_of_the_source(tmp_path):
    validate(ExportMeshes(num_shapes=2, resolution=64), Exact(), tmp_path)
    mesh = load_mesh(tmp_path / "meshes" / "validate" / "right.ply")
    expected = np.array([[10 - 0.8, 18, -32], [10 + 3.2, 22, -28]])  # unit / .25 + center
    assert np.abs(np.array([mesh.vertices.min(0), mesh.vertices.max(0)]) - expected).max() < 0.5 * (2 / 64) / 0.25
    assert (tmp_path / "meshes" / "validate.png").is_file()


@pytest.mark.parametrize("up", ["z", "y"])
def test_an_exported_glb_stands_by_the_axis_of_the_shapes(up, tmp_path):
    validate(ExportMeshes(num_shapes=2, resolution=16, format="glb", up=up), Exact(), tmp_path)
    found = trimesh.load_scene(tmp_path / "meshes" / "validate" / "right.glb").to_mesh().bounds.mean(axis=0)
    expected = np.array([10 + 0.3 / 0.25, 20, -30] if up == "y" else [10 + 0.3 / 0.25, -30, -20])
    assert np.abs(found - expected).max() < 0.5 * (2 / 16) / 0.25


def test_a_predicted_glb_stands_by_the_axis_of_the_shapes(tmp_path):
    batch = SimpleNamespace(ids=["ball"], frames=[Frame(center=np.array([10.0, 20.0, -30.0]), scale=0.25)])
    trainer, module = SimpleNamespace(default_root_dir=str(tmp_path), datamodule=None), Exact()
    fields = module.reconstruct(sphere_points(100, 1).unsqueeze(0))
    ExportMeshes(resolution=16, format="glb").on_predict_batch_end(trainer, module, fields, batch, 0)
    found = trimesh.load_scene(tmp_path / "predictions" / "ball.glb").to_mesh().bounds.mean(axis=0)
    assert np.abs(found - [10 - 0.2 / 0.25, -30, -20]).max() < 0.5 * (2 / 16) / 0.25


def test_the_progress_counts_the_shapes_that_callbacks_score_and_write(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        progress,
        "long_progress",
        lambda *words: LongProgress(*long_progress(*words).columns, seconds_between_lines=0.01),
    )
    expected = [f"{doing} {done}/2 " for doing in ("scoring shapes", "writing meshes") for done in range(2)]

    class Waiting(Exact):
        """Reconstructs a shape only after the progress has printed the next of the expected lines."""

        def reconstruct(self, surface_points, *, finest=1):
            printed, line, deadline = "", expected.pop(0), time.monotonic() + HANG
            while f"\n{line}" not in f"\n{printed}":
                assert time.monotonic() < deadline, printed
                printed += capsys.readouterr().out
                time.sleep(0.001)
            return super().reconstruct(surface_points, finest=finest)

    callbacks = [LogGeometryMetrics(num_shapes=2, resolution=16, points=100), ExportMeshes(num_shapes=2, resolution=16)]
    trainer = Trainer(
        accelerator="cpu", devices=1, callbacks=[*callbacks, progress.RunProgress()], logger=CSVLogger(tmp_path),
        default_root_dir=tmp_path, enable_model_summary=False,
    )  # fmt: skip
    trainer.validate(Waiting(), Spheres(), verbose=False)
    assert expected == []
    assert capsys.readouterr().out.splitlines()[-1].startswith("validate 1/1 ")


def test_levels_are_switched_on_one_by_one_from_the_coarsest(tmp_path):
    asked = []

    class ThreeLevels(Exact):
        num_levels = 3

        def reconstruct(self, surface_points, *, finest=1):
            asked.append(finest)
            return super().reconstruct(surface_points)

    validate(ExportMeshes(num_shapes=1, resolution=16, by_level=True), ThreeLevels(), tmp_path)
    assert asked == [3, 2, 1]


def test_an_empty_field_leaves_a_place_in_the_picture_and_no_mesh(tmp_path):
    validate(ExportMeshes(num_shapes=2, resolution=32), Exact(empty=0.3), tmp_path)
    assert [path.name for path in (tmp_path / "meshes" / "validate").iterdir()] == ["left.ply"]
    assert (tmp_path / "meshes" / "validate.png").is_file()
