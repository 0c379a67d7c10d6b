"""Real meshes are prepared, and their query points get the labels that the exact winding number gives."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import igl
import numpy as np
import pytest

from lagem.geometry.distance import DistanceTo
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.sampling import sample_surface
from lagem.geometry.watertight import make_watertight
from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings
from lagem.preparation.solid import surface_error
from lagem.prepared.records import Record
from lagem.prepared.shards import Shards

MESHES = Path(__file__).resolve().parents[2].parent / "shared" / "meshes"
CLOSED = ("animal_figure/objsim_duck", "human_body/objsim_hand", "primitive/objsim_toruslarge")

pytestmark = pytest.mark.skipif(not MESHES.is_dir(), reason="needs ../shared/meshes")


@pytest.fixture
def shards(tmp_path, in_this_process) -> Shards:
    files = [MESHES / "train" / f"{name}.ply" for name in CLOSED]
    prepare(files, tmp_path / "out", Settings(surface=1_000, volume=20_000, near=1_000, inside=0))
    return Shards(tmp_path / "out")


def test_real_meshes_are_labelled_as_the_exact_winding_number_says(shards):
    assert shards.ids == sorted(Path(name).name for name in CLOSED)
    for index, name in enumerate(sorted(CLOSED, key=lambda name: Path(name).name)):
        mesh = load_mesh(MESHES / "train" / f"{name}.ply").in_frame(shards.frame(index))
        for pool in ("volume_inside", "volume_outside", "near_inside", "near_outside"):
            points = shards.read(index, pool, 0, min(300, shards.count(index, pool))).astype(np.float64)
            exact = np.abs(igl.winding_number(mesh.vertices, mesh.faces, points)) > 0.5
            wrong = points[exact != pool.endswith("inside")]
            squared = (
                igl.point_mesh_squared_distance(wrong, mesh.vertices, mesh.faces)[0] if len(wrong) else np.zeros(0)
            )
            assert (squared < 1e-8).all(), (name, pool)


def test_manifest_of_the_meshes_is_understood(tmp_path, small, in_this_process):
    header, *rows = (MESHES / "manifest.csv").read_text().splitlines()
    closed = [row for row in rows if any(name in row for name in CLOSED)]
    manifest = tmp_path / "few.csv"
    manifest.write_text("\n".join([header, *(row.replace("train/", f"{MESHES}/train/", 1) for row in closed)]))
    records = prepare([manifest], tmp_path / "out", small)
    assert {record.status for record in records} == {"prepared"}
    assert {record.category for record in records} == {"animal_figure", "human_body", "primitive"}


def test_each_malformed_file_gives_what_its_readme_says(tmp_path):
    bad = MESHES / "bad"
    files = sorted(path for path in bad.iterdir() if path.name != "README.md")
    manifest = tmp_path / "bad.csv"
    manifest.write_text("\n".join(["file,id", *(f"{path},{path.name}" for path in files)]))
    settings = Settings(surface=500, volume=2_000, near=500, inside=200, resolution=96)
    records = {record.id: record for record in prepare([manifest], tmp_path / "out", settings, workers=2)}
    assert len(records) == 35
    solid = {"ok_cube.ply", "latin1.obj", "float_max.ply", "stl_binary_starts_with_solid.stl"}
    sheets = {"single_triangle.obj", "planar_sheet.off"}
    prepared = {id: record.measures for id, record in records.items() if record.status == "prepared"}
    assert set(prepared) == solid | sheets
    assert {prepared[id].route for id in solid} == {"own"} and {prepared[id].route for id in sheets} == {"flood"}
    assert all(record.reason for id, record in records.items() if id not in prepared)
    reader = Shards(tmp_path / "out")
    for index in range(len(reader)):
        for pool in ("surface_points", "volume_inside", "near_outside"):
            assert np.isfinite(reader.read(index, pool)).all()


FEW = ("furniture/base_folding_chair_02", "tool/gz_hammer")
MORE = ("vehicle/kay_city_car_sedan", "building/gz_cafe")


@pytest.fixture(scope="module", params=[FEW, pytest.param(MORE, marks=pytest.mark.slow)], ids=["few", "more"])
def open_records(request, tmp_path_factory) -> list[Record]:
    paths = [next((MESHES / "train").rglob(f"{Path(name).name}.ply")) for name in request.param]
    settings = Settings(surface=1_000, volume=2_000, near=1_000, inside=1_000)
    return prepare(paths, tmp_path_factory.mktemp("open"), settings, workers=2)


def test_real_open_meshes_stay_close_to_their_exposed_surface(open_records):
    for record in open_records:
        assert record.status == "prepared" and record.measures.route == "flood", record
        assert record.measures.error_mean <= 0.002, record
    assert np.mean([record.measures.error_p99 for record in open_records]) <= 0.01


@pytest.mark.parametrize("name", [CLOSED[1], *(pytest.param(CLOSED[i], marks=pytest.mark.slow) for i in (0, 2))])
def test_a_real_closed_mesh_sent_through_the_conversion_stays_on_its_surface_both_ways(name):
    source = load_mesh(MESHES / "train" / f"{name}.ply")
    unit = source.in_frame(Frame.of(source.vertices))
    result = make_watertight(unit).mesh
    rng = np.random.default_rng(0)
    back = DistanceTo(unit)(sample_surface(result, 10_000, rng)[0])
    assert surface_error(unit, result, rng).mean() <= 0.001 and back.mean() <= 0.001


def test_real_open_meshes_get_their_inside_points(open_records):
    assert all(record.measures.volume_inside >= 1_000 for record in open_records)


@pytest.mark.slow
def test_nearly_every_real_mesh_is_prepared(tmp_path):
    """Prepare 945 meshes with few points each; this takes about 40 minutes on two cores."""
    settings = Settings(surface=2_000, volume=4_000, near=2_000, inside=1_000)
    records = prepare([MESHES / "manifest.csv"], tmp_path / "out", settings, workers=2)
    refused = {record.id: record.reason for record in records if record.status == "refused"}
    hard = [id for id in refused if id.startswith("hard_")]
    assert len(records) == 945 and len(hard) <= 71 - 64 and len(refused) - len(hard) <= 874 - 870, refused
    converted = [record.measures for record in records if record.measures and record.measures.route == "flood"]
    assert np.mean([measures.error_mean for measures in converted]) <= 0.002
    assert np.mean([measures.error_p99 for measures in converted]) <= 0.01


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_byte(tmp_path, payload):
    """Kill `lagem prepare` with two workers by SIGKILL: five times only the parent, five times all processes."""
    rows = (MESHES / "manifest.csv").read_text().splitlines()
    few = [row.replace("train/", f"{MESHES}/train/", 1) for row in rows[1::24] if ",train/" in row]
    manifest = tmp_path / "some.csv"
    manifest.write_text("\n".join([rows[0], *few]))
    counts = ["--surface", "2000", "--volume", "4000", "--near", "2000", "--inside", "1000", "--shapes-per-shard", "8"]
    words = [sys.executable, "-m", "lagem", "prepare", str(manifest), "--workers", "2", *counts]
    start = time.monotonic()
    subprocess.run([*words, "--output", str(tmp_path / "undisturbed")], check=True, stdout=subprocess.DEVNULL)
    alone = time.monotonic() - start
    rng, done = random.Random(0), []
    for number in range(10):
        run = subprocess.Popen(
            [*words, "--output", str(tmp_path / "killed")], stdout=subprocess.DEVNULL, start_new_session=True
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(rng.uniform(2, 2 + alone / 4))
        os.kill(run.pid, signal.SIGKILL) if number % 2 else os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        done.append(len(list((tmp_path / "killed" / "shapes").glob("*.json"))))
    subprocess.run([*words, "--output", str(tmp_path / "killed")], check=True, stdout=subprocess.DEVNULL)
    assert payload(tmp_path / "killed") == payload(tmp_path / "undisturbed"), done
