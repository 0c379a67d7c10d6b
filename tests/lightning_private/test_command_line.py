"""Lightning calls the hooks of OpenCLI in the right order."""

import json
import warnings

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser

import recorder
from lagem.lightning_private.command_line import OpenCLI


class Noted(OpenCLI):
    """A command line that records the order in which its hooks are called, and runs nothing."""

    def __init__(self, argv: list[str]) -> None:
        self.notes: list[str] = []
        super().__init__(recorder.Recorder, LightningDataModule, subclass_mode_data=True, args=argv)

    def adjust_parser(self, parser: LightningArgumentParser, verb: str) -> None:
        self.notes.append(f"parser of {verb}")
        parser.set_defaults(weights_only=True)

    def check_settings(self) -> None:
        self.notes.append("settings")

    def set_seed(self) -> None:
        self.notes.append("seed")

    def instantiate_classes(self) -> None:
        self.notes.append("classes")
        self.subcommand = None  # so that nothing runs


@pytest.fixture
def noted() -> Noted:
    data = "--data=lagem.data_modules.ProceduralDataModule"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning warns of arguments that are given in Python
        return Noted(["validate", data, "--trainer.max_steps=7", "--ckpt_path=absent.ckpt"])


def test_settings_are_checked_before_the_seed_and_the_classes(noted):
    assert noted.notes[-3:] == ["settings", "seed", "classes"]
    assert {"parser of fit", "parser of validate", "parser of predict"} <= set(noted.notes)


def test_a_default_that_a_hook_set_is_used(noted):
    assert noted.config.validate.weights_only is True


def test_a_setting_of_the_verb_is_found_by_its_key(noted):
    noted.subcommand = "validate"
    assert noted.setting("trainer.max_steps") == 7
    assert noted.setting("absent") is None


def test_the_parser_of_a_verb_writes_its_settings(noted):
    written = json.loads(noted.parser_of("validate").dump(noted.config["validate"], format="json"))
    assert written["trainer"]["max_steps"] == 7 and written["ckpt_path"] == "absent.ckpt"


def test_a_seed_is_set_unless_a_subclass_refuses():
    class Seeded(Noted):
        def set_seed(self) -> None:
            OpenCLI.set_seed(self)

    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Seeded(["validate", "--data=lagem.data_modules.ProceduralDataModule", "--seed_everything=5"])
    assert torch.initial_seed() == 5
    torch.set_rng_state(state)
