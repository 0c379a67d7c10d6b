"""Tracking by Weights & Biases through Lightning's WandbLogger; all starts of a run folder belong to one W&B run."""

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from lagem.lightning_private.trainer import set_run_id
from lagem.storage.atomic import write_text

RUN_ID_FILE = "wandb_run_id.txt"


def keep_run_id(loggers: Sequence[Logger], folder: Path) -> None:
    """Give W&B loggers the run id of a folder before they start a run, so that a later start resumes the same W&B run.

    The first start creates and stores the id. An id in the configuration takes precedence over WANDB_RUN_ID, which a
    sweep agent sets, and WANDB_RUN_ID takes precedence over the stored id. Lightning resumes a run if W&B knows its id.
    """
    file = folder / RUN_ID_FILE
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            stored = file.read_text().strip() if file.is_file() else None
            run_id = logger.version or os.environ.get("WANDB_RUN_ID") or stored or uuid.uuid4().hex[:8]
            set_run_id(logger, run_id)
            if run_id != stored:
                _store(file, run_id)


def log_configuration(loggers: Sequence[Logger], settings: Mapping[str, Any]) -> None:
    """Send the resolved configuration to W&B, from rank zero only. This starts the W&B run."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(dict(settings))


def finish_runs(loggers: Sequence[Logger]) -> list[str]:
    """End W&B runs, so that the next training in this process starts another one. Call this on rank zero only.

    Returns:
        For each offline run, the command that uploads what the first training and all resumed ones have logged.
    """
    uploads = []
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            run = logger.experiment
            run.finish()
            if run.offline:
                uploads.append(f"wandb sync {Path(run.dir).parents[1]}/offline-run-*-{run.id}")
    return uploads


@rank_zero_only
def _store(file: Path, run_id: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, f"{run_id}\n")
