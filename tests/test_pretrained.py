"""The weights in the package are small, hold only plain data, and are used if a command names no weights."""

import re

import numpy as np
import pytest
import trimesh

from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.geometry.components import dominant_share
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import chamfer_distance
from lagem.geometry.sampling import sample_surface
from lagem.pretrained import AUTOENCODERS, CASCADES, pretrained_autoencoder, pretrained_cascade
from lagem.weights.autoencoder import load_autoencoder
from lagem.weights.fingerprint import fingerprint_of


@pytest.mark.parametrize(
    ("name", "num_latents", "points"), [("autoencoder", [256, 128, 32], 2048), ("large", [512, 128, 32], 4096)]
)
def test_they_are_at_most_12_megabytes_and_have_a_card(name, num_latents, points):
    path = pretrained_autoencoder(name)
    assert path.stat().st_size <= 12_000_000
    card = path.with_suffix(".md").read_text()
    assert "licence" in card and not re.search(r": [A-Z]{4,}$", card, re.MULTILINE), "a placeholder"
    _, spec = load_autoencoder(path)
    assert [level.num_latents for level in spec.levels] == num_latents
    assert spec.num_surface_points == points


@pytest.mark.parametrize(
    "path",
    [*map(pretrained_autoencoder, AUTOENCODERS), pretrained_cascade("furniture") / "autoencoder.safetensors"],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_flipped_bit_of_their_weights_is_found(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"flipped\.safetensors: damaged: array .* does not match its checksum"):
        load_autoencoder(tmp_path / "flipped.safetensors")


def test_the_large_weights_reconstruct_a_box_better_than_the_others(tmp_path):
    box = trimesh.creation.box(extents=(1, 2, 3))
    Mesh(box.vertices, box.faces).save(tmp_path / "box.ply")
    distances = {}
    for name in AUTOENCODERS:
        options = ["--weights", name, "--output", str(tmp_path / name), "--resolution", "32"]
        main(["reconstruct", str(tmp_path / "box.ply"), *options])
        rng = np.random.default_rng(0)
        meshes = [load_mesh(tmp_path / "box.ply"), load_mesh(tmp_path / name / "box.ply")]
        distances[name] = chamfer_distance(*(sample_surface(mesh, 5_000, rng)[0] for mesh in meshes))
    assert distances["large"] < distances["autoencoder"]


def test_a_ball_is_reconstructed_in_its_own_coordinates_without_naming_weights(tmp_path):
    """The Chamfer distance to the ball is below half of the ball's radius: a crude result, but not a chance one."""
    ball = trimesh.creation.icosphere(3, radius=20)
    Mesh(ball.vertices + [100, 0, -50], ball.faces).save(tmp_path / "ball.ply")  # noqa: RUF005 (arrays)
    options = ["--resolution", "32", "--points", "5000"]
    main(["reconstruct", str(tmp_path / "ball.ply"), "--output", str(tmp_path / "out"), *options])
    source, made = load_mesh(tmp_path / "ball.ply"), load_mesh(tmp_path / "out" / "ball.ply")
    frame = Frame.of(source.vertices)
    rng = np.random.default_rng(0)
    clouds = [sample_surface(mesh.in_frame(frame), 5_000, rng)[0] for mesh in (source, made)]
    assert chamfer_distance(*clouds) < 0.5
    assert made.vertices.mean(axis=0) == pytest.approx([100, 0, -50], abs=5)


@pytest.mark.gpu
def test_a_gpu_reconstructs_what_the_cpu_does(tmp_path):
    ball = trimesh.creation.icosphere(3)
    Mesh(ball.vertices, ball.faces).save(tmp_path / "ball.ply")
    for device in ("cpu", "cuda"):
        options = ["--device", device, "--output", str(tmp_path / device), "--resolution", "64"]
        main(["reconstruct", str(tmp_path / "ball.ply"), *options])
    on_cpu, on_gpu = (load_mesh(tmp_path / device / "ball.ply") for device in ("cpu", "cuda"))
    assert chamfer_distance(on_cpu.vertices, on_gpu.vertices) < 1e-3


def test_the_cascades_have_cards_and_are_together_at_most_12_megabytes():
    bundles = [pretrained_cascade(name) for name in CASCADES]
    assert sum(path.stat().st_size for bundle in bundles for path in bundle.iterdir()) <= 12_000_000
    assert all("licence" in bundle.with_suffix(".md").read_text() for bundle in bundles)


def test_furniture_is_what_is_made_without_naming_a_cascade(tmp_path):
    """At least 3 of 4 chairs must be almost in one piece; docs/cascade.md measures whether samples look like chairs."""
    out = tmp_path / "out"
    main(["generate", "--category", "chair", "--count", "4", "--resolution", "48", "--output", str(out)])
    shares = [dominant_share(load_mesh(path)) for path in sorted(out.glob("*.ply"))]
    assert len(shares) == 4 and sum(share > 0.9 for share in shares) >= 3


def test_the_cascade_of_meshes_decodes_by_the_autoencoder_that_comes_with_the_package(tmp_path):
    assert not (pretrained_cascade("meshes") / "autoencoder.safetensors").exists()
    shipped, _ = load_autoencoder(pretrained_autoencoder())
    assert {spec.autoencoder for spec in load_bundle(pretrained_cascade("meshes")).specs} == {fingerprint_of(shipped)}
    out = tmp_path / "out"
    main(["generate", "meshes", "--category", "vessel", "--count", "2", "--resolution", "32", "--output", str(out)])
    assert len(list(out.glob("*.ply"))) == 2
