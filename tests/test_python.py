"""The public names of `lagem`: the example runs, imports are lazy, and errors for wrong names suggest right ones."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lagem
from lagem.geometry.files.loading import load_mesh
from python_example import example, write_chair

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "numpy", "lightning", "trimesh", "lagem.models")


@pytest.mark.slow
def test_the_example_runs_as_it_stands_but_for_its_resolution(tmp_path, monkeypatch):
    frame = write_chair(tmp_path)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(example(ROOT / "README.md").replace("resolution=256", "resolution=32"), found)
    vertices = frame.to_unit(load_mesh(tmp_path / "chair.glb").turned("z").vertices)
    assert 0.5 < np.abs(vertices).max() < 1.2, "in the coordinates of chair.obj"
    assert len(found["shapes"]) == 4 and found["shapes"][0].category == "chair"
    assert all(isinstance(shape.mesh, lagem.Mesh) for shape in found["shapes"])


def test_the_parts_of_a_codec_work_as_shown():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.DOTALL)
    found: dict = {}
    exec(blocks[-1], found)
    assert found["logits"].shape == (2, 100) and found["latents"][0].grad_fn is not None
    assert any(parameter.grad is not None for parameter in found["codec"].autoencoder.parameters())


def test_all_texts_show_the_same_example():
    def calls(text: str) -> list[str]:
        return [ast.unparse(statement) for statement in ast.parse(text).body]

    shown = "\n".join(line.removeprefix("    ") for line in (lagem.__doc__ or "").splitlines() if line[:4] == "    ")
    assert calls(example(ROOT / "README.md")) == calls(example(ROOT / "docs" / "python.md")) == calls(shown)


def test_every_public_name_is_there_and_listed():
    for name in lagem.__all__:
        assert getattr(lagem, name).__name__ == name and name in dir(lagem)


def test_names_are_loaded_when_they_are_first_used():
    program = f"import sys, lagem; print(*[name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("name", ["load", "Autoencoder", "generate", "load_model", "models_of"])
def test_a_wrong_guess_is_answered_with_the_right_calls(name):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'. .*lagem.load_codec .*lagem.load_cascade"):
        getattr(lagem, name)
