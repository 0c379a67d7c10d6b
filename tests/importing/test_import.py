"""Folders in the published layouts become prepared folders with their splits, categories, captions and frames."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import small_run
from lagem.cli import main
from lagem.geometry.frame import Frame
from lagem.importing.layout import Layout
from lagem.importing.run import import_data
from lagem.importing.settings import ImportSettings
from lagem.preparation import pipeline
from lagem.prepared.shards import Shards, labelled
from lagem.storage.parts import Part
from preparation_here import run_in_this_process
from releases import Points, save_lagem, save_vecset

SMALL = ImportSettings(surface=4000, volume=8000, near=6000, inside=500, shapes_per_shard=3)
SPLITS = {"ring": "train", "slab": "train", "bumpy": "val", "legs": "test"}


def content(root: Path) -> dict[str, bytes]:
    """Return those files of a prepared folder whose content must be the same however the folder was made."""
    paths = [root / "index.csv", root / "format.json", *sorted((root / "shards").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture
def vecset(tmp_path: Path, boxes: dict[str, Points]) -> Path:
    for name, points in boxes.items():
        save_vecset(tmp_path / "release", SPLITS[name], "chair" if name != "slab" else "table", name, points)
    return tmp_path / "release"


@pytest.fixture
def lagem(tmp_path: Path, spheres: dict[str, Points]) -> Path:
    for number, (name, points) in enumerate(spheres.items()):
        save_lagem(tmp_path / "release", SPLITS[name], f"000-00{number}", name, f"a {name}, white", points)
    return tmp_path / "release"


@pytest.mark.usefixtures("in_this_process")
def test_the_release_of_3dilg_keeps_its_splits_and_categories(vecset: Path, tmp_path: Path):
    import_data("vecset", vecset, tmp_path / "data", SMALL)
    shards = Shards(tmp_path / "data")
    found = {
        id: (category, split) for id, category, split in zip(shards.ids, shards.categories, shards.splits, strict=True)
    }
    assert found == {
        "03001627__ring": ("chair", "train"),
        "04379243__slab": ("table", "train"),
        "03001627__bumpy": ("chair", "val"),
        "03001627__legs": ("chair", "test"),
    }
    assert shards.up == "y"


@pytest.mark.usefixtures("in_this_process")
def test_the_surface_may_be_in_the_folder_that_the_archives_have(vecset: Path, tmp_path: Path):
    (vecset / "ShapeNetV2_watertight").rename(vecset / "ShapeNetV2_surface")
    import_data("vecset", vecset, tmp_path / "data", SMALL)
    assert len(Shards(tmp_path / "data")) == 4


@pytest.mark.usefixtures("in_this_process")
def test_the_release_of_lagem_keeps_its_splits_and_captions(lagem: Path, tmp_path: Path):
    import_data("lagem", lagem, tmp_path / "data", SMALL)
    shards = Shards(tmp_path / "data")
    assert dict(zip(shards.ids, shards.splits, strict=True)) == SPLITS
    with (tmp_path / "data" / "captions.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["id", "caption"], *([id, f"a {id}, white"] for id in sorted(SPLITS))]


@pytest.mark.usefixtures("in_this_process")
def test_labels_and_frame_of_lagem_are_those_of_the_release(lagem: Path, spheres: dict[str, Points], tmp_path: Path):
    import_data("lagem", lagem, tmp_path / "data", SMALL)
    shards = Shards(tmp_path / "data")
    for index, id in enumerate(shards.ids):
        frame, given = shards.frame(index), spheres[id]
        np.testing.assert_allclose(frame.center, given.frame.center, atol=1e-6)
        assert frame.scale == pytest.approx(given.frame.scale)
        points, inside = labelled(shards, index, "near")
        gap = np.linalg.norm(points[:300, None] - given.near[None].astype(np.float32), axis=2)
        nearest = gap.argmin(axis=1)
        assert gap.min(axis=1).max() < 1e-4
        assert ((given.near_sdf[nearest] < 0) == inside[:300]).all()


@pytest.mark.usefixtures("in_this_process")
def test_other_npz_files_are_read_by_a_mapping(tmp_path: Path, boxes: dict[str, Points]):
    """The points are float32, in a box of another size and place. A fourth column holds distances, positive inside."""
    for name, points in boxes.items():
        (tmp_path / "npz" / SPLITS[name]).mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            tmp_path / "npz" / SPLITS[name] / f"{name}.npz",
            cloud=(points.surface * 3 + 1).astype(np.float32),
            towards=points.normals.astype(np.float32),
            far=np.column_stack([points.volume * 3 + 1, -points.volume_sdf * 3]).astype(np.float32),
            close=np.column_stack([points.near * 3 + 1, -points.near_sdf * 3]).astype(np.float32),
        )
    (tmp_path / "mine.yaml").write_text(
        "surface: cloud\nnormals: towards\nvolume_points: far\nnear_points: close\nframe: box\n"
        "sign: positive_inside\ndtype: float32\nup: z\n"
    )
    import_data(str(tmp_path / "mine.yaml"), tmp_path / "npz", tmp_path / "data", SMALL)
    shards = Shards(tmp_path / "data")
    found = dict(zip(shards.ids, shards.splits, strict=True))
    assert found == {f"{split}__{name}": split for name, split in SPLITS.items()}
    ring = boxes["ring"]
    frame = shards.frame(shards.ids.index("train__ring"))
    assert frame.scale == pytest.approx(Frame.of(ring.surface * 3 + 1).scale, rel=1e-3)


@pytest.mark.usefixtures("in_this_process")
def test_packed_bits_give_the_same_shards_as_booleans(tmp_path: Path, boxes: dict[str, Points]):
    common = dict(surface="s", volume_points="v", volume_labels="vo", near_points="n", near_labels="nl")
    points = boxes["ring"]
    for kind, pack in (("bits", np.packbits), ("bool", lambda labels: labels)):
        (tmp_path / kind).mkdir()
        arrays = dict(s=points.surface, v=points.volume, n=points.near)
        np.savez(tmp_path / kind / "ring.npz", **arrays, vo=pack(points.volume_sdf < 0), nl=pack(points.near_sdf < 0))
        text = "".join(f"{key}: {value}\n" for key, value in common.items())
        (tmp_path / f"{kind}.yaml").write_text(f"{text}frame: box\nsign: occupancy\nlabel_dtype: {kind}\n")
        import_data(str(tmp_path / f"{kind}.yaml"), tmp_path / kind, tmp_path / f"{kind}-data", SMALL)
    bits, booleans = (Shards(tmp_path / f"{kind}-data") for kind in ("bits", "bool"))
    for pool in ("volume_inside", "near_outside", "surface_points"):
        np.testing.assert_array_equal(bits.read(0, pool), booleans.read(0, pool))


@pytest.mark.usefixtures("in_this_process")
def test_a_damaged_shape_is_refused_and_the_others_are_imported(vecset: Path, boxes: dict[str, Points], tmp_path: Path):
    save_vecset(vecset, "train", "chair", "bad", boxes["ring"], vol_label=boxes["ring"].volume_sdf > 0)
    save_vecset(vecset, "train", "chair", "short", boxes["ring"], near_label=np.zeros(100, dtype=bool))
    (vecset / "ShapeNetV2_point" / "03001627" / "train.lst").open("a").write("missing\n")
    records = import_data("vecset", vecset, tmp_path / "data", SMALL)
    reasons = {record.id: record.reason for record in records if record.status == "refused"}
    assert set(reasons) == {"03001627__bad", "03001627__short", "03001627__missing"}
    assert "flipped" in reasons["03001627__bad"]
    assert "100 labels for 8000 points" in reasons["03001627__short"]
    assert "no file" in reasons["03001627__missing"]
    assert len(Shards(tmp_path / "data")) == 4


@pytest.mark.usefixtures("in_this_process")
def test_parts_and_repeated_calls_give_the_bytes_of_one_call(vecset: Path, tmp_path: Path):
    import_data("vecset", vecset, tmp_path / "once", SMALL)
    import_data("vecset", vecset, tmp_path / "parts", SMALL, part=Part(1, 3))
    for path in (tmp_path / "parts" / "shapes").glob("*.json"):  # killed before the record was written
        path.unlink()
        break
    import_data("vecset", vecset, tmp_path / "parts", SMALL)
    import_data("vecset", vecset, tmp_path / "parts", SMALL)
    assert content(tmp_path / "once") == content(tmp_path / "parts")


def test_child_processes_give_the_bytes_of_this_process(vecset: Path, tmp_path: Path):
    import_data("vecset", vecset, tmp_path / "there", SMALL, workers=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run_in_processes", run_in_this_process)
        import_data("vecset", vecset, tmp_path / "here", SMALL)
    assert content(tmp_path / "here") == content(tmp_path / "there")


@pytest.mark.usefixtures("in_this_process")
def test_another_layout_does_not_enter_the_same_folder(vecset: Path, lagem: Path, tmp_path: Path):
    import_data("vecset", vecset, tmp_path / "data", SMALL)
    with pytest.raises(ValueError, match="use the same options as before, or another --output"):
        import_data("lagem", lagem, tmp_path / "data", SMALL)
    with pytest.raises(ValueError, match="use the same options as before, or another --output"):
        import_data("vecset", vecset, tmp_path / "data", replace(SMALL, near=100))


def test_fit_evaluate_and_encode_work_on_an_import(vecset: Path, tmp_path: Path, in_this_process: None):
    data = tmp_path / "data"
    import_data("vecset", vecset, data, SMALL)
    main(small_run.fit_on_prepared(data, tmp_path / "run", steps=2))
    (checkpoint, *_) = (tmp_path / "run").rglob("last.ckpt")
    scores = tmp_path / "scores"
    sizes = ["--resolution", "16", "--points", "500"]
    main(["evaluate", str(checkpoint), str(data), "--split", "test", "--output", str(scores), *sizes])
    assert "03001627__legs" in next(scores.rglob("*.csv")).read_text()
    main(["encode", str(checkpoint), str(data), "--output", str(tmp_path / "latents"), "--subsets", "1"])
    assert (tmp_path / "latents" / "index.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("surface: a\n", "lacks volume_points, near_points, frame, sign"),
        ("surface: a\nvolume_points: b\nnear_points: c\nframe: cube\nsign: occupancy\n", "frame is 'cube'"),
        ("surface: a\nvolume_points: b\nnear_points: c\nframe: box\nsign: yes\n", "sign is True"),
        (
            "surface: a\nvolume_points: b\nnear_points: c\nframe: box\nsign: occupancy\nspeed: 1\n",
            "'speed' is not a key",
        ),
        ("surface: a\nvolume_points: b\nnear_points: c\nframe: box\nsign: occupancy\ntruncation: 1\n", "truncation"),
        ("surface: a\nvolume_points: b\nnear_points: c\nframe: box\nsign: occupancy\nscale: s\n", "center and scale"),
    ],
)
def test_a_wrong_mapping_is_refused_in_one_line(text: str, message: str, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as refusal:
        Layout.read(tmp_path / "mine.yaml")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", ".hidden", "a" * 300])
def test_a_list_names_no_file_outside_of_its_folder(name: str, vecset: Path, tmp_path: Path):
    (vecset / "ShapeNetV2_point" / "03001627" / "train.lst").write_text(f"ring\n{name}\n")
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        import_data("vecset", vecset, tmp_path / "data", SMALL)


def test_an_id_in_two_splits_is_refused(vecset: Path, tmp_path: Path):
    shutil.copy(
        vecset / "ShapeNetV2_point" / "03001627" / "train.lst", vecset / "ShapeNetV2_point" / "03001627" / "val.lst"
    )
    with pytest.raises(ValueError, match="twice, as train .* and val"):
        import_data("vecset", vecset, tmp_path / "data", SMALL)
