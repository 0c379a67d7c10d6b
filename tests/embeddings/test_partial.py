"""Shape, view and seed determine the embedding of a partial cloud, and a stage can be trained on such embeddings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import small_cascade as small
from lagem.cli import main
from lagem.data_modules.latents import LatentDataModule
from lagem.embeddings.file import Embeddings, write_embeddings
from lagem.embeddings.partial import embedded_clouds, tokens_of
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.weights.autoencoder import save_autoencoder
from lagem.weights.fingerprint import encoder_of, fingerprint_of

DATA = "procedural:32+8"


def embedded(chosen, seed: int = 0, views: int = 2) -> dict[str, np.ndarray]:
    surfaces = ProceduralSurfaces(num_train=32, num_val=8, seed=0)
    found = embedded_clouds(
        small.make_autoencoder(), surfaces, chosen, views=views, num_surface_points=small.POINTS, seed=seed
    )
    return dict(found)


def test_a_view_depends_on_the_seed_the_view_and_the_shape_alone():
    one, three = embedded([5]), embedded([4, 5, 6], views=3)
    (id,) = one
    assert np.abs(one[id] - three[id][:2]).max() < 2e-3
    views = [*three[id], *embedded([5], seed=1)[id], *embedded([6])[next(iter(embedded([6])))]]
    assert all(np.abs(a - b).max() > 0.1 for n, a in enumerate(views) for b in views[:n])


def test_tokens_are_standardised_features_of_level_two():
    cloud = torch.randn(3, small.POINTS, 3) * 0.3
    autoencoder = small.make_autoencoder()
    tokens = tokens_of(autoencoder, cloud)
    assert tokens.shape == (3, small.LEVELS[1].num_latents, 64)
    assert tokens.mean(-1).abs().max() < 1e-5 and (tokens.var(-1, unbiased=False) - 1).abs().max() < 1e-2
    features = autoencoder.features(cloud)[1]
    centred = features - features.mean(-1, keepdim=True)
    assert torch.nn.functional.cosine_similarity(tokens, centred, dim=-1).min() > 1 - 1e-5


def test_tokens_do_not_depend_on_the_order_of_the_points():
    cloud = torch.randn(1, small.POINTS, 3) * 0.3
    # the first point stays, because furthest point sampling starts there
    shuffled = torch.cat([cloud[:, :1], cloud[:, 1:][:, torch.randperm(small.POINTS - 1)]], dim=1)
    autoencoder = small.make_autoencoder()
    assert torch.allclose(tokens_of(autoencoder, cloud), tokens_of(autoencoder, shuffled), atol=1e-4)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with an autoencoder, a cache of its latents, and embeddings that `lagem embed` wrote."""
    folder = tmp_path_factory.mktemp("embedded")
    autoencoder = small.make_autoencoder()
    save_autoencoder(autoencoder, folder / "autoencoder.safetensors", num_surface_points=small.POINTS)
    small.make_cache(folder / "latents", autoencoder)
    weights, output = str(folder / "autoencoder.safetensors"), str(folder / "embeddings.safetensors")
    main(["embed", DATA, "--partial", weights, "--views", "3", "--output", output])
    return folder


def test_the_command_writes_the_condition_of_a_cascade(written):
    data = LatentDataModule(
        root=str(written / "latents"), condition=str(written / "embeddings.safetensors"), batch_size=8, num_workers=0
    )
    data.setup("fit")
    assert data.condition_dim == 64 and data.num_categories is None
    assert data.encoder == encoder_of(fingerprint_of(small.make_autoencoder()))
    batch = next(iter(data.train_dataloader()))
    assert batch.condition.shape == (8, small.LEVELS[1].num_latents, 64)
    held = Embeddings(written / "embeddings.safetensors")
    assert held.views == 3 and len(held.ids) == 40


def test_the_same_command_writes_the_same_bytes(written, tmp_path):
    weights, output = str(written / "autoencoder.safetensors"), tmp_path / "again.safetensors"
    main(["embed", DATA, "--partial", weights, "--views", "3", "--output", str(output)])
    assert output.read_bytes() == (written / "embeddings.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--views", "0"], "--views is 0, but must be at least 1"),
        (["--surface-points", "0"], "--surface-points is 0, but must be at least 1"),
    ],
)
def test_impossible_numbers_are_refused_in_one_line(written, tmp_path, capsys, options, message):
    words = ["embed", DATA, "--partial", str(written / "autoencoder.safetensors"), "--output", str(tmp_path / "e")]
    with pytest.raises(SystemExit) as stop:
        main([*words, *options])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_embeddings_that_are_not_finite_are_not_written(tmp_path):
    wrong = iter([("a", np.zeros((1, 2, 3), np.float16)), ("b", np.full((1, 2, 3), np.inf, np.float16))])
    with pytest.raises(ValueError, match="b: its embedding is not finite"):
        write_embeddings(tmp_path / "e.safetensors", wrong, encoder="x")
    assert not list(tmp_path.iterdir())


def test_a_description_of_another_type_is_refused(tmp_path):
    write_embeddings(tmp_path / "e.safetensors", [("a", np.zeros((1, 2, 3), np.float16))], encoder="x")
    with safe_open(tmp_path / "e.safetensors", "np") as file:
        assert "encoder" in file.metadata()["lagem"]
    content = (tmp_path / "e.safetensors").read_bytes()
    (tmp_path / "e.safetensors").write_bytes(content.replace(rb"\"x\"", rb"   1 "[:5]))
    with pytest.raises(ValueError, match="encoder is 1, but must be a text"):
        Embeddings(tmp_path / "e.safetensors")
