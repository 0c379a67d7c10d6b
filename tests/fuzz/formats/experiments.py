"""Fuzz YAML files: experiments, cluster profiles and chains of jobs."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from numpy.random import Generator

from damage import Files, in_text, in_tree
from lagem.cluster.chain import jobs_of, load_chain
from lagem.cluster.profile import make_profile
from lagem.configuration.yaml_text import read_yaml
from lagem.training.cli import parse_experiment
from lagem.training.description import describe_experiment
from tries import Format

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments"
CHAIN = """\
- {name: encode, command: 'encode CKPT DATA --output {folder}/latents', array: 4}
- {name: coarse, command: fit --config level_3.yaml, after: [encode], profile: {hours: 2, gpus_per_node: 1}}
"""
PROFILE = """\
partition: gpu
nodes: 2
gpus_per_node: 4
memory: 120G
hours: 12.5
environment: [module load cuda]
sbatch: {constraint: a100, exclusive: true}
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@cache
def sound() -> list[bytes]:
    """Return the content of two shipped experiments: one for an autoencoder and one for a stage."""
    names = ("autoencoder/toy.yaml", "cascade/toy/level_3.yaml")
    return [(EXPERIMENTS / name).read_bytes() for name in names]


def experiment(rng: Generator) -> Files:
    return {"experiment.yaml": sound()[int(rng.integers(len(sound())))]}


def in_yaml(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage one field or the text of a YAML file; now and then, append nested aliases that expand to a huge list."""
    if rng.random() < 0.02:
        return data + BOMB.encode()
    if rng.random() < 0.5:
        try:
            return yaml.safe_dump(in_tree(yaml.safe_load(data), rng), sort_keys=False).encode()
        except yaml.YAMLError:
            pass
    return in_text(data, rng)


def parse(folder: Path) -> None:
    """Parse the experiment, as the first step of `lagem fit` does."""
    parse_experiment(folder / "experiment.yaml")


def describe(folder: Path) -> None:
    """Describe the experiment, as `lagem describe` does."""
    describe_experiment(folder / "experiment.yaml")


def profile(folder: Path) -> None:
    """Read a cluster profile, as `lagem submit` does."""
    path = folder / "profile.yaml"
    make_profile(read_yaml(path, dict), where=str(path))


def chain(folder: Path) -> None:
    """Read a chain and make its jobs, as `lagem submit --chain` does."""
    jobs_of(load_chain(folder / "chain.yaml"), {}, folder / "runs", "python")


def formats() -> Iterator[Format]:
    """Yield formats for experiments, profiles and chains; experiments are tried seldom, since parsing takes long."""
    yield Format(
        name="experiment",
        sound=experiment,
        doors={"parse_experiment": parse, "describe": describe},
        damage=in_yaml,
        weight=0.15,
    )
    for name, text, door in (("profile", PROFILE, profile), ("chain", CHAIN, chain)):
        yield Format(
            name=name,
            sound=lambda _, n=name, t=text: {f"{n}.yaml": t.encode()},
            doors={"submit": door},
            damage=in_yaml,
            weight=0.4,
        )
