"""An absurd number for any option or setting is reported in one line before it fills the memory."""

import argparse
import importlib

import lightning.pytorch  # noqa: F401 - its log keeps the error stream of the moment when it is imported
import numpy as np
import pytest
import torch

import small_run
from lagem import cli
from lagem.cli import main
from lagem.configuration.bounds import (
    MOST_INTEGER,
    MOST_PARTS,
    MOST_RESOLUTION,
    MOST_SHAPES,
    MOST_WORKERS,
    check_bounds,
)
from lagem.configuration.tool_parser import ToolParser
from lagem.device import out_of_memory_message


def line_of(arguments: list[str], capsys) -> str:
    """Run a wrong command, and return the line that it prints on standard error, apart from logs and warnings."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    written = capsys.readouterr().err
    assert "Traceback" not in written
    return next(line for line in written.splitlines() if line.startswith("lagem"))


def numeric_options() -> list[tuple[str, str, type, int]]:
    """For each option that takes numbers, return its verb, its name, its type, and how many numbers it takes."""
    found = []
    for verb, module in sorted(cli.tool_modules().items()):
        parser = argparse.ArgumentParser()
        importlib.import_module(module).add_arguments(parser)
        options = [action for action in parser._actions if action.type in (int, float) and action.option_strings]
        found += [(verb, option.option_strings[0], option.type, option.nargs) for option in options]
    return found


@pytest.mark.parametrize(("verb", "option", "kind", "count"), numeric_options())
def test_no_option_takes_an_absurd_number(verb, option, kind, count, capsys):
    for number in [str(10**30), str(MOST_INTEGER + 1)] if kind is int else ["1e300", "nan", "inf"]:
        line = line_of([verb, option, *[number] * (count if isinstance(count, int) else 1)], capsys)
        assert line.startswith(f"lagem {verb}: error: argument {option}: {number} is not from")


def test_every_integer_up_to_the_bound_is_taken():
    parser = ToolParser()
    parser.add_argument("--number", type=int)
    for number in (0, -MOST_INTEGER, MOST_INTEGER):
        assert parser.parse_args([f"--number={number}"]).number == number


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data.init_args.num_train=100000000000", "the number of procedural shapes in train must be from 0 to"),
        ("data.init_args.num_val=100000000000", "the number of procedural shapes in val must be from 0 to"),
        ("data.init_args.num_val=-1", "the number of procedural shapes in val must be from 0 to"),
        ("data.init_args.num_workers=1000000", "num_workers must be from 0 to 1,024, but 1,000,000 was given"),
        ("data.init_args.num_workers=-1", "num_workers must be from 0 to 1,024, but -1 was given"),
        ("data.init_args.batch_size=1000000000000000000", "fewer than one batch"),
        (f"data.init_args.batch_size={10**30}", "fewer than one batch"),
        ("data.init_args.num_surface_points=1000000000000000", "out of memory|more memory than any machine has"),
        (f"data.init_args.num_surface_points={2**62}", "more memory than any machine has"),
        (f"data.init_args.num_near_queries={10**30}", "more memory than any machine has"),
        (f"data.init_args.reference_points={10**30}", "more memory than any machine has"),
        ("model.init_args.width=1280000000", "more memory than any machine has|which fit into no machine"),
        (f"model.init_args.width={64 * 10**30}", "more memory than any machine has"),
        ("model.init_args.octaves=1000000000", "octaves must be at most"),
        ("model.init_args.levels=[{num_latents: 1000000000, latent_dim: 8}]", "num_latents must be at most"),
        (f"model.init_args.levels=[{{num_latents: 8, latent_dim: {10**15}}}]", "memory"),
        (f"model.init_args.levels=[{{num_latents: 8, latent_dim: {10**30}}}]", "more memory than any machine has"),
        ("trainer.callbacks+=ExportMeshes", "resolution must be from 2 to 4,096, but 1,000,000,000 was given"),
        ("trainer.callbacks+=LogGeometryMetrics", "resolution must be from 2 to 4,096, but 1,000,000,000 was given"),
        ("trainer.callbacks+=ExportSamples", "resolution must be from 2 to 4,096, but 1,000,000,000 was given"),
    ],
)
def test_an_absurd_number_in_a_configuration_is_one_line(setting, expected, tmp_path, capsys):
    more = ["--trainer.callbacks.resolution=1000000000"] if "callbacks" in setting else []
    line = line_of(small_run.small_fit(tmp_path, f"--{setting}", *more, steps=1), capsys)
    assert line.startswith("lagem: error: ")
    assert any(reason in line for reason in expected.split("|")), line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["encode", "autoencoder", f"procedural:{10**11}+1"], "procedural shapes in train must be from 0 to"),
        (["encode", "autoencoder", f"procedural:{10**30}+1"], "not of the form procedural:TRAIN+VAL"),
        (["prepare", __file__, "--workers", "1000000"], "--workers must be from 1 to 1,024"),
        (["evaluate-generation", ".", "procedural:1+1", "--workers", "1000000"], "--workers must be from 1 to 1,024"),
        (["generate", "--category", "chair", "--count", "1", "--resolution", "100000"], "resolution must be from 2 to"),
    ],
)
def test_an_absurd_number_of_a_command_is_one_line(arguments, expected, tmp_path, capsys):
    assert expected in line_of([*arguments, "--output", str(tmp_path / "out")], capsys)


def test_a_job_of_absurdly_many_parts_is_one_line(tmp_path, capsys):
    arguments = ["submit", "--array", "1000000000", "--runs", str(tmp_path), "--dry-run", "--", "prepare", "a"]
    assert "the number of parts of an array must be from 0 to 10,000" in line_of([*arguments, "--output", "b"], capsys)


@pytest.mark.parametrize("most", [MOST_WORKERS, MOST_PARTS, MOST_SHAPES, MOST_RESOLUTION])
def test_the_bounds_themselves_are_accepted(most):
    check_bounds("a number", 1, least=1, most=most)
    check_bounds("a number", most, least=1, most=most)
    for outside in (0, most + 1):
        with pytest.raises(ValueError, match=rf"a number must be from 1 to {most:,}, but {outside:,} was given\."):
            check_bounds("a number", outside, least=1, most=most)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(2**62, 4),
        lambda: torch.empty(2**40, 2**40),
        lambda: torch.empty(10**30),
        lambda: np.empty(2**62),
        lambda: np.empty(10**30),
        lambda: np.empty((2**40, 2**40)),
        lambda: len(range(10**30)),
        lambda: [0] * 10**30,
        lambda: np.random.default_rng(0).random(10**30),
    ],
)
def test_a_size_that_no_array_can_have_is_called_so(make):
    with pytest.raises(Exception) as raised:
        make()
    message = out_of_memory_message(raised.value, training=False)
    assert message is not None and "more memory than any machine has" in message
