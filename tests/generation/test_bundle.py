"""A bundle holds an autoencoder and all stages that belong to it; a file that does not fit is named in the error."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

import small_cascade as small
from hostile_names import HOSTILE
from lagem.cli import main
from lagem.generation.bundle import load_bundle
from lagem.generation.settings import SurfaceSettings
from lagem.levels import LevelSpec
from lagem.pretrained import CASCADES, pretrained_cascade
from lagem.storage.checked.digest import sha256_of
from lagem.weights.autoencoder import load_autoencoder, save_autoencoder
from lagem.weights.stage import load_stage, save_stage


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> list[Path]:
    """Write the weights of a cascade, and its bundle into the folder `cascade`; return the paths of the weights."""
    files = small.write_cascade(tmp_path_factory.mktemp("made"))
    write(files, files[0].parent / "cascade")
    return files


@pytest.fixture
def files(made, tmp_path) -> list[Path]:
    """Return copies of the weights of a cascade: the autoencoder, then the stages of levels 3, 2 and 1."""
    return [Path(shutil.copy(path, tmp_path)) for path in made]


@pytest.fixture
def bundle(made, tmp_path) -> Path:
    return Path(shutil.copytree(made[0].parent / "cascade", tmp_path / "cascade"))


def write(files, output: Path, *options: str) -> None:
    main(["bundle", *map(str, files), "--output", str(output), *options])


def refusal(capsys, arguments: list[str]) -> str:
    """Run a command that must fail with exit code 2 and one line, and return the line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def write_refusal(capsys, files, output: Path) -> str:
    line = refusal(capsys, ["bundle", *map(str, files), "--output", str(output)])
    assert not output.exists()
    return line


def read_refusal(capsys, bundle: Path) -> str:
    return refusal(capsys, ["generate", str(bundle), "--category", "chair", "--output", str(bundle / "out")])


def test_a_bundle_holds_the_weights_of_its_files(files, bundle):
    generator = load_bundle(bundle)
    sources = [load_autoencoder(files[0])[0], *(load_stage(path)[0] for path in files[:0:-1])]
    found = [generator.codec.autoencoder, *(denoiser.backbone for denoiser in generator.denoisers)]
    for source, network in zip(sources, found, strict=True):
        torch.testing.assert_close(dict(network.state_dict()), dict(source.state_dict()), atol=0, rtol=0)
    assert generator.category_names == small.CATEGORIES
    assert [spec.level for spec in generator.specs] == [1, 2, 3]


def test_stages_may_come_in_any_order(files, bundle, tmp_path):
    write([files[0], files[2], files[3], files[1]], tmp_path / "other")
    for path in bundle.iterdir():
        assert (tmp_path / "other" / path.name).read_bytes() == path.read_bytes()


def test_half_precision_is_half_the_size_and_nearly_the_same_samples(files, bundle, tmp_path):
    write(files, tmp_path / "half", "--half")
    whole, half = (sum(path.stat().st_size for path in folder.iterdir()) for folder in (bundle, tmp_path / "half"))
    assert half < 0.55 * whole
    coarse = SurfaceSettings(resolution=16)
    pair = [load_bundle(x).generate(category="mug", count=1, surface=coarse) for x in (bundle, tmp_path / "half")]
    for one, other in zip(*(shapes[0].latents for shapes in pair), strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.05, rtol=0)


def test_a_stage_of_another_autoencoder_is_refused_by_name(files, tmp_path, capsys):
    _, spec = load_stage(files[2])
    other = small.write_stage(tmp_path / "other", dataclasses.replace(spec, autoencoder="0123456789abcdef"))
    line = write_refusal(capsys, [files[0], files[1], other, files[3]], tmp_path / "cascade")
    assert str(other) in line and "0123456789abcdef" in line


def test_an_autoencoder_with_other_weights_is_refused(files, tmp_path, capsys):
    save_autoencoder(small.make_autoencoder(seed=1), tmp_path / "other.safetensors", num_surface_points=64)
    line = write_refusal(capsys, [tmp_path / "other.safetensors", *files[1:]], tmp_path / "cascade")
    assert f"the stage {files[1]} does not belong to this autoencoder" in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"category_names": ("a", *small.CATEGORIES[1:])}, "has category_names ('a',"),
        ({"num_categories": 9, "category_names": (*small.CATEGORIES, "zebra")}, "has num_categories 9"),
        ({"num_categories": None, "condition_dim": 7, "category_names": ()}, "has num_categories None"),
        ({"levels": (LevelSpec(16, 4, depth=2), *small.LEVELS[1:])}, "made for the levels"),
    ],
)
def test_a_stage_that_differs_from_the_others_is_refused_by_name(files, tmp_path, capsys, changes, expected):
    _, spec = load_stage(files[3])
    odd = small.write_stage(tmp_path / "odd", dataclasses.replace(spec, **changes))
    line = write_refusal(capsys, [*files[:3], odd], tmp_path / "cascade")
    assert str(odd) in line and expected in line


