"""LightningCLI as `lagem fit | validate | test | predict`, with the defaults every run shares.

A run lives in `trainer.default_root_dir`: checkpoints/ (found again by `--ckpt_path last`), logs/version_k/ with
metrics.csv, TensorBoard events and the resolved config.yaml of each start, and the record of `run_record.py`.
"""

import json
import sys
import warnings
import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BasePredictionWriter,
    Callback,
    Checkpoint,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

# The first three let YAML use bare class names.
import lagem.callbacks
import lagem.data_modules
import lagem.modules
from lagem.callbacks.save_on_signal import SaveOnSignal
from lagem.lightning_private.command_line import OpenCLI
from lagem.lightning_private.trainer import cluster_environment, keep_average_on
from lagem.training.checkpoints import AtomicCheckpointIO, FinalCheckpoint, is_whole, starting_checkpoint
from lagem.training.leaving import give_up, is_lost_rank, leave, was_requeued
from lagem.training.mistakes import innermost_reason
from lagem.training.one_fit import only_fit_in
from lagem.training.run_record import RunRecord
from lagem.training.strategies import check_averaging, tune
from lagem.training.tracking import finish_runs, keep_run_id, log_configuration


class TrainingCLI(OpenCLI):
    """Model and data by `class_path`, one seed for both, and a run folder."""

    _held = ExitStack()  # of a fit: its run folder

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Give the data module the run's seed."""
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def adjust_parser(self, parser: LightningArgumentParser, verb: str) -> None:
        """Load plain data only, and keep no list of predictions: a callback writes each batch of them."""
        parser.set_defaults(weights_only=True)
        if verb == "predict":
            parser.set_defaults(return_predictions=False)

    def check_settings(self) -> None:
        """Check the checkpoint before anything is built."""
        verb = self.config.get("subcommand")
        if verb is None:
            return
        settings = self.config[verb]
        path, folder = settings.ckpt_path, Path(settings.trainer.default_root_dir or ".")
        if path is None:
            if verb != "fit" and settings.model.init_args.get("init_from") is None:
                raise ValueError(
                    f"`lagem {verb}` needs trained weights: give --ckpt_path, or --model.init_args.init_from."
                )
        elif path == "last":
            if verb != "fit" and not list((folder / "checkpoints").glob("last*.ckpt")):
                raise ValueError(f"--ckpt_path last: {folder} holds no checkpoint.")
        elif path not in ("best", "hpc") and "://" not in path:
            if not is_whole(Path(path)):
                raise ValueError(f"--ckpt_path {path}: there is no such file, nor a whole folder of shares.")
            if Path(path).is_file() and not zipfile.is_zipfile(path):
                raise ValueError(f"--ckpt_path {path}: this is no checkpoint, or a damaged one.")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer with the run folder's loggers and checkpoints, its callbacks in a safe order."""
        if str(self.setting("trainer.precision")) in ("16", "16-mixed"):
            raise ValueError(
                "trainer.precision 16-mixed overflows as a matter of course, which would count as a loss that is not "
                "finite. Use bf16-mixed."
            )
        trainer = super().instantiate_trainer(**kwargs)
        writers = (lagem.callbacks.ExportMeshes, lagem.callbacks.ExportSamples, BasePredictionWriter)
        writes = any(isinstance(callback, writers) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if self.config.get("subcommand") == "predict" and not writes and not self.config.predict.return_predictions:
            raise ValueError(
                "`lagem predict` would write nothing. Add --trainer.callbacks+=ExportMeshes for an autoencoder, "
                "--trainer.callbacks+=ExportSamples for a stage of a cascade."
            )
        root = Path(trainer.default_root_dir)
        tune(trainer.strategy)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(root / "checkpoints")
            if isinstance(callback, WeightAveraging):
                check_averaging(callback, trainer.strategy)
                keep_average_on(callback, trainer.strategy.root_device)
        environment = cluster_environment(trainer)
        if isinstance(environment, SLURMEnvironment):
            environment.auto_requeue = False  # SaveOnSignal is in its place
        trainer.callbacks.append(FinalCheckpoint())  # type: ignore[attr-defined]
        savers = sum(isinstance(callback, SaveOnSignal) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if savers > 1:
            raise ValueError(f"trainer.callbacks names SaveOnSignal {savers} times, but a run has one. Leave one.")
        if savers == 0:
            trainer.callbacks.append(SaveOnSignal())  # type: ignore[attr-defined]
        # Weight averaging swaps its weights in and out around validation: out after the others looked at them.
        trainer.callbacks.sort(key=_callback_order)  # type: ignore[attr-defined]
        if not trainer.fast_dev_run and self.setting("trainer.logger") is not False:  # type: ignore[attr-defined]
            csv = CSVLogger(root, name="logs")
            configured = trainer.loggers if self.setting("trainer.logger") not in (None, True) else None
            trainer.loggers = [csv, *(configured or [TensorBoardLogger(root, name="logs", version=csv.version)])]
            keep_run_id(trainer.loggers, root)
        return trainer

    def before_fit(self) -> None:
        """Hold the run folder and choose the checkpoint to begin from; refuse to train over those of another run.

        Only rank zero holds it. Where it is refused, what started the ranks ends the others.
        """
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        root = Path(self.trainer.default_root_dir)
        kept = [c.dirpath for c in self.trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.dirpath]
        settings = self.config_init["fit"]
        with ExitStack() as held:
            if self.trainer.is_global_zero:
                held.enter_context(only_fit_in(root))
            settings.ckpt_path = starting_checkpoint(
                settings.ckpt_path, root, {root / "checkpoints", *map(Path, kept)}, requeued=was_requeued()
            )
            configuration = json.loads(self.parser_of("fit").dump(self.config["fit"], format="json"))
            log_configuration(self.trainer.loggers, configuration)
            self._held = held.pop_all()

    def fit(self, **settings: Any) -> None:
        """Train; a run that is asked to leave has saved when it does."""
        with self._held:
            self._fit(**settings)

    def _fit(self, **settings: Any) -> None:
        (saver,) = [c for c in self.trainer.callbacks if isinstance(c, SaveOnSignal)]  # type: ignore[attr-defined]
        try:
            self.trainer.fit(**settings)
        except (Exception, SIGTERMException) as error:
            if saver.followed is None:  # else it has saved, and nothing that fails on the way out matters
                if is_lost_rank(error):
                    give_up(self.trainer, error)
                raise
        if saver.followed is not None:
            if not self.trainer.is_global_zero:
                raise SystemExit(0)
            with suppress(Exception):  # W&B's service obeys SIGTERM, and may be gone
                finish_runs(self.trainer.loggers)
            leave(saver.followed, saver.saved)

    def after_fit(self) -> None:
        """Say where the results are, and the numbers of the last validation."""
        if not self.trainer.is_global_zero or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        root = Path(self.trainer.default_root_dir)
        print(f"run folder  {root}")
        checkpoints = [c for c in self.trainer.callbacks if isinstance(c, ModelCheckpoint)]  # type: ignore[attr-defined]
        for path in {c.last_model_path or c.best_model_path for c in checkpoints} - {""}:
            print(f"checkpoint  {Path(path)}")
        pictures = sorted(
            [*root.glob("meshes/*.png"), *root.glob("samples/*.png")], key=lambda path: path.stat().st_mtime
        )
        if pictures:
            print(f"picture     {pictures[-1]}\nmeshes      {pictures[-1].with_suffix('')}/")
        scores = {k: float(v) for k, v in self.trainer.callback_metrics.items() if k.startswith("val/")}
        for name, value in sorted(scores.items()):
            times_100 = f"  (x100: {100 * value:.2f})" if name in ("val/chamfer", "val/fscore") else ""
            print(f"{name:<18}{value:.4f}{times_100}")
        for command in finish_runs(self.trainer.loggers):
            print(f"upload      {command}")


def run_training(argv: list[str] | None, *, run: bool = True, cli: type[TrainingCLI] = TrainingCLI) -> TrainingCLI:
    """Parse and carry out a training verb.

    Args:
        argv: The verb and its arguments, or without `run` the arguments only; None takes those of the process.
        run: Whether to carry the verb out, or only to build model, data and trainer.
        cli: Class to build.

    Raises:
        ValueError: For every mistake in the configuration, in one line.
    """
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
    settings = {"parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False}
    per_verb = {verb: dict(settings) for verb in LightningCLI.subcommands()} if run else {}
    try:
        return cli(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            seed_everything_default=0,
            save_config_callback=RunRecord,
            save_config_kwargs={"overwrite": True, "command": sys.argv[1:] if argv is None else argv},
            parser_kwargs={**settings, **per_verb},
            trainer_defaults={"use_distributed_sampler": False},
            args=argv,
            run=run,
        )
    except (ArgumentError, MisconfigurationException, ValueError) as error:
        raise ValueError(innermost_reason(str(error))) from error


class _ParsedOnly(TrainingCLI):
    """Parses and checks a configuration, and builds nothing."""

    def set_seed(self) -> None:
        """Leave the random state unchanged."""

    def instantiate_classes(self) -> None:
        """Leave model, data and trainer unbuilt."""


def parse_experiment(config: Path) -> Namespace:
    """Settings of an experiment file, checked and with defaults filled in; nothing is built.

    Raises:
        ValueError: For every mistake in the file, in one line.
    """
    if not config.is_file():
        raise ValueError(f"{config}: there is no such file.")
    try:
        return run_training(["--config", str(config)], run=False, cli=_ParsedOnly).config
    except ValueError as error:
        raise ValueError(f"{config}: {str(error).replace(' as --config', '')}") from error


def _callback_order(callback: Callback) -> int:
    if isinstance(callback, SaveOnSignal):
        return 3
    return 2 if isinstance(callback, Checkpoint) else int(isinstance(callback, WeightAveraging))
