"""`lagem generate` and its Python API: samples depend only on their seed, and none is dropped silently."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from safetensors.torch import load_file
from scipy.spatial import cKDTree

import lagem.generation
import small_cascade as small
from lagem.cli import main
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.boundary import open_edges, parts_of
from lagem.geometry.files.loading import load_mesh
from lagem.weights.autoencoder import load_autoencoder, save_autoencoder

FEW_STEPS = SamplerSettings(steps=[4])
RESOLUTION = 16
COARSE = SurfaceSettings(resolution=RESOLUTION)


def make_bundle(folder: Path, **changes) -> Path:
    autoencoder, *stages = small.write_cascade(folder, **changes)
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("cascade"))


@pytest.fixture
def generator(bundle) -> CascadedGenerator:
    return load_bundle(bundle)


def samples(generator, **given):
    return list(generator.generate(**{"category": "chair", "sampler": FEW_STEPS, "surface": COARSE, **given}))


def generate(bundle: Path, output: Path, *options: str) -> list[dict[str, str]]:
    """Run the command, and return the rows of the table that it wrote."""
    coarse = ["--resolution", str(RESOLUTION), "--steps", "4"]
    given = ["generate", str(bundle), "--output", str(output), *coarse, *options]
    main(given if "--category" in options else [*given, "--category", "chair"])
    with (output / "samples.csv").open() as file:
        return list(csv.DictReader(file))


def refusal(capsys, bundle: Path, output: Path, *options: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["generate", str(bundle), "--output", str(output), *options])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not output.exists()
    return line


def test_a_sample_is_the_same_alone_and_in_a_batch(generator):
    """Latents differ by at most 1e-4; each vertex of one mesh is within half a grid cell of a vertex of the other."""
    together, alone = samples(generator, count=3, batch_size=3), samples(generator, count=3, batch_size=1)
    for one, other in zip(together, alone, strict=True):
        assert (one.index, one.seed) == (other.index, other.seed)
        for first, second in zip(one.latents, other.latents, strict=True):
            torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
        for a, b in ((one.mesh, other.mesh), (other.mesh, one.mesh)):
            assert cKDTree(a.vertices).query(b.vertices)[0].max() < 0.5 * 2 / COARSE.resolution


def test_a_sample_does_not_depend_on_how_many_are_made(generator):
    few, more = samples(generator, count=2, batch_size=2), samples(generator, count=4, batch_size=2)
    for one, other in zip(few, more, strict=False):
        assert all(torch.equal(a, b) for a, b in zip(one.latents, other.latents, strict=True))


def test_samples_seeds_and_categories_differ(generator):
    base = samples(generator, count=2)
    changed = [base[1], samples(generator, count=1, seed=1)[0], samples(generator, count=1, category="mug")[0]]
    assert all(not torch.allclose(base[0].latents[0], other.latents[0]) for other in changed)


def test_the_files_are_the_samples(bundle, generator, tmp_path):
    rows = generate(bundle, tmp_path / "out", "--count", "3", "--seed", "5", "--batch-size", "2")
    latents = load_file(tmp_path / "out" / "latents.safetensors")
    for row, sample in zip(rows, samples(generator, count=3, seed=5, batch_size=2), strict=True):
        assert (int(row["index"]), int(row["seed"]), row["category"]) == (sample.index, sample.seed, "chair")
        mesh = load_mesh(tmp_path / "out" / row["file"])
        assert len(mesh.faces) == int(row["faces"]) == len(sample.mesh.faces)
        assert np.abs(mesh.vertices).max() <= 1 + 2 / RESOLUTION  # the frame of the unit sphere
        for level, own in enumerate(sample.latents, start=1):
            assert torch.equal(latents[f"level_{level}"][sample.index], own)
    assert Image.open(tmp_path / "out" / "picture.png").size[0] > 3 * 240


@pytest.mark.parametrize("up", ["z", "y"])
def test_a_glb_stands_by_the_axis_that_is_given(bundle, generator, tmp_path, up):
    generate(bundle, tmp_path / "out", "--count", "1", "--format", "glb", "--up", up)
    x, y, z = samples(generator, count=1)[0].mesh.vertices.T
    expected = np.stack([x, y, z] if up == "y" else [x, z, -y], axis=1)
    found = trimesh.load_scene(tmp_path / "out" / "0000.glb").to_mesh().bounds
    np.testing.assert_allclose(found, [expected.min(axis=0), expected.max(axis=0)], atol=1e-6)


def test_several_categories_share_a_folder_and_the_samples_numbers_go_on(bundle, generator, tmp_path):
    rows = generate(bundle, tmp_path / "out", "--count", "2", "--category", "mug", "chair")
    assert [row["category"] for row in rows] == ["mug", "mug", "chair", "chair"]
    last = samples(generator, count=4)[3]  # chair 3, as in a run of chairs alone
    latents = load_file(tmp_path / "out" / "latents.safetensors")
    torch.testing.assert_close(latents["level_1"][3], last.latents[0], atol=1e-4, rtol=0)
    height, width = np.asarray(Image.open(tmp_path / "out" / "picture.png")).shape[:2]
    assert height > 2 * 240 and 2 * 240 < width < 3 * 240 + 100


def test_all_is_every_category(bundle, generator, tmp_path):
    rows = generate(bundle, tmp_path / "out", "--count", "1", "--category", "all")
    assert [row["category"] for row in rows] == list(generator.category_names)


def test_the_same_command_writes_the_same_bytes(bundle, tmp_path):
    for name in ("one", "other"):
        generate(bundle, tmp_path / name, "--count", "2")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


@pytest.fixture(scope="module")
def sometimes_empty(tmp_path_factory) -> Path:
    """A cascade that generates an empty field for about half of its samples."""
    folder = tmp_path_factory.mktemp("empty")
    autoencoder, *stages = small.write_cascade(folder)
    network, spec = load_autoencoder(autoencoder)
    largest = []
    for sample in samples(load_bundle(write_bundle(autoencoder, stages, folder / "whole")), count=4):
        field = network.decode([z.unsqueeze(0) for z in sample.latents]).select(0)
        ticks = torch.linspace(-1, 1, RESOLUTION + 1)
        largest.append(float(field(torch.cartesian_prod(ticks, ticks, ticks)).max().detach()))
    network.to_logits.bias.data -= float(np.median(largest))
    save_autoencoder(network, autoencoder, num_surface_points=spec.num_surface_points)
    for level, path in zip((3, 2, 1), stages, strict=True):
        small.write_stage(path.parent, small.make_spec(level, network))
    return write_bundle(autoencoder, stages, folder / "cascade")


def test_a_sample_without_a_surface_is_listed_with_its_reason(sometimes_empty, tmp_path, capsys):
    rows = generate(sometimes_empty, tmp_path / "out", "--count", "4")
    empty = [row for row in rows if not row["file"]]
    assert [int(row["index"]) for row in rows] == [0, 1, 2, 3]
    assert 0 < len(empty) < 4
    assert all("no node of the 17^3 grid is inside" in row["reason"] for row in empty)
    printed = capsys.readouterr().out
    assert all(f"sample {row['index']} has no mesh: no node" in printed for row in empty)
    assert f"{4 - len(empty)} of 4 meshes" in printed
    assert len(load_file(tmp_path / "out" / "latents.safetensors")["level_1"]) == 4


def test_no_surface_at_all_is_an_error_in_one_line(sometimes_empty, tmp_path, capsys):
    generator = load_bundle(sometimes_empty)
    seed = next(seed for seed in range(50) if samples(generator, count=1, seed=seed)[0].mesh is None)
    with pytest.raises(SystemExit) as stop:
        generate(sometimes_empty, tmp_path / "out", "--count", "1", "--seed", str(seed))
    assert stop.value.code == 2 and "none of 1 samples has a mesh" in capsys.readouterr().err
    assert (tmp_path / "out" / "samples.csv").is_file() and not (tmp_path / "out" / "picture.png").exists()


def test_the_largest_component_is_one_part_and_fewer_faces_stay_closed(generator):
    whole = samples(generator, count=1)[0].mesh
    surface = SurfaceSettings(resolution=RESOLUTION, only_largest=True, faces=len(whole.faces) // 2)
    small_mesh = samples(generator, count=1, surface=surface)[0].mesh
    assert len(np.unique(parts_of(small_mesh))) == 1
    assert open_edges(small_mesh) == 0
    assert len(small_mesh.faces) <= surface.faces


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "needs one of the categories bench, bottle, chair"),
        (["--category", "sofa"], "lamp, mug, shelf, sign, table, but 'sofa' was given"),
        (["--category", "chair", "--count", "0"], "the count must be at least 1, but 0"),
        (["--category", "chair", "--batch-size", "0"], "the batch size must be at least 1, but 0"),
        (["--category", "chair", "--seed", "-1"], "the seed must be at least 0, but -1"),
        (["--category", "chair", "--steps", "4", "4", "4", "4"], "one for each of levels 1 to 3, but 4"),
        (["--category", "chair", "--steps", "0"], "num_steps must be at least 1"),
        (["--category", "chair", "--guidance", "1", "2"], "one for each of levels 1 to 3, but 2"),
        (["--category", "chair", "--churn", "-1"], "s_churn must be 0 (no noise) or more"),
        (["--category", "chair", "--coarser-sigma", "0.1"], "outside the range used in training"),
        (["--category", "chair", "--resolution", "1"], "resolution of at least 2"),
        (["--category", "chair", "--faces", "3"], "at least 4 faces"),
        (["--category", "chair", "--device", "nonsense"], "--device nonsense cannot be used here"),
    ],
)
def test_a_mistake_is_one_line(bundle, tmp_path, capsys, options, expected):
    assert expected in refusal(capsys, bundle, tmp_path / "out", *options)


def test_guidance_needs_stages_that_dropped_their_condition(tmp_path, capsys):
    undropped = make_bundle(tmp_path, drop_condition=0.0)
    line = refusal(capsys, undropped, tmp_path / "out", "--category", "chair", "--guidance", "2")
    assert "guidance 2.0 needs a stage that also trained without its condition" in line and "level 1" in line


def test_samples_are_not_mixed_with_those_of_another_run(bundle, tmp_path, capsys):
    generate(bundle, tmp_path / "out", "--count", "1")
    with pytest.raises(SystemExit) as stop:
        generate(bundle, tmp_path / "out", "--count", "1", "--seed", "1")
    assert stop.value.code == 2 and "already holds samples" in capsys.readouterr().err


def test_an_unconditional_cascade_takes_no_category(tmp_path, capsys):
    free = make_bundle(tmp_path, num_categories=None, category_names=(), drop_condition=0.0)
    for category in ("chair", "all"):
        assert "has no categories" in refusal(capsys, free, tmp_path / "out", "--category", category)
    assert samples(load_bundle(free), count=1, category=None)[0].latents[0].shape == (16, 4)


def test_an_embedding_is_a_vector_or_tokens(tmp_path, capsys):
    pictured = load_bundle(make_bundle(tmp_path, num_categories=None, category_names=(), condition_dim=5))
    for condition in (torch.ones(5), torch.ones(3, 5)):
        assert samples(pictured, count=2, category=None, condition=condition)[1].latents[2].shape == (4, 8)
    for wrong in (None, torch.ones(4), torch.ones(1, 3, 5)):
        with pytest.raises(ValueError, match=r"needs a condition of shape \(5,\)"):
            pictured.generate(count=1, condition=wrong)
    assert "needs a condition of shape (5,)" in refusal(capsys, tmp_path / "cascade", tmp_path / "out")


def test_coarser_latents_get_noise_where_a_stage_trained_with_it(tmp_path):
    small_files = small.write_cascade(tmp_path)
    augmented = [small.make_spec(level, small.make_autoencoder(), max_coarser_sigma=0.5) for level in (1, 2)]
    for spec in augmented:
        small.write_stage(tmp_path, spec)
    generator = load_bundle(write_bundle(small_files[0], small_files[1:], tmp_path / "cascade"))
    clean, noised = (
        samples(generator, count=1, sampler=SamplerSettings(steps=[4], coarser_sigma=sigma))[0].latents
        for sigma in (0.0, 0.5)
    )
    assert torch.equal(clean[2], noised[2])
    assert not torch.allclose(clean[0], noised[0])


def test_the_example_of_the_docstring_runs(tmp_path, monkeypatch):
    example = re.findall(r"^    (.*)$", lagem.generation.generator.__doc__, flags=re.MULTILINE)
    assert len(example) == 4
    shown = (Path(__file__).resolve().parents[2] / "docs" / "level-control.md").read_text()
    assert all(f"\n{line}\n" in shown for line in example)
    autoencoder, *stages = small.write_cascade(tmp_path)
    full = small.make_autoencoder()
    full.to_logits.bias.data += 1000  # inside everywhere: a box, which is quick to extract
    save_autoencoder(full, autoencoder, num_surface_points=64)
    for level in (3, 2, 1):
        small.write_stage(tmp_path, small.make_spec(level, full))
    write_bundle(autoencoder, stages, tmp_path / "furniture")  # is used instead of the bundle in the package
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec("\n".join(example), found)
    assert len(found["meshes"]) == 4 and all(len(mesh.faces) for mesh in found["meshes"])


@pytest.mark.gpu
def test_a_gpu_makes_what_the_cpu_does(bundle):
    on_cpu, on_gpu = (samples(load_bundle(bundle).to(device), count=2) for device in ("cpu", "cuda"))
    for one, other in zip(on_cpu, on_gpu, strict=True):
        for first, second in zip(one.latents, other.latents, strict=True):
            torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-3)
