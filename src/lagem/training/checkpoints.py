"""The checkpoints of a run: how they are written, how they are loaded, and which of them a fit starts from.

A run folder holds only one run, so it is never ambiguous from which checkpoint to resume.
"""

import io
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lagem.lightning_private.trainer import mark_last_saved
from lagem.storage.atomic import remove_leftovers, write_bytes
from lagem.storage.names import regular
from lagem.weights.errors import WeightsError, quoted
from lagem.weights.file import check_undamaged, refused, unreadable_refused
from lagem.weights.sharded import check_not_of_fsdp1
from lagem.weights.zip_records import check_records


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes local checkpoints whole or not at all, even if the process is killed; loads them without running code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; a local file gets its name only when it is complete."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, of=path.name)
        torch.save(checkpoint, content := io.BytesIO())  # to a file, it would also store that file's temporary name
        write_bytes(path, content.getbuffer())  # Lightning would first write to the system's temporary folder

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; refuse one that is damaged or holds more than plain data, even if Lightning trusts it."""
        if Path(path).is_dir():
            check_not_of_fsdp1(Path(path))
            raise ValueError(
                f"{path}: a sharded checkpoint, which only FSDP2 can load; add --config experiments/layers/fsdp.yaml."
            )
        if Path(path).exists():  # paths in an object store do not exist locally
            check_undamaged(regular(Path(path)))
        with unreadable_refused(path):
            loaded = super().load_checkpoint(path, map_location or (lambda storage, _: storage), weights_only=True)
        if not isinstance(loaded, dict) or not isinstance(loaded.get("state_dict"), dict):
            raise WeightsError(f"{path}: not a checkpoint of `lagem fit`, because it has no state_dict; give another.")
        confine_recorded_paths(loaded, path)
        return loaded


def confine_recorded_paths(checkpoint: dict[str, Any], source: str | Path) -> None:
    """Keep a checkpoint from making ModelCheckpoint overwrite or remove files outside a run.

    A checkpoint records ModelCheckpoint's folder and the paths of other checkpoints. A resumed run with the same folder
    overwrites or removes the files at these paths, so they must lie in the folder. Only the path of the best checkpoint
    may lie elsewhere: if a run resumes with another folder, the best checkpoint so far stays in the old folder.

    Lightning removes the file at the path of the best checkpoint if this path is a URL of an object store (s3://...) or
    seems to lie in the run's folder. So a URL is dropped from the checkpoint, and links in a local path are resolved.

    Args:
        checkpoint: The loaded checkpoint, which is changed in place.
        source: Where it was loaded from, for the error message.

    Raises:
        ValueError: If a path other than that of the best checkpoint lies outside the folder.
    """
    states = checkpoint.get("callbacks")
    for state in states.values() if isinstance(states, dict) else ():
        if not isinstance(state, dict) or "best_model_path" not in state:
            continue
        folder, best = state.get("dirpath"), state.get("best_k_models")
        own = [state.get("kth_best_model_path"), state.get("last_model_path")]
        for path in filter(None, [*own, *(best if isinstance(best, dict) else ())]):
            if not (isinstance(path, str) and isinstance(folder, str) and _lies_in(path, folder)):
                raise ValueError(
                    f"{source}: records the path {path!r:.200}, outside its folder of checkpoints; give another file."
                )
        path = state["best_model_path"]
        if not isinstance(path, str) or ":" in path:
            state["best_model_path"] = ""
        elif path and (real := os.path.realpath(path)) != str(Path(path).absolute()):
            state["best_model_path"] = real


def _lies_in(path: str, folder: str) -> bool:
    if "://" in folder or "://" in path:  # an object store
        return path.startswith(f"{folder}/") and ".." not in path.split("/")
    return Path(path).resolve().is_relative_to(Path(folder).resolve())


class FinalCheckpoint(Callback):
    """Makes `last.ckpt` hold the latest state of the training, for each ModelCheckpoint that keeps this file."""

    def __init__(self) -> None:
        self._has_trained = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let a run whose folder was moved or copied go on with its `last.ckpt`.

        The checkpoint records the old folder, so ModelCheckpoint takes this file for another run's. Without this hook,
        it would keep the file unchanged and write `last-v1.ckpt` beside it.
        """
        for callback, path in _last_checkpoints(trainer).items():
            callback.last_model_path = path

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save `last.ckpt` once more, before averaged weights replace those of the model."""
        self._has_trained = True
        for callback, path in _last_checkpoints(trainer).items():
            mark_last_saved(callback, path)
            trainer.save_checkpoint(path, weights_only=False)  # without the argument, Lightning prints a remark

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """If the fit resumed from a checkpoint of the end of training, copy that checkpoint to `last.ckpt`.

        Such a fit trains no step, and Lightning calls none of its training hooks. `last.ckpt` may be older than the
        checkpoint, if a fault prevented the last save.
        """
        resumed = Path(trainer.ckpt_path or "")
        if self._has_trained or not trainer.is_global_zero or not resumed.is_file():
            return
        for callback, path in _last_checkpoints(trainer).items():
            mark_last_saved(callback, path)
            if "://" not in path and Path(path).resolve() != resumed.resolve():
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                write_bytes(Path(path), resumed.read_bytes())


def _last_checkpoints(trainer: Trainer) -> dict[ModelCheckpoint, str]:
    """Return each ModelCheckpoint that keeps a `last.ckpt`, with the path of this file."""
    return {
        callback: callback.last_model_path or f"{callback.dirpath}/{callback.CHECKPOINT_NAME_LAST}.ckpt"
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.save_last and callback.dirpath is not None
    }


def starting_checkpoint(requested: str | None, run: Path, folders: Iterable[Path], *, requeued: bool) -> str | None:
    """Choose the checkpoint from which a fit starts.

    Args:
        requested: The value of --ckpt_path; None if it is not given.
        run: The run folder.
        folders: Folders of the run's checkpoints.
        requeued: Whether a scheduler has started this job before.

    Returns:
        The path of the checkpoint, or a keyword of Lightning such as `last`; None to start a new training.

    Raises:
        ValueError: If the fit would mix two runs in the run folder.
    """
    found = {path.resolve() for folder in folders for path in folder.glob("[!.]*.ckpt") if is_whole(path)}
    steps = {path: step for path in found if (step := steps_of(path)) is not None}
    newest = max(steps, key=lambda path: (steps[path], path.name.startswith("last")), default=None)
    if not found or requeued or requested == "last":
        return str(newest) if newest else requested
    if newest is None or requested is None or steps.get(Path(requested).resolve()) != steps[newest]:
        mix = f"--ckpt_path {requested} would mix another run with that one. " if requested else ""
        count = f"{len(found)} checkpoint{'s' if len(found) > 1 else ''}"
        last = f", the last at step {steps[newest]}" if newest else ""
        raise ValueError(
            f"{run} already holds a run ({count}{last}). {mix}"
            "Resume that run with --ckpt_path last, or choose another folder with --trainer.default_root_dir."
        )
    return requested


def is_whole(checkpoint: Path) -> bool:
    """Return whether a checkpoint is complete.

    A file gets its name only when it is complete. In the folder of a sharded checkpoint, `meta.pt` is written last.
    """
    return checkpoint.is_file() or (checkpoint / "meta.pt").is_file()


def steps_of(checkpoint: Path) -> int | None:
    """Return the number of optimiser steps before a checkpoint, without reading its tensors.

    None if the checkpoint holds only weights.
    """
    sharded = checkpoint.is_dir()  # then the optimiser states are in other files
    file, state = (checkpoint / "meta.pt", "lr_schedulers") if sharded else (checkpoint, "optimizer_states")
    try:
        if damage := check_records(regular(file), pickle_only=True):
            raise ValueError(damage)
        saved = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        return int(saved["global_step"]) if saved.get(state) is not None else None
    except pickle.UnpicklingError as error:
        raise refused(file, error) from error
    except Exception as error:  # torch raises many types for a file that it did not write
        raise ValueError(
            f"{checkpoint}: not a checkpoint, or a damaged one ({quoted(error)}); move it away."
        ) from error
