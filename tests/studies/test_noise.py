"""Noise replaces exactly the given fraction of one level, and the distance to the original shape is measured."""

import json

import pytest
import torch
from PIL import Image

from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.studies.noise import disturb_levels, with_noise
from lagem.studies.study import Study

LATENTS = [torch.full((16, 4), 9.0), torch.full((8, 6), 9.0), torch.full((4, 8), 9.0)]


def test_a_fraction_of_one_level_is_replaced_and_the_rest_is_kept():
    finest, middle, coarsest = with_noise(LATENTS, 2, 0.25, "a", seed=0)
    assert torch.equal(finest, LATENTS[0]) and torch.equal(coarsest, LATENTS[2])
    assert int((middle != 9).all(dim=-1).sum()) == 2


def test_a_larger_fraction_replaces_the_same_vectors_by_the_same_noise_and_more():
    less, more = (with_noise(LATENTS, 1, fraction, "a", seed=0)[0] for fraction in (0.25, 0.75))
    replaced = less != 9
    assert replaced.any() and torch.equal(less[replaced], more[replaced])
    assert not torch.equal(more, with_noise(LATENTS, 1, 0.75, "another", seed=0)[0])


def test_no_noise_leaves_every_shape_at_the_floor(bundle, tmp_path):
    study = Study(output=tmp_path, category="chair", groups=2, resolution=16)
    results = disturb_levels(load_bundle(bundle), study, fractions=[0.0, 1.0])
    assert [(found.level, found.part) for found in results] == [(n, p) for n in (3, 2, 1) for p in (0.0, 1.0)]
    for found in results[::2]:
        assert all(abs(distance) < 0.01 for distance in found.distances)
    assert max(found.distance.value for found in results[1::2] if found.distance) > 0.02


def test_the_command_writes_numbers_and_a_picture_from_meshes_without_a_category(bundle, box, tmp_path, capsys):
    path = box(tmp_path / "box.ply", 0.4)
    words = ["--noise", "0.5", "1", "--resolution", "16", "--mesh", str(path)]
    main(["vary", str(bundle), "--output", str(tmp_path / "out"), *words])
    assert "50%" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "noise.json").read_text())
    assert content["about"]["parts"] == [0.5, 1.0] and len(content["results"]) == 6
    assert Image.open(tmp_path / "out" / "noise.png").size[0] > 7 * 160


def test_a_fraction_above_one_is_refused_in_one_line(bundle, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["vary", str(bundle), "--output", str(tmp_path / "out"), "--category", "chair", "--noise", "1.5"])
    assert stop.value.code == 2
    assert "from 0 to 1, but 1.5 was given" in capsys.readouterr().err
