"""`lagem embed` with tiny models embeds captions, images and rendered views, and refuses unusable files and models."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from safetensors.numpy import load_file

import tiny_models
from lagem.cli import main
from lagem.embeddings.file import Embeddings
from lagem.embeddings.sources import AZIMUTH, VIEW_PIXELS, read_image
from lagem.embeddings.transformer import Encoder
from lagem.geometry.picture import render_mesh, save_picture
from lagem.sources.surfaces import MeshSurfaces

CHAIR, TABLE = "a chair with three legs", "a table"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    tiny_models.needs_transformers()
    folder = tmp_path_factory.mktemp("models")
    return {"clip": tiny_models.write_clip(folder / "clip"), "dinov2": tiny_models.write_dinov2(folder / "dinov2")}


@pytest.fixture
def captions(tmp_path) -> Path:
    rows = [("one", CHAIR), ("two", TABLE), ("one", TABLE), ("three", CHAIR), ("three", CHAIR)]
    (tmp_path / "captions.csv").write_text("\n".join(["id,caption", *(f"{id},{text}" for id, text in rows)]))
    return tmp_path / "captions.csv"


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    (folder / "several").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    for name, pixels in zip(("one.png", "several/a.jpg", "several/b.webp"), noise, strict=True):
        Image.fromarray(pixels).save(folder / name)
    return folder


def embed(model: Path, source: Path, output: Path, *options: str) -> dict[str, np.ndarray]:
    main(["embed", str(source), "--model", str(model), "--output", str(output), *options])
    return load_file(output)


def refusal(capsys, *words: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["embed", *map(str, words)])
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_every_shape_has_an_embedding_of_each_of_its_captions(models, captions, tmp_path):
    found = embed(models["clip"], captions, tmp_path / "e.safetensors")
    assert {id: array.shape for id, array in found.items()} == dict.fromkeys(["one", "two", "three"], (2, 1, 8))
    assert (found["one"][1] == found["two"][0]).all() and (found["two"][0] == found["two"][1]).all()
    assert (found["one"][0] == found["three"][0]).all() and (found["one"][0] != found["one"][1]).any()
    for array in found.values():
        assert np.square(array, dtype=np.float32).mean(axis=-1) == pytest.approx(1, abs=1e-2)


def test_a_text_is_embedded_as_the_model_does_without_padding(models):
    from transformers import AutoTokenizer, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(models["clip"]), AutoTokenizer.from_pretrained(models["clip"])
    with torch.no_grad():
        expected = model.get_text_features(**tokenizer([CHAIR], return_tensors="pt")).pooler_output
    found = torch.from_numpy(Encoder(models["clip"]).texts([CHAIR, TABLE])[0]).float()
    assert torch.nn.functional.cosine_similarity(found, expected).item() > 0.9999


@pytest.mark.parametrize("kind", ["clip", "dinov2"])
def test_images_are_embedded_alone_or_from_the_folder_of_their_shape(models, images, tmp_path, kind):
    found = embed(models[kind], images, tmp_path / "e.safetensors")
    size = (2, 1, {"clip": 8, "dinov2": 16}[kind])
    assert {id: array.shape for id, array in found.items()} == {"one": size, "several": size}
    assert (found["one"][0] == found["one"][1]).all() and (found["several"][0] != found["several"][1]).any()


@pytest.mark.parametrize("kind", ["clip", "dinov2"])
def test_all_tokens_are_those_of_the_patches_and_one_more(models, images, tmp_path, kind):
    found = embed(models[kind], images, tmp_path / "e.safetensors", "--all-tokens")
    assert found["one"].shape == (2, 5, 16)


def test_rendered_views_are_embedded_as_their_pictures(models, tmp_path):
    (tmp_path / "meshes").mkdir()
    trimesh.creation.box(extents=[1, 2, 3]).export(tmp_path / "meshes" / "box.ply")
    (tmp_path / "meshes" / "texture.png").touch()
    found = embed(models["dinov2"], tmp_path / "meshes", tmp_path / "e.safetensors", "--views", "2")
    assert found["box"].shape == (2, 1, 16)
    mesh = MeshSurfaces(tmp_path / "meshes").unit_mesh(0)
    for view in range(2):
        picture = render_mesh(mesh, size=VIEW_PIXELS, azimuth=AZIMUTH + 180 * view)
        save_picture(picture, tmp_path / "pictures" / "box" / f"{view}.png")
    from_files = embed(models["dinov2"], tmp_path / "pictures", tmp_path / "p.safetensors")
    assert (found["box"] == from_files["box"]).all()


def test_texts_and_images_of_clip_share_a_space_unless_all_tokens_are_kept(models, captions, images, tmp_path):
    def encoder(source: Path, *options: str) -> str:
        embed(models["clip"], source, tmp_path / "e.safetensors", *options)
        return Embeddings(tmp_path / "e.safetensors").encoder

    assert encoder(captions) == encoder(images)
    names = {encoder(captions, "--all-tokens"), encoder(images, "--all-tokens"), encoder(images)}
    assert len(names) == 3 and all(name.startswith("clip ") for name in names)


def test_dinov2_refuses_captions(models, captions, tmp_path, capsys):
    line = refusal(capsys, captions, "--model", models["dinov2"], "--output", tmp_path / "e")
    assert "dinov2 embeds images, not texts; give a CLIP model" in line


def test_a_folder_without_a_usable_model_is_refused_in_one_line(models, captions, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    line = refusal(capsys, captions, "--model", tmp_path / "empty", "--output", tmp_path / "e")
    assert "holds no config.json with safetensors weights" in line
    broken = tiny_models.write_clip(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    line = refusal(capsys, captions, "--model", broken, "--output", tmp_path / "e")
    assert "transformers cannot read it" in line and "give the whole folder" in line
    assert not (tmp_path / "e").exists()


def test_without_transformers_a_line_says_what_to_install(captions, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    line = refusal(capsys, captions, "--model", tmp_path, "--output", tmp_path / "e")
    assert "run `pip install 'lagem[embed]'`" in line


def test_transparent_parts_of_an_image_are_white(tmp_path):
    Image.new("RGBA", (4, 3), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").shape == (3, 4, 3)
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_files_that_are_no_images_are_refused(tmp_path, monkeypatch):
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGB", (30, 30)).save(tmp_path / "image.gif")
    (tmp_path / "image.gif").rename(tmp_path / "gif.png")
    Image.new("RGB", (30, 30)).save(tmp_path / "large.png")
    monkeypatch.setattr("lagem.embeddings.sources.MOST_PIXELS", 899)
    for name in ("text.png", "gif.png", "large.png"):
        with pytest.raises(ValueError, match=f"{name}: is not a usable png, jpeg or webp image"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,caption\na,\n", "row 1 has a caption of 0 characters"),
        (f"id,caption\na,{'x' * 10_001}\n", "row 1 has a caption of 10,001 characters"),
        ("id,caption\n../a,chair\n", "cannot be an id"),
        ("caption\nchair\n", "needs the columns id, caption"),
        ("id,caption\n", "there is nothing to embed"),
    ],
)
def test_a_table_that_does_not_serve_is_refused(models, tmp_path, capsys, table, message):
    (tmp_path / "captions.csv").write_text(table)
    line = refusal(capsys, tmp_path / "captions.csv", "--model", models["clip"], "--output", tmp_path / "e")
    assert message in line


def test_two_images_of_one_id_are_refused(models, images, tmp_path, capsys):
    Image.new("RGB", (9, 9)).save(images / "one.jpg")
    line = refusal(capsys, images, "--model", models["clip"], "--output", tmp_path / "e")
    assert "one.jpg and" in line and "put them into a folder one" in line
