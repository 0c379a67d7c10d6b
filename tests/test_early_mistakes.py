"""A mistake in a command line is reported before libraries that are slow to import, such as torch, are loaded."""

import json
import subprocess
import sys

import pytest

from lagem.cli import main, tool_modules

HEAVY = ("torch", "lightning", "jsonargparse")
PROGRAM = f"""
import json, sys
from contextlib import redirect_stderr
from io import StringIO
from lagem.cli import main

for words in json.loads(sys.argv[1]):
    with redirect_stderr(StringIO()) as errors:
        try:
            main(words)
            code = 0
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([words, code, errors.getvalue(), [name for name in {HEAVY} if name in sys.modules]]))
"""


def results(calls: list[list[str]]) -> list[tuple[list[str], int, str, list[str]]]:
    """Run commands in one process; return for each: arguments, exit code, errors, heavy libraries loaded so far."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(calls)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(calls)
    return found


@pytest.mark.parametrize("words", [["mesh.ply", "--unknown", "1"], [], ["mesh.ply", "--seed", "text"]])
def test_a_mistake_in_the_arguments_of_a_tool_refers_to_the_help_of_this_tool(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prepare", *words, "--output", "out"])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert line.startswith("lagem prepare: error: ") and line.endswith("; see lagem prepare --help")


@pytest.fixture
def used(tmp_path):
    """Return the path of an output folder that cannot be created, because its parent is a file."""
    (tmp_path / "file").touch()
    return str(tmp_path / "file" / "results")


def test_no_mistake_of_a_verb_that_trains_nothing_imports_torch(tmp_path, used):
    (tmp_path / "mesh.ply").touch()
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text("model: {class_path: AutoencoderModule}")
    mesh, output = str(tmp_path / "mesh.ply"), ["--output", str(tmp_path / "results")]
    calls = [
        ["fitt"],
        ["generate", "--categry", "chair"],
        ["reconstruct"],
        ["reconstruct", "absent.ply", *output],
        ["reconstruct", mesh, "--weights", "absent.ckpt", *output],
        ["reconstruct", mesh, "--output", used],
        ["generate", "absent", *output],
        ["generate", "--output", used],
        ["vary", "absent", *output],
        ["vary", "--mesh", "absent.ply", *output],
        ["evaluate", "large", "absent", *output],
        ["evaluate", "absent.ckpt", str(tmp_path), *output],
        ["evaluate", "large", str(tmp_path), "--output", used],
        ["levels", "large", "absent", *output],
        ["compare", "absent", "absent"],
        ["evaluate-generation", "absent", "absent", *output],
        ["encode", "large", "absent", *output],
        ["encode", "absent.ckpt", "procedural:8+4", *output],
        ["bundle", "absent.ckpt", *output],
        ["bundle", "large", "absent.ckpt", *output],
        ["import-weights", "absent.pth", "--output", str(tmp_path / "weights.safetensors")],
        ["export", "absent.ckpt", "--onnx", *output],
        ["export", "absent", "--layout", "npz", *output],
        ["prepare", "absent", *output],
        ["import", "absent", "absent", *output],
        ["inspect", "absent"],
        ["select-ids", "absent", "--count", "2", "--output", str(tmp_path / "ids.txt")],
        ["report", "absent"],
        ["view", "absent.ply"],
        ["describe", "absent.yaml"],
        ["describe", str(experiment), "--config", "absent.yaml"],
        ["doctor", "absent.yaml"],
        ["doctor", str(experiment), "absent.yaml"],
        ["complete", "absent.ply", "--cascade", "furniture", *output],
        ["complete", mesh, "--cascade", "absent", *output],
        ["embed", "absent", "--partial", "large", *output],
        ["embed", "procedural:8+4", "--partial", "absent.ckpt", *output],
        ["embed", str(tmp_path), "--model", "absent", *output],
        ["download", "nothing", *output],
        ["completion", "fish"],
        ["submit", "--profile", "absent.yaml", "--", "prepare", "a", *output],
    ]
    assert {words[0] for words in calls} == {"fitt", *tool_modules()}
    for words, code, errors, loaded in results(calls):
        assert (code, loaded) == (2, []), (words, errors)
        assert errors.startswith("lagem") and errors.count("\n") == 1, (words, errors)


def test_no_typical_mistake_of_a_fit_imports_lightning(tmp_path):
    texts = {
        "wrong.yaml": "model: {class_path: [",
        "twice.yaml": "model: 1\nmodel: 2",
        "good.yaml": "model: {class_path: AutoencoderModule}\n"
        "data: {class_path: OccupancyDataModule, init_args: {root: '${oc.env:LAGEM_DATA,absent/data}'}}",
        "latents.yaml": "data: {class_path: LatentDataModule, init_args: {root: absent/latents}}",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    def fit(*names: str) -> list[str]:
        return ["fit", *(word for name in names for word in ("--config", str(tmp_path / name)))]

    expected = {
        "absent.yaml: there is no such file.": fit("absent.yaml"),
        "wrong.yaml: not valid YAML": fit("wrong.yaml"),
        "line 2: the key 'model' was already given": fit("twice.yaml"),
        "Give an experiment as --config": ["fit"],
        "absent/data: there is no such folder; prepare meshes": fit("good.yaml"),
        "absent/latents: there is no such folder; encode shapes": fit("good.yaml", "latents.yaml"),
        "elsewhere: there is no such folder; prepare": [*fit("good.yaml"), "--data.init_args.root", "elsewhere"],
        "--ckpt_path absent.ckpt: there is no such file": ["validate", "--model=M", "--ckpt_path=absent.ckpt"],
    }
    for message, (words, code, errors, loaded) in zip(expected, results(list(expected.values())), strict=True):
        assert (code, loaded) == (2, []) and message in errors, (words, errors)
        assert errors.startswith("lagem: error: ") and errors.count("\n") == 1
