"""A mixture keeps the coarse levels of a shape; its finer levels are those of another shape, or are sampled."""

import json

import pytest
import torch
from PIL import Image

from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.generation.settings import SamplerSettings
from lagem.reconstruction.codec import ShapeCodec
from lagem.studies.mixing import mix_shapes
from lagem.studies.study import Study


def test_a_mixture_has_the_coarse_levels_of_a_and_the_finer_levels_of_b(bundle, tmp_path, monkeypatch):
    decoded = []
    field_of = ShapeCodec.field_of

    def seen(self, latents):
        decoded.append(latents)
        return field_of(self, latents)

    study = Study(output=tmp_path, category="chair", groups=1, resolution=16, sampler=SamplerSettings(steps=[3]))
    generator = load_bundle(bundle)
    a, b = (shape.latents for shape in Study(**{**vars(study), "groups": 2}).starting_shapes(generator))
    monkeypatch.setattr(ShapeCodec, "field_of", seen)
    mix_shapes(generator, study)
    _, _, alone, z3_of_b, z3_sampled, z32_of_b, z32_sampled = decoded  # A and B first

    def own(latents, other):
        return [torch.equal(one, two) for one, two in zip(latents, other, strict=True)]

    assert own(alone, b) == [True] * 3
    assert own(z3_of_b, a) == [False, False, True] and own(z3_of_b, b) == [True, True, False]
    assert own(z3_sampled, a) == [False, False, True] and own(z3_sampled, b) == [False] * 3
    assert own(z32_of_b, a) == [False, True, True] and own(z32_of_b, b) == [True, False, False]
    assert own(z32_sampled, a) == [False, True, True] and own(z32_sampled, b) == [False] * 3


def test_b_itself_is_at_the_floor_from_b(bundle, tmp_path):
    study = Study(output=tmp_path, category="chair", groups=2, resolution=16, sampler=SamplerSettings(steps=[3]))
    alone = mix_shapes(load_bundle(bundle), study)[0]
    assert alone.kept == [] and all(abs(distance) < 0.01 for distance in alone.to_b)
    assert alone.distance_to_a.value > 2 * abs(alone.distance_to_b.value)


def test_the_command_mixes_meshes_in_pairs(bundle, box, tmp_path, capsys):
    paths = [str(box(tmp_path / f"{name}.ply", height)) for name, height in (("flat", 0.2), ("high", 0.8))]
    words = ["vary", str(bundle), "--category", "chair", "--mix", "--steps", "3", "--resolution", "16", "--mesh"]
    main([*words, *paths, "--output", str(tmp_path / "out")])
    assert "Z3, Z2" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "mixing.json").read_text())
    assert [(found["kept"], found["sampled"]) for found in content["results"]] == [
        ([], False), ([3], False), ([3], True), ([3, 2], False), ([3, 2], True),
    ]  # fmt: skip
    assert Image.open(tmp_path / "out" / "mixing.png").size[0] > 6 * 160
    with pytest.raises(SystemExit) as stop:
        main([*words, paths[0], "--output", str(tmp_path / "odd")])
    assert stop.value.code == 2
    assert "mixed in pairs, but the number of meshes is odd (1)" in capsys.readouterr().err
