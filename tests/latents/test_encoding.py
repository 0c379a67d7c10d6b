"""A cache holds exactly what the autoencoder returns, even if the encoding was stopped and resumed."""

import csv
import json

import numpy as np
import pytest
from safetensors import safe_open

from lagem.latents.cache import LatentCache
from lagem.latents.encoding import EncodeSettings
from lagem.latents.pipeline import encode
from lagem.reconstruction.codec import load_codec
from lagem.sources.augmentation import Augmentation
from lagem.sources.surfaces import PreparedSurfaces
from lagem.weights.fingerprint import fingerprint_of

SETTINGS = EncodeSettings(num_surface_points=64, subsets=3)


@pytest.fixture(autouse=True)
def _two_shapes_a_shard(monkeypatch):
    monkeypatch.setattr("lagem.latents.pipeline.SHAPES_PER_SHARD", 2)


class Stopping(PreparedSurfaces):
    """Surfaces that raise an error after some samplings, as if the process were stopped."""

    left = 0

    def draw(self, index, count, rng):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().draw(index, count, rng)


class Partly(PreparedSurfaces):
    """Surfaces; those in `unreadable` cannot be read, and those in `infinite` have a point that is not finite."""

    unreadable: tuple[str, ...] = ("box1",)
    infinite: tuple[str, ...] = ("box4",)

    def draw(self, index, count, rng):
        if self.ids[index] in self.unreadable:
            raise ValueError("its shard is missing.")
        points = super().draw(index, count, rng)
        return np.full_like(points, np.nan) if self.ids[index] in self.infinite else points


def test_files_are_plain_and_as_documented(prepared, tmp_path, autoencoder):
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    header = json.loads((tmp_path / "out" / "format.json").read_text())
    assert (header["format"], header["version"]) == ("lagem-latents", 1)
    assert header["fingerprint"] == fingerprint_of(autoencoder)
    assert [level["num_latents"] for level in header["levels"]] == [16, 4]
    assert load_codec(tmp_path / "out").fingerprint == header["fingerprint"], "the autoencoder is in the folder"
    with (tmp_path / "out" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "category", "split", "shard", "row"]
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    with safe_open(tmp_path / "out" / "shards" / rows[0]["shard"], framework="numpy") as shard:
        sizes = {name: (shard.get_tensor(name).dtype.name, shard.get_tensor(name).shape) for name in shard.keys()}  # noqa: SIM118
    assert sizes == {
        "center": ("float64", (2, 3)),
        "scale": ("float64", (2,)),
        "level_1": ("float16", (2, 3, 16, 4)),
        "level_2": ("float16", (2, 3, 4, 6)),
        "crc32.level_1": ("int64", (6,)),
        "crc32.level_2": ("int64", (6,)),
    }


def test_stopped_anywhere_and_resumed_gives_the_same_bytes(prepared, tmp_path, autoencoder, payload):
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "whole", SETTINGS)
    whole = payload(tmp_path / "whole")
    for left in range(0, 7 * 3, 4):
        surfaces, output = Stopping(prepared), tmp_path / f"stopped_{left}"
        surfaces.left = left
        with pytest.raises(KeyboardInterrupt):
            encode(autoencoder, surfaces, output, SETTINGS)
        assert not (output / "index.csv").exists()
        (output / "shards" / f".00001-half.safetensors.{7:016x}.tmp").write_bytes(b"half")  # of a killed write
        resumed = Stopping(prepared)
        resumed.left = 7 * 3 - left // 6 * 6  # whole shards are not drawn again
        encode(autoencoder, resumed, output, SETTINGS)
        assert payload(output) == whole
        assert resumed.left == 0


def test_a_finished_cache_is_not_encoded_again(prepared, tmp_path, autoencoder, payload):
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    before = payload(tmp_path / "out")
    encode(autoencoder, Stopping(prepared), tmp_path / "out", SETTINGS)
    assert payload(tmp_path / "out") == before


