"""`lagem report` shows what a folder holds, and a folder written by a stranger does no harm."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from lagem.cli import main
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.reports.evaluation import evaluation_sections
from lagem.reports.page.content import Gallery, Image, Row, Section, Table
from lagem.reports.reconstructions import ShapeSettings, level_title, varied
from lagem.reports.report import report
from lagem.reports.run import run_sections
from lagem.reports.samples import samples_sections
from lagem.reports.study import study_sections

FAST = ShapeSettings(resolution=16)
LEVELS = ["input", "Z3", "Z3 + Z2", "all levels"]


@pytest.fixture
def copied(results, tmp_path):
    """A function that copies one folder in `results`, given its name, so that a test can change the copy."""
    return lambda name: shutil.copytree(results / name, tmp_path / name)


def rows_of(sections: list[Section]) -> list[Row]:
    return [block for section in sections for block in section.blocks if isinstance(block, Row)]


def tables_of(sections: list[Section]) -> list[list[list[str]]]:
    return [block.rows for section in sections for block in section.blocks if isinstance(block, Table)]


def text_of(page: Path) -> str:
    return re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)


def write_run(folder: Path, weights: Path, data: dict) -> Path:
    """Write those files of a run of `lagem fit` that a report reads."""
    (folder / "logs" / "version_0").mkdir(parents=True)
    (folder / "logs" / "version_0" / "metrics.csv").write_text("epoch,step,train/loss\n0,1,0.5\n0,2,0.25\n")
    start = {"time": "2026-01-01", "command": "lagem fit --config x.yaml", "versions": {"torch": "2.13"}, "slurm": {}}
    (folder / "run.json").write_text(json.dumps([start, start]))
    model = {"class_path": "lagem.modules.AutoencoderModule"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed_everything": 0, "model": model, "data": data}))
    shutil.copy(weights, folder / "autoencoder.safetensors")
    return folder


@pytest.fixture
def weights(results) -> Path:
    return results / "weights" / "autoencoder.safetensors"


def procedural(**settings: object) -> dict:
    return {
        "class_path": "lagem.data_modules.ProceduralDataModule",
        "init_args": {"num_val": 16, **settings},
    }


def test_a_run_shows_its_curves_and_its_validation_shapes_level_by_level(weights, tmp_path):
    run = write_run(tmp_path / "run", weights, procedural())
    training, shapes = run_sections(run, FAST)
    assert [type(block).__name__ for block in training.blocks] == ["Facts", "Charts"]
    assert ("starts", "2") in training.blocks[0].entries
    rows = rows_of([shapes])
    assert len(rows) == 8 and rows[0].title == "val-table-000000"
    assert all([view.title for view in row.views] == LEVELS for row in rows)
    assert all(row.views[0].shape.size == "10,000 points" for row in rows)


def test_a_run_on_a_prepared_folder_shows_its_shapes(results, weights, tmp_path):
    data = {"class_path": "lagem.data_modules.OccupancyDataModule"}
    root = str(results / "toys" / "out")
    run = write_run(tmp_path / "run", weights, data | {"init_args": {"root": root}})
    assert [row.title for row in rows_of(run_sections(run, FAST))] == ["again", "nearly", "torus"]


@pytest.mark.parametrize(
    "data",
    [
        {},
        procedural(num_val="many"),
        procedural(categories=["chair"]),
        {"class_path": "lagem.data_modules.OccupancyDataModule", "init_args": {"root": "s3://bucket/data"}},
        {"class_path": "lagem.data_modules.OccupancyDataModule", "init_args": {"root": "/etc"}},
        {"class_path": ["x"], "init_args": "y"},
    ],
)
def test_a_run_whose_data_are_not_here_shows_the_meshes_that_it_exported_last(data, weights, results, tmp_path):
    run = write_run(tmp_path / "run", weights, data)
    for step in (9, 10):
        shutil.copytree(results / "meshes", run / "meshes" / f"step_{step}")
    (run / "meshes" / "step_10" / "ball.ply").unlink()
    (gallery,) = [block for block in run_sections(run, FAST)[-1].blocks if isinstance(block, Gallery)]
    assert [view.title for view in gallery.views] == ["brick.ply", "torus.ply"]


def test_data_that_the_user_names_are_shown(results, weights, tmp_path):
    run = write_run(tmp_path / "run", weights, {})
    settings = ShapeSettings(resolution=16, data=str(results / "meshes"))
    rows = rows_of(run_sections(run, settings))
    assert [(row.title, row.views[0].shape.size) for row in rows] == [
        ("ball", "1,280 triangles"),
        ("brick", "12 triangles"),
        ("torus", "2,048 triangles"),
    ]


def test_an_evaluation_shows_its_table_with_intervals_and_its_shapes(results):
    first, *others = evaluation_sections(results / "evaluation", FAST)
    table = tables_of([first])[0]
    assert table[1][0] == "mean over shapes" and re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", table[1][2])
    rows = rows_of(others)
    assert sorted(row.title.split(":")[0] for row in rows) == ["again", "nearly", "torus"]
    assert all([view.title for view in row.views] == LEVELS for row in rows)


def test_the_shapes_of_an_evaluation_are_shown_only_if_they_are_those_that_were_evaluated(copied, results, weights):
    evaluation = copied("evaluation")
    card = json.loads((evaluation / "card.json").read_text())
    for field, words in {"weights": "weights are not on this", "data": "shapes are not on this"}.items():
        other = weights.with_name("stage_1.safetensors") if field == "weights" else results / "meshes"
        about = card["about"] | {field: str(other)}
        (evaluation / "card.json").write_text(json.dumps(card | {"about": about}))
        *_, shapes = evaluation_sections(evaluation, FAST)
        assert words in shapes.blocks[0].text and not rows_of([shapes])


def test_weights_that_are_not_there_are_refused_with_the_reason(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path), "--weights", str(tmp_path / "absent")])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and f"{tmp_path / 'absent'}: there is no such file" in line


def test_other_weights_or_shapes_than_the_evaluated_are_refused(results, weights):
    stage = weights.with_name("stage_1.safetensors")
    with pytest.raises(ValueError, match="not the weights that were evaluated"):
        evaluation_sections(results / "evaluation", ShapeSettings(weights=stage))
    with pytest.raises(ValueError, match="not the prepared folder that was evaluated"):
        evaluation_sections(results / "evaluation", ShapeSettings(data=str(results / "meshes")))


def test_meshes_of_an_evaluation_are_shown_if_the_user_names_them(results):
    assert not rows_of(evaluation_sections(results / "of_meshes", FAST))
    rows = rows_of(
        evaluation_sections(results / "of_meshes", ShapeSettings(resolution=16, data=str(results / "meshes")))
    )
    assert len(rows) == 3 and "12 triangles" in [row.views[0].shape.size for row in rows]


def test_samples_show_every_shape_or_why_there_is_none(copied):
    samples = copied("samples")
    table = (samples / "samples.csv").read_text().splitlines()
    table[2] = "1,7,chair,,,,,no node is inside"
    (samples / "samples.csv").write_text("\n".join(table))
    (section,) = samples_sections(samples, FAST)
    (gallery,) = [block for block in section.blocks if isinstance(block, Gallery)]
    assert [view.title for view in gallery.views] == ["chair 0000", "chair 0001", "chair 0002"]
    assert [view.shape is None for view in gallery.views] == [False, True, False]
    assert gallery.views[1].reason == "no node is inside" and list(gallery.views[1].notes) == ["seed 7"]


def test_an_evaluation_of_samples_has_the_tables_of_its_card(results):
    markdown = (results / "scores" / "generation.md").read_text()
    for rows in tables_of(evaluation_sections(results / "scores", FAST)):
        for row in rows:
            assert f"| {' | '.join(row)} |" in markdown


@pytest.mark.parametrize("study", ["levels", "sharing", "noise", "mixing"])
def test_a_study_has_the_table_of_its_card(study, results):
    markdown = (results / study / f"{study}.md").read_text()
    (table,) = tables_of(study_sections(results / study, FAST))
    assert len(table) > 1
    for row in table:
        assert f"| {' | '.join(row)} |" in markdown


def test_a_study_has_its_pictures_and_that_of_levels_its_shapes(results):
    (section,) = study_sections(results / "noise", FAST)
    assert [block.png for block in section.blocks if isinstance(block, Image)] == [
        (results / "noise" / "noise.png").read_bytes()
    ]
    assert len(rows_of(study_sections(results / "levels", FAST))) == 3


def test_a_picture_that_is_none_is_left_out_and_named(copied):
    noise = copied("noise")
    (noise / "noise.png").write_bytes(b"no picture")
    (section,) = study_sections(noise, FAST)
    expected = "noise.png is left out: it is not a picture in PNG format, or is damaged."
    assert section.blocks[-1].text == expected  # the error of Pillow would name an address in memory


def test_one_page_reports_everything_in_a_folder_and_equal_folders_give_equal_bytes(copied, results):
    folder = copied("samples")
    shutil.copytree(results / "noise", folder, dirs_exist_ok=True)
    pages = []
    for _ in range(2):
        main(["report", str(folder), "--resolution", "16"])
        pages.append((folder / "report.html").read_bytes())
    assert pages[0] == pages[1]
    assert re.findall(r"<h2>(.*?)</h2>", pages[0].decode()) == ["Samples", "Noise"]


def test_texts_of_a_strangers_folder_are_only_shown(copied):
    evaluation = copied("evaluation")
    attack = "<script>alert(1)</script>"
    card = json.loads((evaluation / "card.json").read_text())
    card["scores"][0] |= {"id": attack, "category": attack, "reason": attack}
    card["about"] |= {"truth": attack}
    (evaluation / "card.json").write_text(json.dumps(card))
    metrics = evaluation / "logs" / "version_0" / "metrics.csv"
    metrics.parent.mkdir(parents=True)
    metrics.write_text(f"step,{attack},train/{attack}\n1,2,3\n")
    page = report(evaluation, None, FAST)
    assert attack not in page.read_text()
    assert text_of(page).count("&lt;script&gt;alert(1)") >= 6


@pytest.mark.parametrize("name", ["logs/version_0/metrics.csv", "run.json", "config.yaml", "meshes/step_1/ball.ply"])
def test_a_link_out_of_the_folder_is_not_followed(name, weights, results, tmp_path):
    run = write_run(tmp_path / "run", weights, {})
    shutil.copytree(results / "meshes", run / "meshes" / "step_1")
    shutil.move(run / name, tmp_path / "secret")
    (run / name).symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="leads out of the folder"):
        report(run, None, FAST)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("card.json", "{}"),
        ("card.json", '{"about": {}, "scores": []}'),
        ("card.json", '{"about": {}, "scores": [{"id": "a", "category": "b"}]}'),
        ("generation.json", '{"about": {"points": 1}}'),
        ("levels.json", '{"about": {}, "variants": []}'),
        ("noise.json", '{"about": {}, "results": [{"level": 1}]}'),
        ("mixing.json", "[]"),
        ("run.json", '{"command": 1}'),
        ("run.json", '[{"command": 1}]'),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(name, text, tmp_path, capsys):
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path)])
    line = capsys.readouterr().err
    assert stop.value.code == 2 and line.startswith("lagem: error: ") and line.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("name", "words"), [("empty", "holds no run"), ("absent", "no such folder")])
def test_a_folder_without_results_is_refused(name, words, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=words):
        report(tmp_path / name, None, FAST)


@pytest.mark.parametrize("named", [{"weights": Path("absent.ckpt")}, {"data": "procedural:0+8"}])
def test_weights_or_data_that_are_not_used_are_refused(named, results, tmp_path):
    with pytest.raises(ValueError, match="reconstructs no shapes, so it does not use --weights and --data"):
        report(results / "samples", tmp_path / "page.html", ShapeSettings(**named))


def test_levels_are_named_by_their_latents():
    assert [level_title(finest, 3) for finest in (3, 2, 1)] == LEVELS[1:]
    assert level_title(1, 1) == "reconstruction"


def test_chosen_shapes_are_of_as_many_categories_as_there_are():
    shapes = ProceduralSurfaces(num_train=0, num_val=64, seed=0)
    chosen = varied(shapes, range(64), 8)
    assert len({shapes.categories[index] for index in chosen}) == 8
    assert varied(shapes, range(3, 5), 8) == [3, 4] and varied(shapes, [], 8) == []
    assert varied(shapes, [0, 8, 16, 1], 3) == [0, 1, 8]
