"""`lagem generate --keep`: coarse levels are real shapes', to the last bit, and only the finer ones are sampled."""

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import small_cascade as small
from lagem.bundle import write_bundle
from lagem.cli import main
from lagem.latents import LatentCache


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(folder)
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return small.make_cache(tmp_path_factory.mktemp("cache"), small.make_autoencoder())


@pytest.fixture
def generate(bundle, cache, tmp_path):
    """Latents, level by level, and rows of the table."""

    def run(name: str, *options: str, category: str = "chair"):
        out = tmp_path / name
        words = ["generate", str(bundle), "--output", str(out), "--resolution", "32", "--steps", "4"]
        main([*words, "--category", category, *options])
        with (out / "samples.csv").open() as rows:
            return load_file(out / "latents.safetensors"), list(csv.DictReader(rows))

    return run


def true_latents(cache: Path, category: str, split: str) -> list[torch.Tensor]:
    opened = LatentCache(cache)
    rows = opened.members({category})[split]
    return [torch.stack([torch.from_numpy(opened.latents(int(row))[level]) for row in rows]) for level in range(3)]


@pytest.mark.parametrize("keep", [["3"], ["3", "2"], ["3", "2", "1"]])
def test_the_kept_levels_are_the_caches_and_the_others_are_made(keep, generate, cache):
    latents, rows = generate("kept", "--latents", str(cache), "--split", "train", "--keep", *keep)
    true = true_latents(cache, "chair", "train")
    assert len(rows) == len(true[0]) > 1
    for level in (1, 2, 3):
        assert torch.equal(latents[f"level_{level}"], true[level - 1]) == (str(level) in keep)


def test_a_shape_keeps_its_own_latents_whatever_its_batch(generate, cache):
    words = ["--latents", str(cache), "--split", "train", "--keep", "3", "--batch-size"]
    together, alone = generate("together", *words, "16")[0], generate("alone", *words, "1")[0]
    for level in ("level_1", "level_2", "level_3"):
        torch.testing.assert_close(together[level], alone[level], atol=1e-4, rtol=0)


def test_all_takes_every_category_that_the_split_has_up_to_the_count(generate, cache):
    _, rows = generate(
        "all", "--latents", str(cache), "--split", "train", "--keep", "3", "--count", "2", category="all"
    )
    opened = LatentCache(cache)
    expected = {name: min(2, len(opened.members({name})["train"])) for name in small.CATEGORIES}
    found = [row["category"] for row in rows]
    assert {name: found.count(name) for name in small.CATEGORIES} == expected
    assert [row["index"] for row in rows] == [str(index) for index in range(len(rows))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "3"], "--keep needs --latents"),
        (["--latents", "CACHE"], "the levels kept are the coarsest"),
        (["--latents", "CACHE", "--keep", "2"], "the levels kept are the coarsest, 3 downwards without a gap"),
        (["--latents", "CACHE", "--keep", "4", "3"], "but [4, 3] was given"),
        (["--latents", "CACHE", "--keep", "3", "--split", "test"], "no shape of category chair in the split 'test'"),
        (["--latents", "OTHER", "--keep", "3"], "does not belong to this autoencoder"),
        (["--latents", "nowhere", "--keep", "3"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(options, message, generate, cache, tmp_path, capsys):
    if "OTHER" in options:
        small.make_cache(tmp_path / "other", small.make_autoencoder(seed=1))
    places = {"CACHE": str(cache), "OTHER": str(tmp_path / "other")}
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        generate("refused", *[places.get(option, option) for option in options])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and message in error
