"""Folders as the commands write them, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import small_cascade
from browser import Browser, chromium
from lagem.cli import main
from lagem.preparation.settings import Settings
from toy_shapes import VALIDATION, prepare_toys, write_meshes

SMALL = ["--points", "200", "--resolution", "16"]


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """Write weights, a prepared folder, meshes, samples, evaluations and studies into a folder, and return it."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "weights").mkdir()
    (folder / "toys").mkdir()
    autoencoder, *stages = small_cascade.write_cascade(folder / "weights")
    settings = Settings(surface=1_000, volume=1_000, near=500, inside=50, shapes_per_shard=1)
    prepared = prepare_toys(folder / "toys", settings=settings, only=VALIDATION)
    write_meshes(folder / "meshes")
    words = [str(autoencoder), str(prepared)]
    main(["evaluate", *words, "--output", str(folder / "evaluation"), *SMALL])
    main(["evaluate", str(autoencoder), str(folder / "meshes"), "--output", str(folder / "of_meshes"), *SMALL])
    main(["levels", *words, "--output", str(folder / "levels"), *SMALL])
    bundle = str(folder / "cascade")
    main(["bundle", str(autoencoder), *map(str, stages), "--output", bundle])
    few = ["--category", "chair", "--steps", "1", "--resolution", "16"]
    main(["generate", bundle, *few, "--count", "3", "--output", str(folder / "samples")])
    main(["evaluate-generation", str(folder / "samples"), "procedural:0+16", "--output", str(folder / "scores"),
          "--points", "30"])  # fmt: skip
    for study, options in {
        "sharing": ["--variants", "2"],
        "noise": ["--noise", "0.5", "1"],
        "mixing": ["--mix"],
    }.items():
        main(["vary", bundle, *few, "--groups", "2", *options, "--output", str(folder / study)])
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("needs Chromium")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started
