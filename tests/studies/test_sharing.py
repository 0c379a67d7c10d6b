"""Variations share exactly the given levels, and the study measures the distances between their surfaces."""

import json

import pytest
import torch
import trimesh
from PIL import Image

from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.generation.generator import GeneratedShape
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.mesh import Mesh
from lagem.studies.sharing import measure_groups


def ball(index: int, radius: float) -> GeneratedShape:
    made = trimesh.creation.icosphere(3, radius=radius)
    return GeneratedShape(index, 0, [], Mesh(made.vertices, made.faces))


def test_given_levels_are_shared_and_the_others_sampled(bundle):
    generator = load_bundle(bundle)
    settings = {"category": "chair", "sampler": SamplerSettings(steps=[3]), "surface": SurfaceSettings(resolution=16)}
    (base,) = generator.generate(count=1, **settings)
    shapes = list(generator.generate(count=3, seed=5, given={3: base.latents[2]}, **settings))
    assert all(torch.equal(shape.latents[2], base.latents[2]) for shape in shapes)
    assert not any(torch.equal(shape.latents[level], base.latents[level]) for shape in shapes for level in (0, 1))
    assert not torch.equal(shapes[0].latents[1], shapes[1].latents[1])


def test_samples_of_one_surface_are_at_the_floor_and_concentric_balls_their_radii_apart():
    apart = measure_groups([], [[ball(0, 0.5), ball(1, 0.8)], [ball(0, 0.5), ball(1, 0.8)]], None, seed=0)
    assert apart.distance.value + apart.floor == pytest.approx(2 * 0.3, rel=0.05)  # both directions
    same = measure_groups([3], [[ball(0, 0.5), ball(1, 0.5)], [ball(0, 0.8), ball(1, 0.8)]], apart, seed=0)
    assert abs(same.distance.value) < 0.2 * same.floor
    assert same.difference.value == pytest.approx(same.distance.value - apart.distance.value)


def test_samples_without_a_surface_are_counted_and_in_no_pair():
    empty = GeneratedShape(2, 0, [], None, "nothing")
    found = measure_groups([], [[ball(0, 0.5), ball(1, 0.8), empty], [ball(0, 0.5), empty]], None, seed=0)
    assert found.empty == 2
    assert found.distance.count == 1 and found.distances[1] is None
    assert measure_groups([], [[empty, empty]], None, seed=0).distance is None


def test_the_command_writes_numbers_and_a_picture_for_every_number_of_shared_levels(bundle, tmp_path, capsys):
    words = ["--steps", "3", "--resolution", "16", "--groups", "2", "--variants", "2"]
    main(["vary", str(bundle), "--output", str(tmp_path / "out"), "--category", "chair", *words])
    assert "Z3, Z2" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "sharing.json").read_text())
    assert [found["kept"] for found in content["results"]] == [[], [3], [3, 2]]
    assert all(len(found["distances"]) == 2 for found in content["results"])
    for name in ("sharing_nothing", "sharing_3", "sharing_3_2"):
        assert Image.open(tmp_path / "out" / f"{name}.png").size[1] > 2 * 160


def test_each_mesh_gives_its_own_latents_to_a_group(bundle, box, tmp_path):
    paths = [box(tmp_path / f"{name}.ply", size) for name, size in (("flat", 0.2), ("high", 0.8))]
    words = ["--steps", "3", "--resolution", "16", "--variants", "2", "--mesh", *map(str, paths)]
    main(["vary", str(bundle), "--output", str(tmp_path / "out"), "--category", "chair", *words])
    content = json.loads((tmp_path / "out" / "sharing.json").read_text())
    assert content["about"]["meshes"] == [str(path) for path in paths]
    assert all(len(found["distances"]) == 2 for found in content["results"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--category", "chair", "--variants", "1"], "between variants, so at least 2 are needed"),
        (["--category", "chair", "--groups", "0"], "at least 1 group"),
        (["--category", "chair", "--variants", "8", "--mix"], "--variants is for groups that share levels"),
        (["--category", "chair", "--variants", "8", "--noise", "0.5"], "--variants is for groups that share levels"),
        (["--category", "chair", "--groups", "8", "--mesh", __file__], "but --mesh names the shapes"),
        ([], "needs one of the categories"),
        (["--category", "chair", "--mesh", "absent.ply"], "absent.ply"),
    ],
)
def test_a_mistake_is_one_line(bundle, tmp_path, capsys, words, expected):
    with pytest.raises(SystemExit) as stop:
        main(["vary", str(bundle), "--output", str(tmp_path / "out"), *words])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
