"""The ONNX graphs give the same results in onnxruntime as the network in torch."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import small_cascade as small
from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.reconstruction.codec import load_codec
from lagem.weights.autoencoder import load_autoencoder, save_autoencoder

CLOSE = 1e-4  # in standard deviations


def small_network(**changes) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(**{"levels": small.LEVELS, "width": 128, **changes}).eval()


def exported(autoencoder: Autoencoder, folder: Path) -> Path:
    save_autoencoder(autoencoder, folder / "weights.safetensors", num_surface_points=64)
    main(["export", "--onnx", str(folder / "weights.safetensors"), "--output", str(folder / "graphs")])
    return folder / "graphs"


def answers(graph: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


@torch.no_grad()
def assert_agree(autoencoder: Autoencoder, graphs: Path, points: torch.Tensor, queries: torch.Tensor) -> None:
    found = answers(graphs / "encoder.onnx", {"points": points.numpy()})
    latents = autoencoder.encode(points)
    assert list(found) == [f"level_{number}" for number in range(1, len(latents) + 1)]
    for ours, theirs in zip(latents, found.values(), strict=True):
        assert np.abs(ours.numpy() - theirs).max() < CLOSE * float(ours.std())
    folded = answers(graphs / "decoder.onnx", found)
    logits = answers(graphs / "field.onnx", {"queries": queries.numpy(), **folded})["logits"]
    expected = autoencoder.decode(latents)(queries)
    assert np.abs(logits - expected.numpy()).max() < CLOSE * float(expected.std())


@pytest.mark.parametrize(
    "changes",
    [{}, {"skip": "single", "octaves": 3}, {"levels": [LevelSpec(16, 4, 2, "kl")]}],
    ids=["LaGeM", "single skip", "VecSet"],
)
def test_the_graphs_give_the_latents_and_logits_of_the_network_for_any_numbers(tmp_path, changes):
    """The numbers are those of shapes, points and queries. With fewer points than latents, anchors repeat points."""
    autoencoder = small_network(**changes)
    graphs = exported(autoencoder, tmp_path)
    assert sorted(path.name for path in graphs.iterdir()) == ["decoder.onnx", "encoder.onnx", "field.onnx"]
    for shapes, points, queries in ((1, 64, 16), (3, 200, 5), (2, 7, 1)):
        assert_agree(autoencoder, graphs, torch.randn(shapes, points, 3) * 0.4, torch.rand(shapes, queries, 3) * 2 - 1)


def test_weights_of_the_package_are_exported_by_their_name(tmp_path):
    main(["export", "--onnx", "autoencoder", "--output", str(tmp_path / "graphs")])
    codec = load_codec("autoencoder")
    points = torch.nn.functional.normalize(torch.randn(1, codec.spec.num_surface_points, 3), dim=-1)
    assert_agree(load_autoencoder("autoencoder")[0], tmp_path / "graphs", points, torch.rand(1, 500, 3) * 2 - 1)


def test_a_folder_is_not_written_over(tmp_path, capsys):
    exported(small_network(), tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["export", "--onnx", "large", "--output", str(tmp_path / "graphs")])
    assert stop.value.code == 2 and "graphs already exists" in capsys.readouterr().err
