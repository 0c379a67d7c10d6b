"""Variations share the levels they say, and their distances are those of their surfaces."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from lagem.bundle import load_bundle, write_bundle
from lagem.cli import main
from lagem.generation import GeneratedShape, SamplerSettings, SurfaceSettings
from lagem.geometry import Mesh
from lagem.variation import _measured

_spec = importlib.util.spec_from_file_location("small_cascade", Path(__file__).with_name("small_cascade.py"))
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(folder)
    return write_bundle(autoencoder, stages, folder / "cascade")


def ball(index: int, radius: float) -> GeneratedShape:
    made = trimesh.creation.icosphere(3, radius=radius)
    return GeneratedShape(index, 0, [], Mesh(made.vertices, made.faces))


def test_given_levels_are_shared_and_the_others_made_anew(bundle):
    generator = load_bundle(bundle)
    settings = {"category": "chair", "sampler": SamplerSettings(steps=[3]), "surface": SurfaceSettings(resolution=16)}
    (base,) = generator.generate(count=1, **settings)
    shapes = list(generator.generate(count=3, seed=5, given={3: base.latents[2]}, **settings))
    assert all(torch.equal(shape.latents[2], base.latents[2]) for shape in shapes)
    assert not any(torch.equal(shape.latents[level], base.latents[level]) for shape in shapes for level in (0, 1))
    assert not torch.equal(shapes[0].latents[1], shapes[1].latents[1])


def test_samples_of_one_surface_are_at_the_floor_and_concentric_balls_their_radii_apart():
    same = _measured([3, 2], [[ball(0, 0.5), ball(1, 0.5)], [ball(0, 0.8), ball(1, 0.8)]], seed=0)
    assert abs(same.distance.value) < 0.2 * same.floor
    apart = _measured([], [[ball(0, 0.5), ball(1, 0.8)]], seed=0)
    assert apart.distance.value + apart.floor == pytest.approx(2 * 0.3, rel=0.05)  # both directions


def test_samples_without_a_surface_are_counted_and_in_no_pair():
    empty = GeneratedShape(2, 0, [], None, "nothing")
    found = _measured([], [[ball(0, 0.5), ball(1, 0.8), empty], [ball(0, 0.5), empty]], seed=0)
    assert found.empty == 2
    assert found.distance.count == 1
    assert _measured([], [[empty, empty]], seed=0).distance is None


def test_the_command_writes_figures_and_a_picture_for_every_number_of_shared_levels(bundle, tmp_path, capsys):
    words = ["--steps", "3", "--resolution", "16", "--groups", "2", "--variants", "2"]
    main(["vary", str(bundle), "--output", str(tmp_path / "out"), "--category", "chair", *words])
    assert "Z3, Z2" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "variations.json").read_text())
    assert [found["kept"] for found in content["variations"]] == [[], [3], [3, 2]]
    for name in ("share_nothing", "share_3", "share_3_2"):
        assert Image.open(tmp_path / "out" / f"{name}.png").size[1] > 2 * 160


def test_a_mesh_gives_its_own_latents(bundle, tmp_path):
    Mesh(*_box()).save(tmp_path / "box.ply")
    words = ["--steps", "3", "--resolution", "16", "--variants", "2", "--mesh", str(tmp_path / "box.ply")]
    main(["vary", str(bundle), "--output", str(tmp_path / "out"), "--category", "chair", *words])
    content = json.loads((tmp_path / "out" / "variations.json").read_text())
    assert content["about"]["groups"] == 1 and (tmp_path / "out" / "share_3.png").is_file()


def test_one_variant_is_refused_in_one_line(bundle, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["vary", str(bundle), "--output", str(tmp_path / "out"), "--category", "chair", "--variants", "1"])
    assert stop.value.code == 2
    assert "distances need 2 variants" in capsys.readouterr().err


def _box() -> tuple[np.ndarray, np.ndarray]:
    made = trimesh.creation.box((1, 0.6, 0.4))
    return np.asarray(made.vertices), np.asarray(made.faces)
