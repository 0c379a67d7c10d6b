"""The record of a run, which says where its results come from and how to repeat them; each start writes it.

config.yaml   all settings of the last start, resolved; a fit in another folder with this --config repeats the run
sources/      copies of the configuration files of the last start, in the order in which they were given
run.json      one entry for each start: time, command line, revision, versions, host, SLURM job
"""

import os
import platform
import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from lagem.storage.atomic import new_folder, write_json, write_text
from lagem.storage.checked.description import read_json
from lagem.training.command_line import configs_of

PACKAGES = (
    "lagem",
    "torch",
    "lightning",
    "jsonargparse",
    "omegaconf",
    "numpy",
    "safetensors",
    "torch-cluster",
    "triton",
)


class RunRecord(SaveConfigCallback):
    """Writes the record on rank zero, and the resolved configuration of each start next to the logs of that start.

    Args:
        command: The command-line arguments of `lagem`.
        settings, more: Arguments of SaveConfigCallback.
    """

    def __init__(self, *settings: Any, command: Sequence[str], **more: Any) -> None:
        super().__init__(*settings, **more)
        self.command = list(command)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the record to the run folder if this is a fit; validation and test leave the record unchanged."""
        if stage != "fit":
            return
        root = Path(trainer.default_root_dir)
        root.mkdir(parents=True, exist_ok=True)
        write_text(root / "config.yaml", self.parser.dump(self.config, skip_unset=False))
        write_sources(root / "sources", list(map(Path, configs_of(self.command))))
        starts = read_starts(root)
        write_json(root / "run.json", [*starts, start_now(self.command)], indent=2, ensure_ascii=True)


def write_sources(folder: Path, configs: list[Path]) -> None:
    """Write numbered copies of configuration files to a folder, in place of those of an earlier start."""
    with new_folder(folder) as made:
        for number, path in enumerate(path for path in configs if path.is_file()):  # the others are settings, not files
            shutil.copyfile(path, made / f"{number}-{path.name}")
        shutil.rmtree(folder, ignore_errors=True)


def read_starts(root: Path) -> list[dict[str, Any]]:
    """Return the entries of the earlier starts of a run from run.json; an empty list if it is missing or damaged."""
    try:
        starts = read_json(root / "run.json", remedy="move it away")
        return [start for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []
    except (FileNotFoundError, ValueError):
        return []


def start_now(command: Sequence[str]) -> dict[str, Any]:
    """Return the entry of run.json for this start of the run."""
    slurm = {name: value for name, value in os.environ.items() if name.startswith(("SLURM_JOB_", "SLURM_RESTART"))}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["lagem", *command]),
        "folder": str(Path.cwd()),
        "revision": revision(Path(__file__).parent),
        "python": platform.python_version(),
        "versions": versions(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "slurm": slurm,
    }


def versions() -> dict[str, str]:
    """Return the version of each installed package among PACKAGES, by the name of the package."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def revision(folder: Path) -> dict[str, Any] | None:
    """Return the git revision of the checkout that tracks a folder, and whether tracked files are changed.

    None if no checkout tracks the folder.
    """

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "__init__.py") is None:  # an installed copy, perhaps inside another checkout
        return None
    return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "--untracked-files=no"))}
