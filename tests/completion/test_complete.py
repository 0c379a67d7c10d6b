"""`lagem complete` and `complete_shape`: they return whole shapes in the coordinates of the given part."""

import csv
from pathlib import Path

import numpy as np
import pytest

import small_cascade as small
from lagem.cli import main
from lagem.completion.completer import complete_shape
from lagem.embeddings.partial import SHARE, partial_cloud
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.files.loading import load_mesh
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.weights.fingerprint import encoder_of, fingerprint_of

QUICK = {"samples": 3, "sampler": SamplerSettings(steps=[3]), "surface": SurfaceSettings(resolution=24)}
ONE = QUICK | {"samples": 1}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(
        folder,
        num_categories=None,
        category_names=(),
        condition_dim=64,
        encoder=encoder_of(fingerprint_of(small.make_autoencoder())),
    )
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.fixture(scope="module")
def part() -> np.ndarray:
    """Return points of a part, rounded to multiples of 1/1024, so that a test can move and scale them exactly."""
    points, seen, _ = partial_cloud(
        ProceduralSurfaces(num_train=0, num_val=8, seed=0), 2, 256, np.random.default_rng(0)
    )
    assert seen.mean() == pytest.approx(SHARE, abs=0.01)
    return np.round(1024 * points[seen][:256].astype(np.float64)) / 1024


def test_completions_move_and_grow_with_the_part(bundle, part):
    generator = load_bundle(bundle)
    there = complete_shape(generator, part, count=2, **QUICK)
    moved = complete_shape(generator, 64 * part + [1024, -256, 4], count=2, **QUICK)
    assert len(there) == len(moved) == 2
    for one, other in zip(there, moved, strict=True):
        assert (one.index, one.distance) == (other.index, pytest.approx(other.distance))
        assert 64 * one.mesh.vertices + [1024, -256, 4] == pytest.approx(other.mesh.vertices)


def test_the_mean_of_samples_comes_first_and_can_be_left_out(bundle, part):
    generator = load_bundle(bundle)
    with_mean, without = (complete_shape(generator, part, count=3, averaged=number, **QUICK) for number in (2, 1))
    assert (with_mean[0].index, with_mean[0].seed) == (None, None)
    assert [found.index for found in with_mean[1:]] == [found.index for found in without[:2]]
    assert with_mean[0].distance < 2 * without[1].distance


def test_the_smallest_distance_comes_first_and_samples_depend_on_their_seed_alone(bundle, part):
    generator = load_bundle(bundle)
    best, every = (complete_shape(generator, part, count=count, averaged=1, **QUICK) for count in (1, 3))
    assert [found.distance for found in every] == sorted(found.distance for found in every)
    assert (best[0].index, best[0].distance) == (every[0].index, every[0].distance)
    (alone,) = complete_shape(generator, part, count=1, **ONE)
    (same,) = (found for found in every if found.index == 0)
    assert same.seed == alone.seed and same.distance == pytest.approx(alone.distance, rel=0.05)


def test_completions_have_the_resolution_that_was_asked_for(bundle, part):
    generator = load_bundle(bundle)
    coarse, fine = (
        complete_shape(
            generator, part, count=2, averaged=1, **QUICK | {"surface": SurfaceSettings(resolution=resolution)}
        )
        for resolution in (32, 48)
    )
    assert {found.index for found in coarse} == {found.index for found in fine}
    assert sum(len(found.mesh.faces) for found in fine) > 1.5 * sum(len(found.mesh.faces) for found in coarse)


@pytest.mark.parametrize("count", [0, 4])
def test_completions_are_chosen_from_the_samples(bundle, part, count):
    with pytest.raises(ValueError, match=f"{count} completions of 3 samples"):
        complete_shape(load_bundle(bundle), part, count=count, **QUICK)


def test_the_part_decides_the_samples(bundle, part):
    generator = load_bundle(bundle)
    one, other = (complete_shape(generator, cloud, count=1, **ONE)[0] for cloud in (part, part[:, [1, 0, 2]]))
    assert one.seed == other.seed
    assert one.mesh.vertices.shape != other.mesh.vertices.shape


