"""Parts of an evaluation: whichever process scores a part, the card is that of a single run."""

from pathlib import Path

import pytest
import trimesh

from lagem.cli import main
from lagem.geometry.mesh import Mesh
from lagem.storage.parts import Part, locked

SETTINGS = ["--points", "300", "--resolution", "16"]


@pytest.fixture(scope="module")
def meshes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    for number in range(5):
        made = trimesh.creation.box((1, 0.3 + 0.1 * number, 0.5))
        Mesh(made.vertices, made.faces).save(folder / f"{number}.ply")
    (folder / "words.obj").write_text("no mesh")
    return folder


def evaluate(weights, meshes, out, *words):
    main(["evaluate", str(weights), str(meshes), "--output", str(out), *SETTINGS, *words])


def test_parts_then_the_whole_write_the_card_of_one_run(weights, meshes, tmp_path, capsys):
    evaluate(weights, meshes, tmp_path / "one")
    for part in ("1/3", "0/3"):
        evaluate(weights, meshes, tmp_path / "parts", "--part", part)
    assert not (tmp_path / "parts" / "card.json").exists()
    capsys.readouterr()
    evaluate(weights, meshes, tmp_path / "parts", "--status")
    assert capsys.readouterr().out == "6 shapes: 4 done, 0 refused, 2 missing\n"
    evaluate(weights, meshes, tmp_path / "parts")
    for name in ("card.json", "card.md", "scores.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    capsys.readouterr()
    evaluate(weights, meshes, tmp_path / "parts", "--status")
    assert capsys.readouterr().out == "6 shapes: 5 done, 1 refused, 0 missing\n"
    assert not list((tmp_path / "parts").glob(".scores*"))


def test_scores_with_other_settings_are_missing(weights, meshes, tmp_path, capsys):
    others = (["--points", "301"], ["--resolution", "17"], ["--seed", "1"], ["--surface-points", "9"])
    for part in (["--part", "0/1"], []):
        evaluate(weights, meshes, tmp_path, *part)
        for words, line in (
            ([], "5 done, 1 refused, 0 missing"),
            *((other, "0 done, 0 refused, 6 missing") for other in others),
        ):
            capsys.readouterr()
            evaluate(weights, meshes, tmp_path, "--status", *words)
            assert capsys.readouterr().out == f"6 shapes: {line}\n"


@pytest.mark.parametrize("damage", ["\0\0\n", '["5", {"reas\n', "7\n"])
def test_scores_before_a_damaged_line_of_a_journal_are_done(weights, meshes, tmp_path, capsys, damage):
    evaluate(weights, meshes, tmp_path, "--part", "0/2")
    (journal,) = tmp_path.glob(".scores*")
    with journal.open("a") as file:
        file.write(damage)
    (tmp_path / ".scores-1-2.jsonl").write_text(damage)
    capsys.readouterr()
    evaluate(weights, meshes, tmp_path, "--status")
    assert capsys.readouterr().out == "6 shapes: 3 done, 0 refused, 3 missing\n"


def test_the_whole_scores_only_what_no_part_scored(weights, meshes, tmp_path, monkeypatch):
    from lagem.evaluation.reconstruction import methods

    scored, original = [], methods.score_shape
    monkeypatch.setattr(
        methods, "score_shape", lambda truth, *a, **k: (scored.append(truth.id), original(truth, *a, **k))[1]
    )
    for words in (["--part", "0/2"], ["--part", "1/2"], []):
        evaluate(weights, meshes, tmp_path / "card", *words)
    assert sorted(scored) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(("held", "words"), [(None, []), (None, ["--part", "0/2"]), (Part(0, 2), ["--part", "0/2"])])
def test_two_runs_do_not_write_the_same_scores(weights, meshes, tmp_path, capsys, held, words):
    with locked(tmp_path, "lagem evaluate", held), pytest.raises(SystemExit) as stop:
        evaluate(weights, meshes, tmp_path, *words)
    assert stop.value.code == 2
    assert "is writing here; wait for it to end." in capsys.readouterr().err
