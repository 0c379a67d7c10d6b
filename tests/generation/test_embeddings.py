"""`lagem generate --embeddings`: shapes whose condition is an embedding."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import small_cascade as small
from lagem.cli import main
from lagem.embeddings.file import write_embeddings
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.generation.settings import SamplerSettings, SurfaceSettings

ENCODER = "clip 0123456789abcdef"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    changes = {"num_categories": None, "category_names": (), "condition_dim": 5, "encoder": ENCODER}
    autoencoder, *stages = small.write_cascade(folder, **changes)
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory) -> Path:
    """Write a file of embeddings with two views of each of two shapes, and return its path."""
    path = tmp_path_factory.mktemp("embeddings") / "embeddings.safetensors"
    arrays = np.random.default_rng(0).standard_normal((2, 2, 3, 5)).astype(np.float16)
    write_embeddings(path, zip(["stool", "desk"], arrays, strict=True), encoder=ENCODER)
    return path


def words(bundle: Path, embeddings: Path, output: Path) -> list[str]:
    given = ["generate", str(bundle), "--embeddings", str(embeddings), "--output", str(output)]
    return [*given, "--count", "2", "--steps", "3", "--resolution", "24"]


def test_every_embedding_gets_its_samples_which_its_first_view_decides(bundle, embeddings, tmp_path):
    main(words(bundle, embeddings, tmp_path / "out"))
    with (tmp_path / "out" / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == ["desk", "desk", "stool", "stool"]
    latents = load_file(tmp_path / "out" / "latents.safetensors")
    condition = load_file(embeddings)["stool"][0].float()
    again = load_bundle(bundle).generate(
        count=2,
        first=2,
        condition=condition,
        sampler=SamplerSettings(steps=[3]),
        surface=SurfaceSettings(resolution=24),
    )
    for row, shape in enumerate(again, start=2):
        assert torch.allclose(latents["level_3"][row], shape.latents[2], atol=1e-4)


def refusal(capsys, *given: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(given))
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_embeddings_of_another_model_are_refused(bundle, embeddings, tmp_path, capsys):
    write_embeddings(tmp_path / "e.safetensors", [("a", np.ones((1, 1, 5), np.float16))], encoder="dinov2 1")
    line = refusal(capsys, *words(bundle, tmp_path / "e.safetensors", tmp_path / "out"))
    assert f"embeddings by 'dinov2 1', but the cascade was trained on those by {ENCODER!r}" in line


def test_embeddings_of_an_unknown_program_only_need_the_right_size(bundle, tmp_path, capsys):
    save_file({"a": torch.ones(5)}, tmp_path / "right.safetensors")
    main(words(bundle, tmp_path / "right.safetensors", tmp_path / "out"))
    save_file({"a": torch.ones(6)}, tmp_path / "wrong.safetensors")
    line = refusal(capsys, *words(bundle, tmp_path / "wrong.safetensors", tmp_path / "other"))
    assert "needs a condition of shape (5,) or (T, 5)" in line


def test_embeddings_are_the_only_condition_and_need_a_cascade_that_takes_them(bundle, embeddings, tmp_path, capsys):
    line = refusal(capsys, *words(bundle, embeddings, tmp_path / "out"), "--category", "chair")
    assert "--embeddings cannot be combined with --category or --latents" in line
    line = refusal(capsys, *words(Path("furniture"), embeddings, tmp_path / "out"))
    assert "takes no embeddings as its condition" in line
