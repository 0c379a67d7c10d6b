"""With `lagem generate --keep`, coarse latents are exactly those of real shapes, and only finer ones are sampled."""

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import small_cascade as small
from lagem.cli import main
from lagem.generation.bundle import write_bundle
from lagem.latents.cache import LatentCache
from lagem.latents.encoding import EncodeSettings
from lagem.latents.pipeline import encode
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.weights.autoencoder import load_autoencoder


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
    """Return a function that runs `lagem generate` and returns the latents by level and the rows of samples.csv."""

    def run(name: str, *options: str, category: str = "chair"):
        out = tmp_path / name
        words = ["generate", str(bundle), "--output", str(out), "--resolution", "8", "--steps", "4"]
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


def test_a_sample_has_the_index_and_seed_of_the_free_one_and_names_its_source(generate, cache):
    words = ["--count", "2"]
    _, free = generate("free", *words, category="all")
    _, forced = generate("forced", *words, "--latents", str(cache), "--split", "train", "--keep", "3", category="all")
    opened = LatentCache(cache)
    expected = [opened.ids[row] for name in small.CATEGORIES for row in opened.members({name})["train"][:2]]
    assert [row["source"] for row in forced] == expected and {row["source"] for row in free} == {""}
    for column in ("index", "seed", "category"):
        assert [row[column] for row in free] == [row[column] for row in forced]


def test_all_leaves_out_categories_that_the_split_lacks(generate, tmp_path):
    autoencoder = small.make_autoencoder()
    surfaces = ProceduralSurfaces(num_train=1, num_val=3, seed=0)
    encode(autoencoder, surfaces, tmp_path / "few", EncodeSettings(num_surface_points=small.POINTS, subsets=1))
    _, rows = generate("few_kept", "--latents", str(tmp_path / "few"), "--keep", "3", "--count", "4", category="all")
    opened = LatentCache(tmp_path / "few")
    present = [opened.categories.names[opened.categories.codes[row]] for row in opened.members(None)["val"]]
    assert [row["category"] for row in rows] == sorted(present) and 0 < len(set(present)) < len(small.CATEGORIES)
    assert [int(row["index"]) // 4 for row in rows] == [small.CATEGORIES.index(name) for name in sorted(present)]


def test_a_bundle_in_half_precision_takes_the_caches_of_both_its_autoencoders(tmp_path, cache):
    autoencoder, *stages = small.write_cascade(tmp_path)
    half = write_bundle(autoencoder, stages, tmp_path / "half", half=True)
    rounded = small.make_cache(tmp_path / "rounded", load_autoencoder(half)[0])
    for name, latents in (("before", cache), ("after", rounded)):
        words = ["generate", str(half), "--category", "chair", "--latents", str(latents), "--keep", "3", "--steps", "2"]
        main([*words, "--resolution", "16", "--output", str(tmp_path / name)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "3"], "of --latents CACHE; add --latents, or leave out --keep"),
        (["--split", "train"], "of --latents CACHE; add --latents, or leave out --keep"),
        (["--latents", "CACHE"], "--keep must name the coarsest levels"),
        (["--latents", "CACHE", "--keep", "2"], "from 3 downwards without a gap"),
        (["--latents", "CACHE", "--keep", "4", "3"], "but 4 3 was given"),
        (["--latents", "CACHE", "--keep", "3", "--split", "trian"], "The splits are train, val"),
        (["--latents", "CACHE", "--keep", "3", "--count", "-1"], "--count must be at least 1"),
        (["--latents", "OTHER", "--keep", "3"], "does not belong to this autoencoder"),
        (["--latents", "nowhere", "--keep", "3"], "nowhere"),
        (["--category", "chair", "lamp", "chair"], "--category names a category more than once"),
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
    assert not (tmp_path / "refused").exists()


def test_an_unconditional_cascade_takes_the_first_shapes_of_any_category_and_refuses_all(tmp_path, cache, capsys):
    unconditional = {"num_categories": None, "drop_condition": 0.0, "category_names": ()}
    autoencoder, *stages = small.write_cascade(tmp_path, **unconditional)
    bundle = write_bundle(autoencoder, stages, tmp_path / "cascade")
    words = ["generate", str(bundle), "--latents", str(cache), "--keep", "3", "--steps", "2", "--resolution", "16"]
    main([*words, "--count", "3", "--output", str(tmp_path / "out")])
    with (tmp_path / "out" / "samples.csv").open() as rows:
        sources = [row["source"] for row in csv.DictReader(rows)]
    opened = LatentCache(cache)
    assert sources == [opened.ids[row] for row in opened.members(None)["val"][:3]]
    with pytest.raises(SystemExit):
        main([*words, "--category", "all", "--output", str(tmp_path / "all")])
    assert "has no shape of all" in capsys.readouterr().err
