"""What `lagem fit` prints before and after a training.

Before: the model and its size, the weights that it starts from, the data, the length of the training, the device and
the run folder. After: where the results are, the scores of the last validation and the next command.
"""

import math
import shlex
import textwrap
from pathlib import Path
from shutil import get_terminal_size

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.optim.lr_scheduler import LambdaLR

from lagem.data_modules.stream import StreamDataModule
from lagem.modules.autoencoder import AutoencoderModule
from lagem.modules.recipe import RecipeModule
from lagem.modules.stage import CascadeStageModule

LABEL = 12  # width of the labels
WIDEST = 120
IN_PERCENT = ("val/chamfer", "val/fscore")  # scores that are published times 100


class StartBlock(Callback):
    """Prints on rank zero, once for each start of a run, what will be trained."""

    def __init__(self) -> None:
        self._parameters = 0
        self._is_printed = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the parameters to train."""
        self._parameters = sum(each.numel() for each in pl_module.parameters() if each.requires_grad)

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what will be trained."""
        self._print(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what will be trained, unless it was printed before a sanity check of the validation."""
        self._print(trainer, pl_module)

    def _print(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._is_printed and trainer.is_global_zero:
            datamodule = trainer.datamodule  # type: ignore[attr-defined]
            print_row("model", f"{model_in_words(pl_module)}; {self._parameters:,} parameters to train")
            if isinstance(pl_module, AutoencoderModule) and not trainer.global_step:
                print_row("weights", f"from {pl_module.init_from}" if pl_module.init_from else "random")
            print_row("data", data_in_words(datamodule))
            print_row("length", length_in_words(trainer, pl_module, datamodule))
            if reason := reason_without_validation(trainer):
                print_row("validation", f"none: {reason}")
            if trainer.global_step:
                print_row("resumed", f"after step {trainer.global_step:,} from {trainer.ckpt_path}", wraps=False)
                for config in trainer.lr_scheduler_configs:
                    if change := schedule_change(config.scheduler):
                        print_row("schedule", f"{change}, and falls until step {trainer.estimated_stepping_batches:,}")
            print_row("device", device_in_words(trainer))
            print_row("run folder", trainer.default_root_dir, wraps=False)
        self._is_printed = True


def print_row(label: str, text: str, *, wraps: bool = True) -> None:
    """Print a label and, next to it, a text; if `wraps`, break a long text into lines that are aligned.

    Pass `wraps=False` for a path or a command, so that it can be copied.
    """
    if wraps:
        width = min(get_terminal_size().columns, WIDEST) - LABEL
        lines = textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
        text = f"\n{'':{LABEL}}".join(lines)
    print(f"{label:{LABEL}}{text}", flush=True)


def model_in_words(module: LightningModule) -> str:
    """Return the name of a module and the sizes that matter most."""
    name = type(module).__name__
    if isinstance(module, AutoencoderModule):
        levels = ", ".join(f"{level.num_latents}x{level.latent_dim}" for level in module.spec.levels)
        return f"{name}, width {module.spec.width}, latents x channels of the levels: {levels}"
    if isinstance(module, CascadeStageModule):
        spec = module.spec
        return f"{name}, level {spec.level} of {len(spec.levels)}, width {spec.width}, depth {spec.depth}"
    return name


def data_in_words(datamodule: LightningDataModule | None) -> str:
    """Return the name of a data module. For a `StreamDataModule`, a summary of its data follows the name."""
    name = type(datamodule).__name__
    return f"{name}, {datamodule.summary()}" if isinstance(datamodule, StreamDataModule) else name


def length_in_words(trainer: Trainer, module: LightningModule, datamodule: LightningDataModule | None) -> str:
    """Return the number of steps of a training, the shapes per step, the epochs and the peak learning rate."""
    steps = trainer.estimated_stepping_batches
    text = f"{steps:,} steps" if math.isfinite(steps) else "no limit of steps"
    if isinstance(datamodule, StreamDataModule):
        shapes = datamodule.batch_size * trainer.accumulate_grad_batches * trainer.world_size
        each = steps_of_epoch(trainer, datamodule)
        epochs = steps / each
        counted = f"{epochs:,.3g}" if epochs < 999.5 else f"{epochs:,.0f}"
        text += f" of {shapes:,} shapes ({counted} epochs of {each:,} {'step' if each == 1 else 'steps'})"
    if isinstance(module, RecipeModule):
        text += f", peak learning rate {module.peak_lr:.3g}"
    return text


def steps_of_epoch(trainer: Trainer, datamodule: StreamDataModule) -> int:
    """Return the number of steps in what Lightning counts as an epoch, without creating the training loader.

    The last, incomplete batch of a pass over the shapes is not trained on.
    """
    batches = len(datamodule.train_shapes) // (datamodule.batch_size * trainer.world_size)
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    return max(math.ceil(batches / trainer.accumulate_grad_batches), 1)


def reason_without_validation(trainer: Trainer) -> str | None:
    """Return why a training ends before its first validation; None if it does not, or if validation is turned off."""
    interval, steps = trainer.val_check_interval, trainer.estimated_stepping_batches
    if trainer.check_val_every_n_epoch is not None or not isinstance(interval, int) or not trainer.enable_validation:
        return None
    batches = steps * trainer.accumulate_grad_batches  # which the interval counts
    if interval <= batches:
        return None
    if trainer.max_steps == batches:
        return f"trainer.val_check_interval {interval:,} is more than trainer.max_steps {batches:,}"
    return f"trainer.val_check_interval {interval:,} is more than the {batches:,} batches of the training"


def schedule_change(schedule: object) -> str | None:
    """Return how a resumed schedule differs from that of the checkpoint; None if both give the same next rate.

    During the warm-up, schedules of different lengths may be the same.
    """
    if not isinstance(schedule, LambdaLR):
        return None
    saved, step = schedule.get_last_lr()[0], schedule.last_epoch
    rate = schedule.base_lrs[0] * schedule.lr_lambdas[0](step)
    if math.isclose(rate, saved, rel_tol=1e-6):
        return None
    return f"not that of the checkpoint: the learning rate is now {rate:.3g} instead of {saved:.3g}"


def device_in_words(trainer: Trainer) -> str:
    """Return the number and the kind of the devices, the strategy if there are several, and the precision."""
    kind = trainer.strategy.root_device.type
    name = f" ({torch.cuda.get_device_name(trainer.strategy.root_device)})" if kind == "cuda" else ""
    count = trainer.world_size
    several = f"{count} x " if count > 1 else ""
    strategy = f", {type(trainer.strategy).__name__}" if count > 1 else ""
    return f"{several}{kind}{name}, precision {trainer.precision}{strategy}"


def print_end(trainer: Trainer, module: LightningModule, datamodule: LightningDataModule | None) -> None:
    """Print where the results of a fit are, the scores of the last validation, and the next command."""
    root = Path(trainer.default_root_dir)
    print_row("run folder", str(root), wraps=False)
    keepers = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    checkpoints = list(dict.fromkeys(path for c in keepers if (path := c.last_model_path or c.best_model_path)))
    for path in checkpoints:
        print_row("checkpoint", path if "://" in path else str(Path(path)), wraps=False)
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            print_row("metrics", str(Path(logger.log_dir) / "metrics.csv"), wraps=False)
    pictures = sorted(
        [*root.glob("meshes/step_*.png"), *root.glob("samples/step_*.png")],
        key=lambda path: int(path.stem.removeprefix("step_")),  # not by time, because the clock may have jumped
    )
    if pictures:
        print_row("picture", str(pictures[-1]), wraps=False)
        print_row("meshes", f"{pictures[-1].with_suffix('')}/", wraps=False)
    scores = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
    for name, value in sorted(scores.items()):
        times_100 = f"  (x100: {100 * value:.2f})" if name in IN_PERCENT else ""
        print(f"{name:<18}{value:.4f}{times_100}")
    if checkpoints and (command := next_command(module, datamodule, checkpoints[0])):
        print_row("next", command, wraps=False)


def next_command(module: LightningModule, datamodule: LightningDataModule | None, checkpoint: str) -> str | None:
    """Return the command that a user probably runs after a fit; None if unknown. Words in capitals are placeholders."""
    file = shlex.quote(checkpoint)
    if isinstance(module, AutoencoderModule):
        root = getattr(datamodule, "root", None)
        if root is not None:
            return f"lagem evaluate {file} {shlex.quote(str(root))} --output evaluation"
        return f"lagem reconstruct MESH --weights {file} --output reconstructed"
    if isinstance(module, CascadeStageModule):
        count = len(module.spec.levels)
        stages = [file if level == module.spec.level else f"LEVEL_{level}" for level in range(1, count + 1)]
        return f"lagem bundle AUTOENCODER {' '.join(stages)} --output cascade"
    return None