def test_the_command_completes_what_it_can_and_says_why_not(bundle, part, tmp_path, capsys):
    np.save(tmp_path / "chair.npy", part)
    (tmp_path / "text.xyz").write_text("no points")
    words = ["complete", str(tmp_path / "chair.npy"), str(tmp_path / "text.xyz"), "--cascade", str(bundle)]
    main(
        [
            *words,
            "--count",
            "3",
            "--samples",
            "3",
            "--steps",
            "3",
            "--resolution",
            "24",
            "--output",
            str(tmp_path / "out"),
        ]
    )
    with (tmp_path / "out" / "completions.csv").open() as file:
        mean, first, second, refused = csv.DictReader(file)
    files = [row["file"] for row in (mean, first, second, refused)]
    assert files == ["chair_1.ply", "chair_2.ply", "chair_3.ply", ""]
    assert (mean["sample"], mean["seed"]) == ("mean", "") and first["seed"] != second["seed"]
    assert float(first["distance"]) <= float(second["distance"])
    assert refused["distance"] == "" and "text.xyz" in refused["reason"]
    low, high = part.min(axis=0), part.max(axis=0)
    for row in (mean, first, second):
        mesh = load_mesh(tmp_path / "out" / row["file"])
        assert (np.abs(mesh.vertices.mean(axis=0) - (low + high) / 2) < 2 * (high - low).max()).all()
    assert (tmp_path / "out" / "picture.png").exists()
    assert "completions of 1 of 2 files are in" in capsys.readouterr().out


def test_a_part_stands_as_the_shapes_that_the_cascade_was_trained_on(tmp_path, part):
    np.save(tmp_path / "part.npy", part)
    condition = {"num_categories": None, "category_names": (), "condition_dim": 64}
    encoder, pictures = encoder_of(fingerprint_of(small.make_autoencoder())), {}
    for trained in (None, "y"):
        folder = tmp_path / str(trained)
        folder.mkdir()
        autoencoder, *stages = small.write_cascade(folder, **condition, encoder=encoder, up=trained)
        cascade = write_bundle(autoencoder, stages, folder / "cascade")
        for given in (None, "y", "z"):
            words = ["complete", str(tmp_path / "part.npy"), "--cascade", str(cascade), "--count", "1", "--steps", "3"]
            output, option = folder / f"given {given}", [] if given is None else ["--up", given]
            main([*words, "--resolution", "24", "--output", str(output), *option])
            pictures[trained, given] = (output / "picture.png").read_bytes()
    assert pictures["y", None] == pictures["y", "y"] == pictures[None, "y"]
    assert pictures[None, None] == pictures[None, "z"] == pictures["y", "z"] != pictures["y", "y"]


def refusal(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["complete", *words])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_cascade_that_cannot_complete_is_refused_with_its_condition(tmp_path, part, capsys):
    np.save(tmp_path / "part.npy", part)
    for name, (found, changes) in enumerate(
        [
            ("the category", {}),
            ("nothing", {"num_categories": None, "category_names": (), "drop_condition": 0.0}),
            ("other embeddings", {"num_categories": None, "category_names": (), "condition_dim": 64}),
        ]
    ):
        folder = tmp_path / str(name)
        folder.mkdir()
        autoencoder, *stages = small.write_cascade(folder, **changes)
        cascade = write_bundle(autoencoder, stages, folder / "cascade")
        line = refusal(capsys, str(tmp_path / "part.npy"), "--cascade", str(cascade), "--output", str(tmp_path / "out"))
        assert f"cannot complete shapes: its condition is {found}" in line and "lagem embed --partial" in line


def test_stages_with_conditions_of_different_encoders_make_no_cascade(tmp_path):
    changes = {"num_categories": None, "category_names": (), "condition_dim": 64}
    autoencoder, *stages = small.write_cascade(tmp_path, **changes, encoder="one")
    small.write_stage(tmp_path, small.make_spec(2, small.make_autoencoder(), **changes, encoder="other"))
    with pytest.raises(ValueError, match="has encoder 'other', but .* has 'one'|has encoder other, but .* has one"):
        write_bundle(autoencoder, stages, tmp_path / "cascade")
