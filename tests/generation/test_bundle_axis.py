"""The stages of a bundle must not state different axes that point up."""

from dataclasses import replace
from pathlib import Path

import pytest

import small_cascade as small
from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.weights.stage import load_stage


def test_stages_of_shapes_with_other_axes_up_are_refused_by_name_but_one_may_state_none(tmp_path, capsys):
    autoencoder, *stages = small.write_cascade(tmp_path)

    def bundled(name: str, *axes: str | None) -> list[Path]:
        specs = [replace(load_stage(path)[1], up=up) for path, up in zip(stages, axes, strict=True)]
        files = [small.write_stage(tmp_path / name, spec) for spec in specs]
        main(["bundle", *map(str, [autoencoder, *files]), "--output", str(tmp_path / f"{name} cascade")])
        return files

    bundled("even", None, "y", None)
    assert load_bundle(tmp_path / "even cascade").up == "y"
    with pytest.raises(SystemExit, match="2"):
        bundled("odd", None, "z", "y")
    line = capsys.readouterr().err
    assert (
        "stage_1.safetensors learned shapes with y up, but " in line
        and "stage_2.safetensors learned shapes with z up" in line
    )
