"""If a setting is overridden, settings that copy it by interpolation change too, in shipped experiments and layers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lagem.cli import main

ROOT = Path(__file__).resolve().parents[2]
TOY = "experiments/autoencoder/toy.yaml"
FILES = [
    path.relative_to(ROOT)
    for folder in ("autoencoder", "cascade", "layers")
    for path in sorted((ROOT / "experiments" / folder).rglob("*.yaml"))
]
OTHER_VALUES = {int: 24, str: "elsewhere/run"}


def strings(settings, path: tuple = ()) -> Iterator[tuple[tuple, str]]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from strings(value, (*path, key))
    elif isinstance(settings, str):
        yield path, settings


def followers() -> Iterator[tuple[Path, str, str]]:
    """Yield, for each relative interpolation, its file, its key, and the key of the setting that it copies.

    `${.x}` names a setting in the same mapping, and `${..x}` one in the mapping that contains this mapping.
    """
    for file in FILES:
        for path, text in strings(yaml.safe_load((ROOT / file).read_text())):
            if match := re.fullmatch(r"\$\{(\.+)([\w.]+)\}", text):
                source = (*path[: len(path) - len(match[1])], match[2])
                yield file, ".".join(path), ".".join(source)


FOLLOWERS = list(followers())


def resolved(arguments: list[str], capsys) -> dict:
    with pytest.raises(SystemExit) as stop:
        main(["fit", *arguments, "--print_config"])
    assert not stop.value.code
    return yaml.safe_load(capsys.readouterr().out)


def value_at(settings: dict, key: str):
    for part in key.split("."):
        settings = settings[part]
    return settings


def test_no_interpolation_is_overlooked():
    """Every interpolation is relative or reads an environment variable; an absolute ${data.x} fails under `fit`."""
    texts = [text for file in FILES for _, text in strings(yaml.safe_load((ROOT / file).read_text())) if "${" in text]
    assert len([text for text in texts if "${oc.env:" not in text]) == len(FOLLOWERS) > 2


@pytest.mark.parametrize("way", ["command line", "second --config"])
@pytest.mark.parametrize(("file", "key", "source"), FOLLOWERS, ids=[f"{file.stem}:{key}" for file, key, _ in FOLLOWERS])
def test_a_later_value_reaches_what_is_interpolated_from_it(file, key, source, way, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "run")
    arguments = [f"--config={TOY}", f"--config={file}"] if "layers" in file.parts else [f"--config={file}"]
    value = OTHER_VALUES[type(value_at(resolved(arguments, capsys), source))]
    if way == "command line":
        arguments.append(f"--{source}={value}")
    else:
        layer = value
        for part in reversed(source.split(".")):
            layer = {part: layer}
        (tmp_path / "layer.yaml").write_text(yaml.safe_dump(layer))
        arguments.append(f"--config={tmp_path / 'layer.yaml'}")
    assert value_at(resolved(arguments, capsys), key) == value


def test_the_environment_names_the_data(monkeypatch, capsys):
    monkeypatch.setenv("LAGEM_DATA", "given/by/the/environment")
    settings = resolved([f"--config={ROOT / 'experiments' / 'autoencoder' / 'meshes.yaml'}"], capsys)
    assert settings["data"]["init_args"]["root"] == "given/by/the/environment"