def test_subsets_differ_and_do_not_depend_on_their_number(prepared, tmp_path, autoencoder):
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "three", SETTINGS)
    one = EncodeSettings(num_surface_points=64, subsets=1, splits=("val",))
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "one", one)
    three, alone = LatentCache(tmp_path / "three"), LatentCache(tmp_path / "one")
    for index in range(len(three)):
        drawn = [three.latents(index, subset)[0] for subset in range(3)]
        assert not any(np.array_equal(drawn[a], drawn[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert alone.ids == ["box5", "box6"]
    for index, id in enumerate(alone.ids):
        for ours, theirs in zip(alone.latents(index), three.latents(three.ids.index(id)), strict=True):
            assert np.array_equal(ours, theirs)


def test_shapes_that_were_added_to_the_data_are_added_to_the_cache(prepared, tmp_path, autoencoder, payload):
    fewer = PreparedSurfaces(prepared)
    fewer.ids, fewer.categories, fewer.splits = (column[1:6] for column in (fewer.ids, fewer.categories, fewer.splits))
    fewer.draw = lambda index, count, rng: PreparedSurfaces.draw(fewer, index + 1, count, rng)
    fewer.frame = lambda index: PreparedSurfaces.frame(fewer, index + 1)
    encode(autoencoder, fewer, tmp_path / "out", SETTINGS)
    assert LatentCache(tmp_path / "out").ids == [f"box{number}" for number in range(1, 6)]
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "whole", SETTINGS)
    assert payload(tmp_path / "out") == payload(tmp_path / "whole")


def test_another_seed_is_another_draw(prepared, tmp_path, autoencoder):
    for seed in (0, 1):
        settings = EncodeSettings(num_surface_points=64, subsets=1, seed=seed)
        encode(autoencoder, PreparedSurfaces(prepared), tmp_path / str(seed), settings)
    first, second = (LatentCache(tmp_path / name).latents(0) for name in "01")
    assert not np.array_equal(first[0], second[0])


def test_the_batch_size_changes_no_more_than_the_last_bit(prepared, tmp_path, autoencoder):
    for size in (1, 4):
        settings = EncodeSettings(num_surface_points=64, subsets=3, batch_size=size)
        encode(autoencoder, PreparedSurfaces(prepared), tmp_path / str(size), settings)
    first, second = (LatentCache(tmp_path / name) for name in "14")
    for index in range(len(first)):
        for subset in range(3):
            for ours, theirs in zip(first.latents(index, subset), second.latents(index, subset), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=2**-10, atol=1e-5)


def test_axis_scaling_leaves_the_first_subset_and_needs_no_new_centre(prepared, tmp_path, autoencoder):
    augment = Augmentation(axis_scale=(0.5, 2.0), rotation="none")
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "plain", SETTINGS)
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "scaled", SETTINGS, augment=augment)
    plain, scaled = LatentCache(tmp_path / "plain"), LatentCache(tmp_path / "scaled")
    for index in range(len(plain)):
        assert np.array_equal(plain.latents(index, 0)[0], scaled.latents(index, 0)[0])
        assert not np.allclose(plain.latents(index, 1)[0], scaled.latents(index, 1)[0], atol=1e-2)
        assert plain.frame(index).scale == scaled.frame(index).scale


def test_bad_shapes_are_listed_with_their_reason_and_stop_nothing(prepared, tmp_path, autoencoder):
    refused = encode(autoencoder, Partly(prepared), tmp_path / "out", SETTINGS)
    assert [shape.id for shape in refused] == ["box1", "box4"]
    with (tmp_path / "out" / "refused.csv").open() as file:
        reasons = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {"box1": "its shard is missing.", "box4": "its latents are not finite in float16"}
    cache = LatentCache(tmp_path / "out")
    assert cache.ids == ["box0", "box2", "box3", "box5", "box6"]
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "whole", SETTINGS)
    whole = LatentCache(tmp_path / "whole")
    for index, id in enumerate(cache.ids):
        assert np.array_equal(cache.latents(index, 2)[1], whole.latents(whole.ids.index(id), 2)[1])


def test_refused_shapes_are_tried_again_only_when_asked(prepared, tmp_path, autoencoder, payload):
    encode(autoencoder, Partly(prepared), tmp_path / "out", SETTINGS)
    refused = encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    assert [shape.id for shape in refused] == ["box1", "box4"]
    assert encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS, retry_refused=True) == []
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "whole", SETTINGS)
    assert payload(tmp_path / "out") == payload(tmp_path / "whole")


def test_a_cache_of_shapes_that_the_data_lack_is_not_continued(prepared, tmp_path, autoencoder):
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    fewer = PreparedSurfaces(prepared)
    fewer.ids = [f"other{id}" for id in fewer.ids]
    with pytest.raises(ValueError, match=r"holds 7 shape\(s\) that are not in the data, for example 'box0'"):
        encode(autoencoder, fewer, tmp_path / "out", SETTINGS)


@pytest.mark.parametrize("column", ["id", "shard"])
@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\nb", "x" * 300])
def test_a_hostile_name_in_the_index_is_refused_with_its_row(prepared, tmp_path, autoencoder, column, name):
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    index = tmp_path / "out" / "index.csv"
    with index.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1][column] = name
    with index.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ValueError, match=r"index\.csv: row 2: "):
        LatentCache(tmp_path / "out")


def test_nothing_is_written_or_removed_through_a_link(prepared, tmp_path, autoencoder):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim.safetensors").write_text("keep")
    encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    for shard in (tmp_path / "out" / "shards").iterdir():
        shard.unlink()
    (tmp_path / "out" / "shards").rmdir()
    (tmp_path / "out" / "shards").symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="leads out of the folder|is a symbolic link"):
        encode(autoencoder, PreparedSurfaces(prepared), tmp_path / "out", SETTINGS)
    assert [path.read_text() for path in (tmp_path / "outside").iterdir()] == ["keep"]
