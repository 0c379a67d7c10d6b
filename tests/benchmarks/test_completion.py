"""Tests of benchmarks/completion.py: the error of a completed shape, and the table of results for a tiny cascade."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import small_cascade as small
from lagem.generation.bundle import write_bundle
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.weights.fingerprint import encoder_of, fingerprint_of

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "completion.py"
sys.path.insert(0, str(FILE.parent))
SHAPES = ProceduralSurfaces(num_train=4, num_val=4, seed=0)


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("completion_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_true_shape_has_almost_no_error_and_its_part_alone_a_large_one(benchmark):
    shape = benchmark.partly_seen(SHAPES, 6, seed=0)
    whole = SHAPES.draw(6, 12_288, np.random.default_rng(1))
    assert shape.seen.mean() == pytest.approx(1 / 3, abs=0.001)
    assert shape.error(shape.frame.to_unit(whole)) < 0.05  # twice the distance of two samples of one surface
    assert shape.error(shape.part) > 0.1


def test_what_is_added_to_the_seen_part_alone_does_not_count(benchmark):
    shape = benchmark.partly_seen(SHAPES, 4, seed=0)
    whole = shape.frame.to_unit(SHAPES.draw(4, 12_288, np.random.default_rng(1)))
    assert shape.error(np.concatenate([whole, shape.part])) < shape.error(whole) + 0.02


def test_retrieval_of_a_training_shape_finds_it(benchmark):
    retrieval = benchmark.Retrieval(SHAPES, candidates=2, seed=0)
    for index in range(2):
        shape = benchmark.partly_seen(SHAPES, index, seed=0)
        found = retrieval.nearest(shape.part)
        best, frame = next(iter(found.items()))
        assert SHAPES.ids[best] == shape.id and shape.error(retrieval.points_of(best, frame)) < 0.06
        assert shape.error(retrieval.mean_of({best: frame})) < 0.06
        assert shape.error(retrieval.mean_of(found)) > 0.06  # the two training shapes are of different categories


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascade")
    changes = {"num_categories": None, "category_names": (), "condition_dim": 64}
    encoder = encoder_of(fingerprint_of(small.make_autoencoder()))
    autoencoder, *stages = small.write_cascade(folder, **changes, encoder=encoder)
    return write_bundle(autoencoder, stages, folder / "cascade")


@pytest.mark.slow
def test_the_table_has_all_sides_and_their_paired_differences(benchmark, bundle, tmp_path, monkeypatch):
    given = [str(bundle), "procedural:4+4", "--skip", "1", "--count", "2", "--samples", "1", "--resolution", "24"]
    monkeypatch.setattr("sys.argv", ["completion.py", *given, "--output", str(tmp_path / "out")])
    benchmark.main()
    shapes = json.loads((tmp_path / "out" / "completion.json").read_text())["shapes"]
    assert [shape["id"] for shape in shapes] == SHAPES.ids[5:7]
    table = (tmp_path / "out" / "completion.md").read_text()
    difference = np.mean([shape["completion"] - shape["retrieval"] for shape in shapes])
    assert f"completion - retrieval | {100 * difference:.2f} [" in table
    assert (tmp_path / "out" / "completion.png").exists()


def test_a_run_measures_what_is_missing_and_each_part_its_own_shapes(benchmark, bundle, tmp_path, monkeypatch, capsys):
    given = [str(bundle), "procedural:4+4", "--count", "4", "--output", str(tmp_path / "out")]
    done: list[str] = []

    def measured(generator, retrieval, shape, args):
        done.append(shape.id)
        clouds = 4 * [shape.points[:50].tolist()]
        return {
            "id": shape.id,
            "retrieved": "x",
            "completion": 0.1,
            "retrieval": 0.2,
            "mean of retrieved shapes": 0.25,
            "reconstruction": 0.3,
            "clouds": clouds,
        }

    monkeypatch.setattr(benchmark, "measured", measured)

    def run(*more: str) -> list[str]:
        done.clear()
        monkeypatch.setattr("sys.argv", ["completion.py", *given, *more])
        benchmark.main()
        return list(done)

    ids = SHAPES.ids[4:]
    assert run("--part", "1/2") == ids[1::2] and run("--part", "1/2") == []
    (tmp_path / "out" / "shapes" / f"{ids[3]}.json").unlink()
    assert not (tmp_path / "out" / "completion.md").exists()
    assert run() == [ids[0], ids[2], ids[3]] and (tmp_path / "out" / "completion.md").exists()
    with pytest.raises(SystemExit) as stop:
        run("--guidance", "3")
    assert stop.value.code == 2 and "holds a comparison with other settings (guidance)" in capsys.readouterr().err


def test_shapes_that_training_saw_do_not_fill_up_the_count(benchmark, bundle, tmp_path, monkeypatch, capsys):
    given = [str(bundle), "procedural:4+4", "--skip", "3", "--count", "2"]
    monkeypatch.setattr("sys.argv", ["completion.py", *given, "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        benchmark.main()
    assert stop.value.code == 2 and "has 1 validation shapes after the first 3, not 2" in capsys.readouterr().err
