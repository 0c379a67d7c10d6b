"""A chain of jobs, read from a YAML list of steps; each step waits for the steps that it depends on."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lagem.cluster.job import Job, checked_folder
from lagem.cluster.profile import check_fields, make_profile
from lagem.configuration.yaml_text import read_yaml


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of a chain.

    Args:
        name: Name of the step and of its folder.
        command: Verb and arguments of `lagem`; `{folder}` stands for the chain's folder.
        after: Names of earlier steps that must succeed first.
        profile: Fields that replace those of the chain's profile.
        array: Number of array tasks that share the work; 0 for no array.
    """

    name: str
    command: str
    after: list[str] = field(default_factory=list)
    profile: dict[str, Any] = field(default_factory=dict)
    array: int = 0


def load_chain(path: Path) -> list[Step]:
    """Read the steps of a chain, in order; raises ValueError with a message of one line if the file is wrong."""
    steps: list[Step] = []
    for number, values in enumerate(read_yaml(path, list), 1):
        where = f"{path}: step {number}"
        if not isinstance(values, dict):
            raise ValueError(f"{where}: holds {values!r}, but a step must be a mapping.")
        check_fields(Step, values, where=where)
        try:
            checked_folder(path.parent, values["name"])
            words = shlex.split(values["command"])
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if not words:
            raise ValueError(f"{where}: has an empty command; give one.")
        step, earlier = Step(**values), [step.name for step in steps]
        if step.name in earlier:
            raise ValueError(f"{where}: an earlier step is also named {step.name!r}; give each step another name.")
        if unknown := [name for name in step.after if name not in earlier]:
            raise ValueError(
                f"{where}: waits for {', '.join(unknown)}, but the earlier steps are: {', '.join(earlier) or 'none'}."
            )
        steps.append(step)
    if not steps:
        raise ValueError(f"{path}: holds no step; add one.")
    return steps


def jobs_of(
    steps: Sequence[Step], profile: Mapping[str, Any], folder: Path, python: str
) -> list[tuple[Job, list[str]]]:
    """Make the jobs of a chain.

    Args:
        steps: Steps, as `load_chain` returns them.
        profile: Fields of the chain's profile. A step may replace some of these fields.
        folder: Folder of the chain; each step has a folder inside it.
        python: Shell words that start Python, unless the profile sets `python`.

    Returns:
        Each job with the names of the jobs that it waits for.
    """
    return [
        (
            Job(
                name=step.name,
                command=[word.replace("{folder}", str(folder)) for word in shlex.split(step.command)],
                folder=folder / step.name,
                profile=make_profile({**profile, **step.profile}, where=f"profile of step {step.name}"),
                python=python,
                parts=step.array,
            ),
            step.after,
        )
        for step in steps
    ]
