"""Checkpoints of a run: written whole or not at all, kept at its end, and which one a fit begins from.

A run folder holds one run, so there is never more than one answer.
"""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lagem.lightning_private.trainer import mark_last_saved
from lagem.storage.atomic import remove_leftovers, replaced
from lagem.weights.file import refused


class AtomicCheckpointIO(TorchCheckpointIO):
    """Local checkpoints are renamed into place, so a killed run leaves no half one; no checkpoint's code is run."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, of=path.name)
        with replaced(path) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read plain data only, also from where Lightning would trust the file."""
        try:
            return super().load_checkpoint(path, map_location or (lambda storage, _: storage), weights_only=True)
        except pickle.UnpicklingError as error:
            raise refused(path, error) from error


class FinalCheckpoint(Callback):
    """Keep the end of a run that falls between two saves, before weight averaging puts its weights into the model."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `last.ckpt` once more wherever a ModelCheckpoint keeps one."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.save_last and callback.dirpath is not None:
                path = callback.last_model_path or f"{callback.dirpath}/{callback.CHECKPOINT_NAME_LAST}.ckpt"
                mark_last_saved(callback, path)
                trainer.save_checkpoint(path)


def starting_checkpoint(asked: str | None, folder: Path, places: Iterable[Path], *, requeued: bool) -> str | None:
    """The checkpoint to begin from; None begins a new training.

    Args:
        asked: --ckpt_path.
        folder: The run folder.
        places: Where its checkpoints are kept.
        requeued: Whether a scheduler started this job before.

    Raises:
        ValueError: Where two runs would mix in the folder.
    """
    found = {path.resolve() for place in places for path in place.glob("[!.]*.ckpt") if is_whole(path)}
    steps = {path: step for path in found if (step := steps_of(path)) is not None}
    newest = max(steps, key=lambda path: (steps[path], path.name.startswith("last")), default=None)
    if not found or requeued or asked == "last":
        return str(newest) if newest else asked
    if newest is None or asked is None or steps.get(Path(asked).resolve()) != steps[newest]:
        mix = f"--ckpt_path {asked} would mix another with it. " if asked else ""
        last = f", the last at step {steps[newest]}" if newest else ""
        raise ValueError(
            f"{folder} already holds a run ({len(found)} checkpoints{last}). {mix}"
            "Go on with it by --ckpt_path last, or name another folder by --trainer.default_root_dir."
        )
    return asked


def is_whole(checkpoint: Path) -> bool:
    """Whether it was written to its end: files are renamed into place, in folders the description comes last."""
    return checkpoint.is_file() or (checkpoint / "meta.pt").is_file()


def steps_of(checkpoint: Path) -> int | None:
    """Optimiser steps that a checkpoint has taken; None where it holds weights only. Its tensors are not read."""
    file = checkpoint / "meta.pt" if checkpoint.is_dir() else checkpoint
    try:
        saved = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        return int(saved["global_step"]) if saved.get("optimizer_states") is not None else None
    except Exception as error:  # whatever torch raises for a file that is none of its own
        raise ValueError(f"{checkpoint}: this is no checkpoint, or a damaged one; move it away ({error}).") from error
