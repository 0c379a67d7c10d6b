"""`lagem doctor` exits with 0 for a healthy experiment, and with 1 for a fault, which it names; the data are small."""

import json
from dataclasses import replace

import pytest

import small_run
from lagem.cli import main
from lagem.diagnosis import examination
from lagem.prepared.shard_file import ShapeArrays
from planted_data import change_shards

MESHES = small_run.ROOT / "experiments/autoencoder/meshes.yaml"
AUGMENTED = ["--data.init_args.augment={axis_scale: [0.75, 1.25]}"]
SMALL = [
    *("--data.init_args.num_train=24", "--data.init_args.num_val=8", "--data.init_args.num_workers=0"),
    *small_run.SMALL_MODEL,
]


def doctor(path, *settings: str) -> tuple[int, dict]:
    code = 0
    try:
        main(["doctor", str(small_run.TOY), "--json", str(path), *SMALL, *settings])
    except SystemExit as stop:
        code = stop.code
    return code, json.loads(path.read_text())


def test_a_healthy_experiment_exits_with_0(tmp_path, capsys, monkeypatch):
    # the fewest steps after which a loss that has not fallen is a fault; slow tests take all steps
    monkeypatch.setattr(examination, "PROBE_STEPS", examination.LEAST_STEPS)
    monkeypatch.setattr(examination, "EIGHT_STEPS", examination.LEAST_STEPS)
    code, report = doctor(tmp_path / "report.json")
    assert code == 0 and report["healthy"], report["findings"]
    assert "Nothing is wrong" in capsys.readouterr().out
    assert report["seconds"] < 300


@pytest.mark.slow
def test_a_learning_rate_100_times_too_high_exits_with_1(tmp_path, capsys):
    code, report = doctor(tmp_path / "report.json", "--model.init_args.base_lr", "3.2")
    assert code == 1 and not report["healthy"]
    assert [finding["check"] for finding in report["findings"]] == ["learning_rate"]
    assert "Lower model.init_args.base_lr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "strength", "check"),
    [
        pytest.param("flip", 0.1, "labels", marks=pytest.mark.slow),
        pytest.param("not_a_number", 0.2, "values", marks=pytest.mark.slow),
        ("not_a_number", 1.0, "values"),
    ],
)
def test_a_fault_of_a_data_module_is_named(tmp_path, fault, strength, check):
    code, report = doctor(
        tmp_path / "report.json",
        "--data.class_path=planted_data.PlantedData",
        f"--data.init_args.fault={fault}",
        f"--data.init_args.strength={strength}",
    )
    assert code == 1
    assert check in [finding["check"] for finding in report["findings"]]


@pytest.mark.parametrize("ids", [["brick"], ["ball", "brick", "cube", "rod", "again", "nearly", "torus"]])
def test_surfaces_that_are_stored_as_zeros_are_named_in_one_line(folder, capfd, ids):
    def plant(shape: ShapeArrays) -> ShapeArrays:
        surface = shape.pools["surface_points"]
        return shape if shape.id not in ids else replace(shape, pools={**shape.pools, "surface_points": 0 * surface})

    change_shards(folder, plant)
    with pytest.raises(SystemExit) as stop:
        main(["doctor", str(MESHES), "--data.init_args.root", str(folder), *AUGMENTED, *small_run.SMALL_MODEL])
    output = capfd.readouterr()
    assert stop.value.code == 1 and "Warning" not in output.err
    (finding,) = [line for line in output.out.splitlines() if "values" in line and "sure" in line]
    assert finding.startswith("error values") and "surface_points" in finding and ids[0] in finding


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["no.yaml"], "there is no such file"),
        ([str(small_run.ROOT / "experiments/cascade/toy/level_1.yaml")], "only autoencoders can be diagnosed"),
        ([str(small_run.TOY), "--model.init_args.widht=3"], "widht"),
    ],
)
def test_a_mistake_is_one_line(words, reason, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *words])
    assert stop.value.code == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and reason in err[0]


def test_other_tools_still_refuse_unknown_options(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["inspect", str(tmp_path), "--data.init_args.seed", "1"])
    assert stop.value.code == 2 and "unrecognized arguments" in capsys.readouterr().err
