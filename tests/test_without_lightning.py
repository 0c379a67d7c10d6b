"""All commands except those for training work without Lightning and the libraries that it brings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trimesh

import published
import small_cascade
from lagem.cli import tool_modules
from lagem.generation.bundle import write_bundle
from lagem.weights.fingerprint import encoder_of, fingerprint_of

TRAINING_LIBRARIES = ("lightning", "pytorch_lightning", "jsonargparse", "omegaconf", "wandb", "tensorboard")
THINGI10K = """
def init(variant):
    pass
def dataset():
    return [{"file_id": 0, "file_path": "/0.stl", "category": "Art", "license": "CC0", "author": "Ann"}]
"""  # in place of the package, which would need a network
OF_TRAININGS = {"describe", "doctor"}  # they parse an experiment
PROGRAM = f"""
import json, sys
from contextlib import suppress
from lagem.cli import main

found = {{}}
for words in json.loads(sys.argv[1]):
    code = 0
    try:
        main(words)
    except SystemExit as stop:
        code = stop.code
    found[" ".join(words)] = [code, [name for name in {TRAINING_LIBRARIES} if name in sys.modules]]
print("\\n" + json.dumps(found))
"""


def tools() -> set[str]:
    return set(tool_modules()) - OF_TRAININGS


def results(calls: list[list[str]], packages: Path | None = None) -> dict[str, tuple[int, list[str]]]:
    """Make all calls in one process; return for each its exit code and the training libraries imported so far."""
    environment = {**os.environ, "PYTHONPATH": str(packages or "")}
    command = [sys.executable, "-c", PROGRAM, json.dumps(calls)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return {call: tuple(found) for call, found in json.loads(done.stdout.splitlines()[-1]).items()}


def test_no_help_of_a_tool_imports_lightning():
    found = results([[verb, "--help"] for verb in sorted(tools())])
    assert found == {f"{verb} --help": (0, []) for verb in tools()}


@pytest.fixture
def calls(tmp_path) -> list[list[str]]:
    """Return a small call of every command that does not train, in an order in which each call finds its inputs."""
    for number in range(3):
        trimesh.creation.box((1, 1 + number / 4, 2)).export(tmp_path / f"{number}.ply")
    rows = [f"{number}.ply,{number},chair,{split}" for number, split in enumerate(("train", "train", "val"))]
    (tmp_path / "list.csv").write_text("\n".join(["file,id,category,split", *rows]))
    torch.save({"model": published.published_state()}, tmp_path / "published.pth")
    autoencoder, *stages = small_cascade.write_cascade(tmp_path)
    encoder = encoder_of(fingerprint_of(small_cascade.make_autoencoder()))
    of_parts = {"num_categories": None, "category_names": (), "condition_dim": 64, "encoder": encoder}
    (tmp_path / "parts").mkdir()
    one, *others = small_cascade.write_cascade(tmp_path / "parts", **of_parts)
    completing = str(write_bundle(one, others, tmp_path / "parts" / "cascade"))
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "thingi10k.py").write_text(THINGI10K)

    def here(name: str) -> str:
        return str(tmp_path / name)

    small = ["--points", "50", "--resolution", "8"]
    counts = ["--surface", "600", "--volume", "1200", "--near", "300", "--inside", "0"]
    prepare = ["prepare", here("list.csv"), "--output", here("prepared"), *counts]
    return [
        prepare,
        ["inspect", here("prepared"), "--judged", "1"],
        ["export", here("prepared"), "--layout", "npz", "--output", here("npz")],
        ["import", here("npz/layout.yaml"), here("npz/manifest.csv"), "--output", here("taken")],
        ["select-ids", here("list.csv"), "--count", "2", "--output", here("ids.txt")],
        ["import-weights", here("published.pth"), "--output", here("imported.safetensors"),
         "--num-latents", "256", "64", "16"],
        ["encode", str(autoencoder), here("prepared"), "--subsets", "1", "--output", here("latents")],
        ["evaluate", str(autoencoder), here("prepared"), "--output", here("one"), *small],
        ["evaluate", "retrieval", here("prepared"), "--output", here("two"), *small],
        ["compare", here("one"), here("two")],
        ["levels", str(autoencoder), here("prepared"), "--output", here("levels"), *small],
        ["bundle", str(autoencoder), *map(str, stages), "--output", here("cascade")],
        ["generate", here("cascade"), "--category", "chair", "--count", "2", "--output", here("made"), "--steps", "1",
         "--resolution", "16"],
        ["evaluate-generation", here("made"), here("prepared"), "--output", here("scores"), "--points", "30"],
        ["vary", here("cascade"), "--category", "chair", "--noise", "0.5", "--output", here("varied"), "--steps", "1",
         "--resolution", "16", "--groups", "2"],
        ["reconstruct", here("0.ply"), "--weights", str(autoencoder), "--output", here("back"), "--resolution", "8"],
        ["report", here("one"), "--resolution", "8"],
        ["view", here("0.ply"), "--output", here("view.html")],
        ["submit", "--dry-run", "--", *prepare],
        ["completion", "bash"],
        ["download", "thingi10k", "--output", here("things.csv")],
        ["embed", here("prepared"), "--partial", str(autoencoder), "--output", here("parts.safetensors")],
        ["complete", here("0.ply"), "--cascade", completing, "--output", here("whole"), "--steps", "1", "--resolution",
         "16"],
    ]  # fmt: skip


def test_no_tool_imports_lightning_while_it_works(calls, tmp_path):
    assert {words[0] for words in calls} == tools()
    assert results(calls, tmp_path / "packages") == {" ".join(words): (0, []) for words in calls}
