"""Stages can be bundled with another decoder of the latents that they learned, and only with such a one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import small_cascade as small
from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.generation.settings import SurfaceSettings
from lagem.models.autoencoder import Autoencoder
from lagem.modules.autoencoder import AutoencoderModule
from lagem.weights.autoencoder import save_autoencoder
from lagem.weights.fingerprint import encoder_of, fingerprint_of

COARSE = SurfaceSettings(resolution=8)


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Write an autoencoder and the stages of a cascade that completes partial clouds; return their paths."""
    changes = {"num_categories": None, "category_names": (), "condition_dim": 64}
    return small.write_cascade(tmp_path, **changes, encoder=encoder_of(fingerprint_of(small.make_autoencoder())))


def written(autoencoder: Autoencoder, path: Path) -> Path:
    save_autoencoder(autoencoder, path, num_surface_points=small.POINTS)
    return path


def with_another_decoder(given: Path, folder: Path) -> Path:
    """Write a deeper autoencoder with the encoder of the given one, and return its path."""
    levels = [replace(level, depth=level.depth + 1) for level in small.LEVELS]
    module = AutoencoderModule(levels=levels, width=64, init_from=given, freeze_encoder=True)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return written(module.autoencoder.eval(), folder / "tuned.safetensors")


def test_stages_sample_the_same_latents_for_another_decoder(files, tmp_path):
    tuned = with_another_decoder(files[0], tmp_path)
    main(["bundle", *map(str, files), "--output", str(tmp_path / "before")])
    arguments = [str(tuned), *map(str, files[1:]), "--trained-with", str(files[0])]
    main(["bundle", *arguments, "--output", str(tmp_path / "after")])
    before, after = (load_bundle(tmp_path / name) for name in ("before", "after"))
    assert [level.depth for level in after.codec.autoencoder.levels] == [2, 2, 2]
    assert {spec.encoder for spec in after.specs} == {encoder_of(after.codec.fingerprint)}
    points, condition = torch.rand(1, 64, 3), torch.randn(64)
    assert all(map(torch.equal, *(each.codec.autoencoder.encode(points) for each in (before, after))))
    samples = [each.generate(count=1, condition=condition, surface=COARSE)[0].latents for each in (before, after)]
    assert all(map(torch.equal, *samples))
    fields = [each.codec.autoencoder.decode([z[None] for z in samples[0]])(points) for each in (before, after)]
    assert not torch.equal(*fields)


@pytest.mark.parametrize("changed", ["point_embedding.linear.bias", "downsample.1.attention.to_out.weight",
                                     "bottlenecks.2.down.weight"])  # fmt: skip
def test_an_autoencoder_with_another_encoder_is_refused(files, tmp_path, capsys, changed):
    other = small.make_autoencoder()
    with torch.no_grad():
        other.get_parameter(changed).view(-1)[0] += 1e-3
    tuned = written(other, tmp_path / "other.safetensors")
    with pytest.raises(SystemExit, match="2"):
        main(["bundle", str(tuned), *map(str, files[1:]), "--trained-with", str(files[0]),
              "--output", str(tmp_path / "cascade")])  # fmt: skip
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tuned}: its encoder is not that of {files[0]}" in line and not (tmp_path / "cascade").exists()


def test_stages_of_another_autoencoder_than_the_one_they_are_said_to_have_learned_are_refused(files, tmp_path, capsys):
    tuned = with_another_decoder(files[0], tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["bundle", str(tuned), *map(str, files[1:]), "--trained-with", str(tuned),
              "--output", str(tmp_path / "cascade")])  # fmt: skip
    assert f"the stage {files[1]} does not belong to this autoencoder" in capsys.readouterr().err
