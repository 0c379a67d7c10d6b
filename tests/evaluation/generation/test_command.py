"""`lagem evaluate-generation` compares sets of equal size, and reports failures, categories and nearest shapes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from lagem.cli import main
from lagem.evaluation import neighbours
from lagem.evaluation.generation import run, sets, shapes, summary
from lagem.evaluation.generation.run import evaluate_generation
from lagem.generation.generator import GeneratedShape
from lagem.generation.report import GenerationReport
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.sources.surfaces import MeshSurfaces, PreparedSurfaces

FEW = ["--points", "64"]


@pytest.fixture(autouse=True)
def _cheap_intervals_and_searches(monkeypatch) -> None:
    """To save time, take intervals from 50 random halves of a set, and compare training shapes by 2,000 points."""
    monkeypatch.setattr(sets, "HALVES", 50)
    for module in (neighbours, shapes):
        monkeypatch.setattr(module, "COMPARED_POINTS", 2_000)


def ball(_: float) -> Mesh:
    made = trimesh.creation.icosphere(3)
    return Mesh(made.vertices, made.faces)


def box(height: float) -> Mesh:
    made = trimesh.creation.box((1, 1, height))
    return in_unit_sphere(Mesh(made.vertices, made.faces))


def rod(width: float) -> Mesh:
    made = trimesh.creation.box((width / 5, width / 5, 1))
    return in_unit_sphere(Mesh(made.vertices, made.faces))


def in_unit_sphere(mesh: Mesh) -> Mesh:
    return mesh.in_frame(Frame.of(mesh.vertices))


def generate(folder: Path, category: str | None, meshes: list[Mesh | None]) -> Path:
    """Write a folder as `lagem generate` does; a mesh that is None stands for a sample without a surface."""
    report = GenerationReport(folder, len(meshes), "ply", "z", about={})
    report.take(
        GeneratedShape(index, index, [torch.zeros(2, 2)], mesh, "" if mesh else "no node is inside", category)
        for index, mesh in enumerate(meshes)
    )
    return folder


def save(folder: Path, meshes: list[Mesh]) -> Path:
    """Write meshes to a folder whose name is their category; return its parent folder."""
    for index, mesh in enumerate(meshes):
        mesh.save(folder / f"{folder.name}{index:03d}.ply")
    return folder.parent


SIZES = np.linspace(0.5, 1, 6)


@pytest.fixture
def references(tmp_path) -> Path:
    save(tmp_path / "real" / "box", [box(size) for size in SIZES])
    return save(tmp_path / "real" / "rod", [rod(size) for size in SIZES])


def evaluated(tmp_path: Path, generated: Path, references: Path | str, *options: str) -> dict:
    out = tmp_path / "out"
    main(["evaluate-generation", str(generated), str(references), "--output", str(out), *FEW, *options])
    return json.loads((out / "generation.json").read_text())


def rows_of(tmp_path: Path, set: str) -> dict[str, dict[str, str]]:
    rows = csv.DictReader((tmp_path / "out" / "generation.csv").open())
    return {row["id"]: row for row in rows if row["set"] == set}


def test_the_card_holds_what_was_measured_and_no_journal_is_left(tmp_path, references, capsys):
    generate(tmp_path / "made" / "box", "box", [box(size) for size in SIZES])
    generate(tmp_path / "made" / "rod", "rod", [rod(size) for size in SIZES])
    card = evaluated(tmp_path, tmp_path / "made", references, "--emd-points", "32", "--workers", "2")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "generation.csv", "generation.json", "generation.md"
    ]  # fmt: skip
    overall = card["overall"]
    assert overall["means"]["mmd_emd"]["count"] == overall["means"]["mmd_chamfer"]["count"] == 12
    # two samplings of one surface of area A by 64 points are 2 A / (64 π) apart, and A is at most 8 (a cube's)
    assert 0 < overall["means"]["mmd_chamfer"]["value"] < 2 * 8 / (64 * np.pi)
    assert overall["means"]["diversity_ratio"]["value"] == pytest.approx(1, abs=0.1)
    for share in ("surface", "one_solid", "recognised", "classifier"):
        assert (overall["shares"][share]["successes"], overall["shares"][share]["count"]) == (12, 12)
    assert card["about"]["references"] == str(references) and card["about"]["compared of each set"] == 12
    assert set(card["left_out"]) == {"box", "rod"} and "fewer than 50" in card["left_out"]["box"]
    text = (tmp_path / "out" / "generation.md").read_text()
    assert "MMD-CD ×1000 | COV-CD ×100 | 1-NNA-CD ×100 | MMD-EMD ×100" in text
    assert "12 of 12, 100.0% [75.8, 100.0]" in text and "64 points per shape" in text
    printed = capsys.readouterr().out
    assert (
        "12 generated shapes and as many references" in printed
        and "categories without a row (6 to compare from each set, fewer than 50): box, rod" in printed
    )


def test_a_sample_without_a_surface_counts_as_a_failure_in_every_proportion(tmp_path, references, capsys):
    generate(tmp_path / "made" / "box", "box", [box(0.6), None, None])
    generate(tmp_path / "made" / "rod", "rod", [rod(0.6), rod(0.7)])
    card = evaluated(tmp_path, tmp_path / "made", references)
    for share in ("surface", "one_solid", "recognised"):
        assert (card["overall"]["shares"][share]["successes"], card["overall"]["shares"][share]["count"]) == (3, 5)
    assert card["failures"] == {"no node is inside": 2}
    assert "samples without a surface: 2 (no node is inside" in capsys.readouterr().out
    assert rows_of(tmp_path, "generated")["box/0001"]["reason"] == "no node is inside"
    assert card["overall"]["means"]["mmd_chamfer"]["count"] == 3  # 1 box and 2 rods, as among the made meshes
    assert [row["category"] for row in rows_of(tmp_path, "reference").values()] == ["box", "rod", "rod"]


def test_a_shape_of_another_category_than_requested_is_not_recognised(tmp_path, references):
    generate(tmp_path / "made" / "box", "box", [box(0.6), rod(0.6), rod(0.8), rod(1.0)])
    generate(tmp_path / "made" / "rod", "rod", [rod(size) for size in SIZES])
    card = evaluated(tmp_path, tmp_path / "made", references)
    assert card["overall"]["shares"]["recognised"]["successes"] == 7
    assert card["overall"]["shares"]["classifier"]["value"] == 1
    row = rows_of(tmp_path, "generated")["box/0001"]
    assert row["recognised_as"] == "rod" and row["nearest_reference"].startswith("rod__")


def test_more_samples_than_references_are_still_recognised_and_the_draw_is_keyed_by_the_seed(tmp_path, references):
    generate(tmp_path / "made" / "box", "box", [box(size) for size in np.linspace(0.5, 1, 9)])
    generate(tmp_path / "made" / "rod", "rod", [rod(0.8), None])
    drawn = []
    for seed in ("0", "0", "1"):
        card = evaluated(tmp_path, tmp_path / "made", references, "--seed", seed)
        rows = rows_of(tmp_path, "generated")
        drawn.append([id for id, row in rows.items() if row["compared"] == "True"])
        assert len(drawn[-1]) == 7 and card["overall"]["shares"]["recognised"]["successes"] == 10
        assert all(row["recognised_as"] == row["category"] for row in rows.values() if not row["reason"])
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_mesh_in_two_large_components_has_no_dominant_solid(tmp_path, references):
    made = trimesh.util.concatenate([
        trimesh.creation.box((0.5, 0.5, 0.5)),
        trimesh.creation.box((0.5, 0.5, 0.25), transform=trimesh.transformations.translation_matrix([0, 0, 0.6])),
    ])  # fmt: skip
    generated = generate(tmp_path / "made", "box", [box(1), Mesh(made.vertices, made.faces)])
    card = evaluated(tmp_path, generated, references)
    assert [float(row["dominant_share"]) for row in rows_of(tmp_path, "generated").values()] == pytest.approx(
        [1, 2 / 3], rel=1e-5
    )
    assert card["overall"]["shares"]["one_solid"]["successes"] == 1


def test_a_category_with_enough_references_is_reported_separately(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "LEAST_REFERENCES", 10)
    sizes = np.linspace(0.5, 1, 10)
    save(tmp_path / "real" / "box", [box(size) for size in sizes])
    references = MeshSurfaces(save(tmp_path / "real" / "rod", [rod(size) for size in sizes[1:]]))
    for name, maker in (("box", box), ("rod", rod)):
        generate(tmp_path / "made" / name, name, [maker(size) for size in sizes])
    found = evaluate_generation(tmp_path / "made", references, tmp_path / "out", points=16)
    assert list(found.by_category) == ["box"] and found.by_category["box"].means["coverage_chamfer"].count == 10
    assert found.by_category["box"].shares["recognised"].count == 10
    assert found.left_out == {"rod": "9 to compare from each set, fewer than 10"}
    assert found.overall.means["coverage_chamfer"].count == 19


def test_samples_without_a_category_are_compared_with_all_references(tmp_path, references):
    card = evaluated(tmp_path, generate(tmp_path / "made", None, [box(0.6), rod(0.6)]), references)
    assert card["overall"]["means"]["mmd_chamfer"]["count"] == 2 and card["left_out"] == {}
    assert "recognised" not in card["overall"]["shares"]


def test_the_nearest_training_shape_is_named_for_both_sets(tmp_path, with_training):
    generated = generate(tmp_path / "made", "toys", [ball(1), box(0.9), box(1)])
    card = evaluated(tmp_path, generated, with_training, "--train", str(with_training))
    made, real = rows_of(tmp_path, "generated"), rows_of(tmp_path, "reference")
    assert [made[id]["nearest_train"] for id in ("0000", "0001", "0002")] == ["ball", "cube", "cube"]
    assert {id: row["nearest_train"] for id, row in real.items()} == {
        "again": "ball", "nearly": "cube", "torus": real["torus"]["nearest_train"]
    }  # fmt: skip
    assert float(made["0001"]["nearest_train_distance"]) == pytest.approx(
        float(real["nearly"]["nearest_train_distance"]), rel=0.1
    )
    means = card["overall"]["means"]
    assert means["novelty_generated"]["count"] == means["novelty_references"]["count"] == 3
    assert means["novelty_generated"]["value"] < means["novelty_references"]["value"]  # because of the torus


def test_procedural_shapes_can_be_references_and_training_set(tmp_path):
    surfaces = ProceduralSurfaces(num_train=8, num_val=16, seed=0)
    generated = generate(tmp_path / "made", "table", [box(0.7), box(0.8)])
    card = evaluated(tmp_path, generated, "procedural:8+16", "--train", "procedural:8+16")
    real = rows_of(tmp_path, "reference")
    assert set(real) == {id for id in surfaces.ids if id.startswith("val-table")}
    assert all(row["nearest_train"].startswith("train-") for row in real.values())
    assert card["left_out"]["chair"] == "no generated shape with a surface, so in no score"


def test_a_killed_evaluation_resumes_and_writes_the_same_card(tmp_path, references, with_training, monkeypatch):
    generated = generate(tmp_path / "made", "box", [box(size) for size in SIZES[:3]])

    def evaluate(output):
        return evaluate_generation(
            generated,
            MeshSurfaces(references),
            output,
            points=64,
            emd_points=16,
            training=PreparedSurfaces(with_training),
        )

    whole = evaluate(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "summarise_generation", interrupted)
        evaluate(tmp_path / "killed")
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        ".chamfer.jsonl", ".emd.jsonl", ".nearest_train.jsonl"
    }  # fmt: skip
    for distances in (run.ChamferDistances, run.EarthMoversDistances):
        monkeypatch.setattr(distances, "__call__", interrupted)
    monkeypatch.setattr(run.TrainingSearch, "nearest", interrupted)
    assert evaluate(tmp_path / "killed") == whole
    for name in ("generation.csv", "generation.json", "generation.md"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def lead_to(made: Path, file: str) -> None:
    """Replace 0001.ply by `file` in the table of samples, and copy 0001.ply to the parent folder as other.ply."""
    (made.parent / "other.ply").write_bytes((made / "0001.ply").read_bytes())
    table = made / "samples.csv"
    table.write_text(table.read_text().replace("0001.ply", file))


def interrupted(*args):
    raise KeyboardInterrupt


def test_an_unreadable_reference_is_named_and_another_is_drawn(tmp_path, references):
    (references / "box" / "words.obj").write_text("no mesh")
    generated = generate(tmp_path / "made", "box", [box(size) for size in np.linspace(0.5, 1, 7)])
    card = evaluated(tmp_path, generated, references)
    assert card["overall"]["means"]["mmd_chamfer"]["count"] == 6
    assert list(card["unread"]) == ["box__words"] and "is not an obj statement" in card["unread"]["box__words"]


@pytest.mark.parametrize(
    ("prepare", "options", "words"),
    [
        (lambda made: (made / "samples.csv").unlink(), [], "no samples.csv in this folder or its subfolders"),
        (lambda made: (made / "samples.csv").write_text("index,file\n"), [], "missing: category, reason"),
        (lambda made: (made / "samples.csv").write_text("index,category,file,reason\nx,a,,\n"), [], "'x' is not"),
        (lambda made: (made / "samples.csv").write_text("index,category,file,reason\n"), [], "lists no samples"),
        (lambda made: lead_to(made, "../other.ply"), [], "samples.csv: row 2: '../other.ply' leads out of the folder"),
        (lambda made: lead_to(made, "/dev/null"), [], "samples.csv: row 2: '/dev/null' leads out of the folder"),
        (lambda made: lead_to(made, "x" * 300), [], "cannot be the path of a file"),
        (lambda made: (made / "0001.ply").unlink(), [], "names 0001.ply, which does not exist"),
        (lambda made: generate(made / "more", None, [ball(1)]), [], "1 of 3 samples have no category"),
        (lambda made: None, ["--points", "0"], "points and workers must be at least 1"),
        (lambda made: None, ["--emd-points", "65"], "EMD points from 0 to the number of points"),
        (lambda made: None, ["--train", "real"], "has no shape of split 'train'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, references, capsys, monkeypatch, prepare, options, words):
    monkeypatch.chdir(tmp_path)
    prepare(generate(tmp_path / "made", "box", [box(0.7), box(0.8)]))
    with pytest.raises(SystemExit) as stop:
        evaluated(tmp_path, tmp_path / "made", references, *options)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_references_without_a_generated_category_or_without_the_split_are_refused(tmp_path, references, with_training):
    generated = generate(tmp_path / "made", "sofa", [box(0.7)])
    with pytest.raises(ValueError, match="The generated shapes have sofa; the references have box, rod"):
        evaluate_generation(generated, MeshSurfaces(references), tmp_path / "out")
    with pytest.raises(ValueError, match="no shape of split 'test'; use one of their splits: train, val"):
        evaluate_generation(generated, PreparedSurfaces(with_training), tmp_path / "out", split="test")
    with pytest.raises(ValueError, match="trained on it. Use another split"):
        toys = generate(tmp_path / "toys", "toys", [box(0.7)])
        prepared = PreparedSurfaces(with_training)
        evaluate_generation(toys, prepared, tmp_path / "out", split="train", training=prepared)


def test_samples_that_all_lack_a_surface_are_one_line(tmp_path, references):
    generated = generate(tmp_path / "made", "box", [None, None])
    with pytest.raises(ValueError, match="no generated shape can be compared.*2 times no node is inside"):
        evaluate_generation(generated, MeshSurfaces(references), tmp_path / "out")
