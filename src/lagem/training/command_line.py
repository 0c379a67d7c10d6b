"""Find typical mistakes in the command line of a training before Lightning is imported, which takes seconds.

LightningCLI finds all other mistakes when it parses the command line. Whatever it accepts is accepted here too.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from yaml.parser import ParserError
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

from lagem.configuration.yaml_text import check_yaml, read_yaml_text
from lagem.latents.latent_shard import LATENTS
from lagem.prepared.shard_file import OCCUPANCY
from lagem.storage.stored_folder import LocalFolder
from lagem.training.mistakes import GIVE_AN_EXPERIMENT, no_checkpoint

FORMATS = {"OccupancyDataModule": OCCUPANCY, "LatentDataModule": LATENTS}
FROM_ENVIRONMENT = re.compile(r"\$\{oc\.env:(\w+)(?:,([^$}]*))?\}")
CONFIG, CHECKPOINT, ROOT = ("--config", "-c"), "--ckpt_path", ("--data.init_args.root", "--data.root")
WHOLE_DATA = ("--data", "--data.class_path", "--data.init_args")


def check_command_line(words: Sequence[str]) -> None:
    """Refuse a missing experiment, one that is not YAML, and a missing data folder or checkpoint.

    Args:
        words: The verb and its arguments.

    Raises:
        ValueError: If there is such a mistake; the message is one line.
    """
    options = list(options_of(words[1:]))
    if any(name in ("-h", "--help") or name.startswith(("--help.", "--print_config")) for name, _ in options):
        for path in configs_of(words):
            read_settings(path)
        return
    if not any(name in CONFIG or name.startswith("--model") for name, _ in options):
        raise ValueError(f"no model is given. {GIVE_AN_EXPERIMENT}")
    data: Mapping[str, Any] = {}
    is_known = True
    for name, value in options:
        if name in CONFIG:
            settings = read_settings(value)
            is_known = is_known and settings is not None
            data = _merged(data, (settings or {}).get("data"))
        elif name in ROOT:
            data = {**data, "root": value}
        elif name in WHOLE_DATA:
            is_known = False
        elif name == CHECKPOINT and not (value in ("last", "best", "hpc") or "://" in value or Path(value).exists()):
            raise ValueError(no_checkpoint(value))
    if is_known:
        _check_data(data)


def check_experiment(config: Path, overrides: Sequence[str]) -> None:
    """Refuse an experiment, or a file of settings that overrides it, that is missing or not YAML.

    Args:
        config: The experiment.
        overrides: Options as after `lagem fit --config FILE`.

    Raises:
        ValueError: If there is such a mistake, or a file is given in another way; the message is one line.
    """
    read_settings(str(config))
    for before, word in pairwise(["", *overrides]):
        is_value = before.startswith("-") and "=" not in before
        if not is_value and not word.startswith("-"):
            raise ValueError(f"{word}: only one CONFIG is accepted; give a second file as --config FILE.")
    for path in configs_of(overrides):
        if path == "" or path.startswith("--"):
            raise ValueError("--config: no file follows it; give a file of settings, or leave out --config.")
        read_settings(path)


def options_of(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each option, given as `--name value` or `--name=value`."""
    for word, after in pairwise([*words, ""]):
        if word.startswith("-"):
            name, equals, value = word.partition("=")
            yield name, value if equals else after


def configs_of(words: Sequence[str]) -> list[str]:
    """Return the values of --config on a command line, in order; the parsed settings no longer hold these values."""
    return [value for name, value in options_of(words) if name in CONFIG]


def read_settings(config: str) -> dict[str, Any] | None:
    """Return the settings of a configuration, with interpolations unresolved; None if only LightningCLI can read it.

    Args:
        config: The path of a file. LightningCLI also accepts a URL, or the settings written out as a text; for both,
            return None.

    Raises:
        ValueError: If the file is missing, refused or not YAML; the message is one line.
    """
    if config in ("", "-") or "://" in config or "\n" in config or "{" in config:
        return None
    text = read_yaml_text(Path(config).expanduser())
    check_yaml(text, config)
    try:
        settings = yaml.load(text, Loader=yaml.SafeLoader)
    except (ScannerError, ParserError, ReaderError) as error:
        raise ValueError(f"{config}: not valid YAML ({error}).") from None
    except (yaml.YAMLError, ValueError):  # one value is wrong, but LightningCLI may read it in another way
        return None
    return settings if isinstance(settings, dict) else None


def _merged(data: Mapping[str, Any], more: Any) -> Mapping[str, Any]:
    """Return the class (`kind`) and the folder (`root`) of a data module; `more` overrides `data`.

    If the two name different classes, the folder in `data` does not count.
    """
    if not isinstance(more, dict):
        return data
    kind = more.get("class_path", data.get("kind"))
    settings = more.get("init_args")
    root = settings.get("root") if isinstance(settings, dict) else None
    kept = data.get("root") if kind == data.get("kind") else None
    return {"kind": kind, "root": kept if root is None else root}


def _check_data(data: Mapping[str, Any]) -> None:
    """Raise ValueError if the root, a local folder, is missing or holds no data of the given data module.

    This checks only data modules of lagem that read folders. The root may be an environment variable
    (`${oc.env:NAME}`); a root with any other interpolation is not checked.
    """
    kind, root = str(data.get("kind")), data.get("root")
    named = kind.removeprefix("lagem.data_modules.")
    if not isinstance(root, str) or named not in FORMATS:
        return
    if found := FROM_ENVIRONMENT.fullmatch(root):
        root = os.environ.get(found[1], found[2])
    if root is not None and "${" not in root and "://" not in root:
        FORMATS[named].read(LocalFolder(root))
