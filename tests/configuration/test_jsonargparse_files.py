"""Every configuration is checked before jsonargparse parses it, whichever way it was given."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from lagem.configuration.jsonargparse_files import MODE, RefusedConfigurationError, checked_configurations


class Model:
    def __init__(self, width: int = 1) -> None: ...


class Trainer:
    def __init__(self, callbacks: list[Model] | None = None) -> None: ...


@dataclass
class Options:
    width: int = 1


def refuse(text: str, name: str) -> None:
    if "9" in text:
        raise ValueError(f"{name}: holds a 9")


@pytest.fixture
def parser() -> ArgumentParser:
    parser = ArgumentParser(parser_mode=MODE, exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(Model, "model", required=False)
    parser.add_class_arguments(Trainer, "trainer", sub_configs=True)
    parser.add_argument("--options", type=Options)
    return parser


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "bad.yaml").write_text("width: 9\n")
    (tmp_path / "nested.yaml").write_text("model: bad.yaml\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--config", "bad.yaml"], "bad.yaml"),
        (["--config", "{model: {width: 9}}"], "a configuration given as text"),
        (["--config", "nested.yaml"], "bad.yaml"),
        (["--model", "bad.yaml"], "bad.yaml"),
        (["--model", "{class_path: Model9}"], "a configuration given as text"),
        (["--trainer.callbacks+", "bad.yaml"], "bad.yaml"),
        (["--options", "bad.yaml"], "bad.yaml"),
    ],
)
def test_every_route_is_checked(words, name, parser, folder):
    with (
        pytest.raises(RefusedConfigurationError, match=f"^{name}: holds a 9$"),
        checked_configurations(Path.read_text, refuse),
    ):
        parser.parse_args(words)


def test_what_is_not_refused_is_parsed(parser, folder):
    (folder / "good.yaml").write_text("options: {width: '${model.init_args.width}'}\nmodel: {init_args: {width: 2}}\n")
    with checked_configurations(Path.read_text, refuse):
        found = parser.parse_args(["--model", f"{__name__}.Model", "--config", "good.yaml"])
    assert found.options.width == 2


def test_a_file_is_read_by_the_given_function(parser, folder):
    def read(path: Path) -> str:
        raise ValueError(f"{path.name} is too long")

    with pytest.raises(RefusedConfigurationError, match=r"bad.yaml is too long"), checked_configurations(read, refuse):
        parser.parse_args(["--config", "bad.yaml"])