def test_every_level_has_exactly_one_stage(files, tmp_path, capsys):
    assert "no stage makes level 2;" in write_refusal(capsys, [*files[:2], files[3]], tmp_path / "cascade")
    shutil.copy(files[1], tmp_path / "again.safetensors")
    line = write_refusal(capsys, [*files, tmp_path / "again.safetensors"], tmp_path / "cascade")
    assert f"{files[1]} and {tmp_path / 'again.safetensors'} both make level 3" in line
    assert "both make level 3" in write_refusal(capsys, [*files, files[1]], tmp_path / "cascade")


def test_files_of_the_wrong_kind_are_refused(files, tmp_path, capsys):
    assert str(files[1]) in write_refusal(capsys, files[1:], tmp_path / "cascade")
    assert str(files[0]) in write_refusal(capsys, [files[0], *files[:3]], tmp_path / "cascade")


def test_a_bundle_is_not_written_over(files, bundle, capsys):
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    assert "already exists" in refusal(capsys, ["bundle", *map(str, files), "--output", str(bundle)])
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


@pytest.mark.parametrize("name", ["model.safetensors", "level_1.safetensors", "level_3.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "removed"])
def test_a_damaged_file_is_named_in_one_line(bundle, capsys, name, damage):
    content = bytearray((bundle / name).read_bytes())
    content[-5] ^= 1
    (bundle / name).write_bytes(content if damage == "altered" else content[: len(content) // 2])
    if damage == "removed":
        (bundle / name).unlink()
    assert str(bundle / name) in read_refusal(capsys, bundle)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": "lagem-weights-1"}', '{"format": "lagem-weights-9"}']
)
def test_a_damaged_list_of_contents_is_named_in_one_line(bundle, capsys, text):
    (bundle / "config.json").write_text(text)
    assert str(bundle / "config.json") in read_refusal(capsys, bundle)


def test_a_folder_without_a_bundle_is_refused(tmp_path, capsys):
    absent, empty = tmp_path / "absent", tmp_path / "empty"
    empty.mkdir()
    assert f"there is no cascade '{absent}': give 'furniture' or 'meshes', a" in read_refusal(capsys, absent)
    assert "there is no config.json in it" in read_refusal(capsys, empty)
    assert "there is no config.json in it" in read_refusal(capsys, tmp_path)


def test_contents_that_name_too_few_files_do_not_hide_a_missing_one(bundle, capsys):
    contents = json.loads((bundle / "config.json").read_text())["sha256"]
    altered(bundle, sha256={name: digest for name, digest in contents.items() if name != "level_2.safetensors"})
    (bundle / "level_2.safetensors").unlink()
    assert "config.json: lacks the sha256 of level_2.safetensors" in read_refusal(capsys, bundle)


def altered(bundle: Path, **changes: object) -> None:
    """Change entries of a bundle's config.json; the value None removes an entry."""
    contents = {**json.loads((bundle / "config.json").read_text()), **changes}
    contents = {name: value for name, value in contents.items() if value is not None}
    (bundle / "config.json").write_text(json.dumps(contents))


def with_digests(bundle: Path) -> None:
    """Update the checksums in a bundle's config.json, as somebody who replaces a file deliberately would."""
    altered(bundle, sha256={path.name: sha256_of(path) for path in sorted(bundle.glob("*.safetensors"))})


@pytest.mark.parametrize("names", [[], small.CATEGORIES[1:], small.CATEGORIES[::-1], small.CATEGORIES[:1] * 2])
def test_other_categories_than_those_of_the_stages_are_refused(bundle, capsys, names):
    altered(bundle, category_names=list(names))
    assert f"{bundle / 'config.json'}: category_names is" in read_refusal(capsys, bundle)


@pytest.mark.parametrize("options", [[], ["--half"]], ids=["float32", "float16"])
@pytest.mark.parametrize("change", ["another", "disturbed"])
def test_another_autoencoder_is_refused_although_its_sha256_is_right(files, tmp_path, capsys, options, change):
    bundle = tmp_path / "cascade"
    write(files, bundle, *options)
    load_bundle(bundle)
    autoencoder, spec = load_autoencoder(bundle / "model.safetensors")
    if change == "another":
        autoencoder = small.make_autoencoder(seed=1)
    else:
        next(autoencoder.parameters()).data.view(-1)[0] += 0.25
    points, half = spec.num_surface_points, bool(options)
    save_autoencoder(autoencoder, bundle / "model.safetensors", num_surface_points=points, half=half)
    with_digests(bundle)
    assert f"the folder {bundle} does not belong to this autoencoder" in read_refusal(capsys, bundle)


def test_a_stage_of_another_autoencoder_is_refused_when_a_bundle_is_read(bundle, capsys):
    backbone, spec = load_stage(bundle / "level_2.safetensors")
    save_stage(backbone, dataclasses.replace(spec, autoencoder="0" * 16), bundle / "level_2.safetensors")
    with_digests(bundle)
    assert f"the stage {bundle / 'level_2.safetensors'} does not belong to this" in read_refusal(capsys, bundle)


def test_a_stage_under_the_name_of_another_is_refused(bundle, capsys):
    shutil.copy(bundle / "level_2.safetensors", bundle / "level_1.safetensors")
    with_digests(bundle)
    assert "level_1.safetensors: this stage makes level 2, not 1" in read_refusal(capsys, bundle)


@pytest.mark.parametrize("name", ["model.safetensors", "level_3.safetensors"])
@pytest.mark.parametrize("digest", [None, "", "0" * 64, 7])
def test_a_part_without_its_sha256_is_refused(bundle, capsys, name, digest):
    contents = json.loads((bundle / "config.json").read_text())["sha256"] | {name: digest}
    altered(bundle, sha256={key: value for key, value in contents.items() if value is not None})
    assert name in read_refusal(capsys, bundle)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_part_whose_name_is_a_path_is_refused(bundle, tmp_path, capsys, name):
    (tmp_path / "x").write_bytes(b"")
    contents = json.loads((bundle / "config.json").read_text())["sha256"]
    altered(bundle, sha256={**contents, name: sha256_of(tmp_path / "x")})
    assert f"{bundle / 'config.json'}: " in (line := read_refusal(capsys, bundle))
    assert "cannot be the name of a file" in line


def test_a_part_that_is_a_link_out_of_the_bundle_is_refused(bundle, tmp_path, capsys):
    (bundle / "level_1.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (bundle / "level_1.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    assert "'level_1.safetensors' leads out of the folder" in read_refusal(capsys, bundle)


def test_a_bundle_of_an_earlier_lagem_loads_if_its_fingerprint_can_be_computed_again(bundle):
    altered(bundle, autoencoder_as_stored=None)
    load_bundle(bundle)


def test_a_bundle_in_half_precision_without_the_fingerprint_of_what_it_stores_is_refused(files, tmp_path, capsys):
    write(files, tmp_path / "half", "--half")
    altered(tmp_path / "half", autoencoder_as_stored=None)
    line = read_refusal(capsys, tmp_path / "half")
    assert f"{tmp_path / 'half' / 'config.json'}: lacks the field autoencoder_as_stored" in line
    assert "Make the bundle again" in line and "`lagem bundle --half`" in line


@pytest.mark.parametrize("name", CASCADES)
def test_the_cascades_that_ship_name_the_fingerprint_of_what_they_store(name):
    contents = json.loads((pretrained_cascade(name) / "cascade.json").read_text())
    assert load_bundle(pretrained_cascade(name)).codec.fingerprint == contents["autoencoder_as_stored"]


def test_a_bundle_of_an_earlier_lagem_is_the_same_cascade(bundle, tmp_path):
    older = Path(shutil.copytree(bundle, tmp_path / "older"))
    altered(older, format="lagem-cascade-1", architecture=None)
    (older / "config.json").rename(older / "cascade.json")
    (older / "model.safetensors").rename(older / "autoencoder.safetensors")
    contents = json.loads((older / "cascade.json").read_text())
    contents["sha256"]["autoencoder.safetensors"] = contents["sha256"].pop("model.safetensors")
    (older / "cascade.json").write_text(json.dumps(contents))
    one, other = load_bundle(bundle), load_bundle(older)
    assert (one.codec.fingerprint, one.specs) == (other.codec.fingerprint, other.specs)
    (older / "autoencoder.safetensors").unlink()
    with pytest.raises(ValueError, match=r"autoencoder.safetensors: missing or damaged"):
        load_bundle(older)


def test_a_cascade_that_is_saved_is_the_bundle_of_its_files(bundle, files, tmp_path):
    load_bundle(bundle).save(tmp_path / "again")
    for path in bundle.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    write(files, tmp_path / "half", "--half")
    load_bundle(tmp_path / "half").save(tmp_path / "half again", half=True)
    load_bundle(tmp_path / "half again")


def test_a_folder_of_an_autoencoder_alone_is_no_cascade(files, tmp_path, capsys):
    write(files[:1], tmp_path / "codec")
    assert "config.json: holds an autoencoder without stages; load it with" in read_refusal(capsys, tmp_path / "codec")


def test_a_stage_comes_back_from_its_file_as_it_was(tmp_path):
    spec = small.make_spec(2, small.make_autoencoder(), max_coarser_sigma=0.3)
    backbone = spec.backbone()
    save_stage(backbone, spec, tmp_path / "stage.safetensors")
    loaded, found = load_stage(tmp_path / "stage.safetensors")
    assert found == spec
    torch.testing.assert_close(dict(loaded.state_dict()), dict(backbone.state_dict()), atol=0, rtol=0)
