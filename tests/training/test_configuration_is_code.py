"""A configuration may name only what docs/security.md allows; anything else is refused before it is imported."""

import sys
from pathlib import Path

import pytest

import class_path_traps
from lagem.cli import main
from lagem.training.cli import run_training

EXPERIMENT = """
model: {class_path: AutoencoderModule, init_args: {levels: [{num_latents: 8, latent_dim: 4, depth: 0}], width: 64}}
data: {class_path: ProceduralDataModule}
trainer: {logger: false, accelerator: cpu, default_root_dir: FOLDER, callbacks: [CALLBACK]}
"""
LAMBDA = "{class_path: lightning.pytorch.callbacks.LambdaCallback, init_args: {setup: NAME}}"


@pytest.fixture
def printed(tmp_path, capsys):
    """Return a function that runs `lagem fit --print_config` and returns what it printed, and its error line."""

    def run(callback: str = "", folder: str = "here", model: str = "AutoencoderModule") -> tuple[str, str]:
        text = EXPERIMENT.replace("CALLBACK", callback).replace("FOLDER", folder).replace("AutoencoderModule", model)
        path = tmp_path / "experiment.yaml"
        path.write_text(text)
        with pytest.raises(SystemExit) as stop:
            main(["fit", "--config", str(path), "--print_config"])
        output = capsys.readouterr()
        assert stop.value.code == (2 if output.err else 0)
        assert len(output.err.splitlines()) <= 1, output.err
        return output.out, output.err

    return run


@pytest.mark.parametrize(
    "name", ["antigravity.geohash", "turtledemo.clock.main", "os.system", "subprocess.Popen", "builtins.exec"]
)
def test_the_standard_library_is_not_imported(name, printed):
    module = name.split(".")[0]
    was_there = module in sys.modules
    refusals = [
        printed(callback=f"{{class_path: {name}}}")[1],
        printed(callback=LAMBDA.replace("NAME", name))[1],
        printed(model=name)[1],
    ]
    for line in refusals:
        assert f"'{name}' is not imported, because a configuration must not name the standard library" in line
    assert (module in sys.modules) == was_there


@pytest.mark.parametrize("name", ["torch.os.abort", "lagem.training.cli.sys.exit"])
def test_another_way_to_the_standard_library_is_refused_too(name, printed):
    assert "is not imported, because a configuration must not name" in printed(callback=LAMBDA.replace("NAME", name))[1]


def test_a_partial_call_is_refused(printed):
    call = "{class_path: functools.partial, init_args: {func: os.abort}}"
    assert "'functools.partial' is not imported" in printed(callback=LAMBDA.replace("NAME", call))[1]


def test_a_class_of_another_kind_is_refused_and_not_built(printed):
    for name in ("class_path_traps.Built", "torch.nn.Linear"):
        assert f"{name} does not correspond to a subclass of Callback" in printed(callback=f"{{class_path: {name}}}")[1]
    assert class_path_traps.NOTES == []


def test_a_class_in_an_argument_of_any_type_stays_a_dict(tmp_path):
    anything = "{class_path: class_path_traps.Built}"
    callback = f"{{class_path: class_path_traps.KeepsAnything, init_args: {{anything: {anything}}}}}"
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT.replace("CALLBACK", callback).replace("FOLDER", str(tmp_path)))
    trainer = run_training(["--config", str(path)], run=False).trainer
    (kept,) = [one for one in trainer.callbacks if isinstance(one, class_path_traps.KeepsAnything)]
    assert dict(kept.anything) == {"class_path": "class_path_traps.Built"} and class_path_traps.NOTES == []


@pytest.mark.parametrize("tag", ["object/apply:os.system ['touch MARK']", "name:os.system ''", "module:antigravity ''"])
def test_yaml_that_makes_python_objects_is_refused(tag, printed, tmp_path):
    mark = tmp_path / "mark"
    line = printed(folder=f"!!python/{tag.replace('MARK', str(mark))}")[1]
    assert "could not determine a constructor for the tag" in line
    assert not mark.exists() and "antigravity" not in sys.modules


def test_environment_variables_are_expanded_into_what_is_printed(printed, monkeypatch):
    monkeypatch.setenv("LAGEM_TEST_FOLDER", "from_the_environment")
    assert "default_root_dir: from_the_environment" in printed(folder="'${oc.env:LAGEM_TEST_FOLDER}'")[0]
    assert "'LAGEM_TEST_ABSENT' not found" in printed(folder="'${oc.env:LAGEM_TEST_ABSENT}'")[1]


@pytest.mark.parametrize("resolver", ["python:1", "eval:1", "file:/etc/hostname", "oc.file:x"])
def test_there_are_no_other_resolvers_that_reach_out(resolver, printed):
    assert "Unsupported interpolation type" in printed(folder=f"'${{{resolver}}}'")[1]


def test_a_url_is_no_configuration(tmp_path, capsys):
    for url in ("http://127.0.0.1:9/a.yaml", Path(tmp_path / "a.yaml").as_uri()):
        with pytest.raises(SystemExit) as stop:
            main(["fit", "--config", url, "--print_config"])
        assert stop.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("value", ["false", "null"])
def test_no_configuration_lets_a_checkpoint_run_code(value, tmp_path, capsys):
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT.replace("CALLBACK", "").replace("FOLDER", str(tmp_path)) + f"weights_only: {value}\n")
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(path), "--trainer.fast_dev_run", "true"])
    assert stop.value.code == 2 and "weights_only must be true" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [path]
