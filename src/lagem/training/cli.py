"""The commands `lagem fit | validate | test | predict`: a LightningCLI with the defaults that all runs share.

The run folder is `trainer.default_root_dir`. It holds the folder checkpoints/, from which `--ckpt_path last` resumes;
for each start, a folder logs/version_k/ with metrics.csv, TensorBoard events and the resolved config.yaml; and the
record that `run_record.py` writes.
"""

import json
import sys
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace, set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf.errors import OmegaConfBaseException

# Importing these three packages lets YAML files name their classes without a module.
import lagem.callbacks
import lagem.data_modules
import lagem.modules  # noqa: F401
from lagem.callbacks.save_on_signal import SaveOnSignal
from lagem.configuration.jsonargparse_files import MODE, RefusedConfigurationError, checked_configurations
from lagem.configuration.yaml_text import check_yaml, read_yaml_text
from lagem.lightning_private.command_line import OpenCLI
from lagem.lightning_private.messages import hide_useless_messages
from lagem.storage.failures import FULL, failures_named
from lagem.storage.names import regular
from lagem.training.announcement import StartBlock, print_end, print_row
from lagem.training.checkpoints import is_whole, starting_checkpoint
from lagem.training.mistakes import innermost_reason, no_checkpoint
from lagem.training.one_fit import only_fit_in
from lagem.training.run_record import RunRecord
from lagem.training.stopping import exit_after_lost_rank, exit_after_signal, is_lost_rank, was_requeued
from lagem.training.tracking import finish_runs, log_configuration
from lagem.training.trainer import (
    callbacks_of,
    check_precision,
    check_predictions_are_written,
    precision_for,
    prepare_trainer,
    with_progress,
)


class TrainingCLI(OpenCLI):
    """A LightningCLI with one seed for model and data, and with checks before and after a run."""

    _run_folder_lock = ExitStack()  # closed when the fit ends

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add `--quiet`, and give the data module the run's seed."""
        parser.add_argument("--quiet", action="store_true", help="print only warnings and errors")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=int)

    def adjust_parser(self, parser: LightningArgumentParser, verb: str) -> None:
        """Change the defaults of a verb: load only plain data from checkpoints, and keep no predictions in memory.

        Predictions need not be kept, because a callback writes each batch of them.
        """
        parser.set_defaults(weights_only=True)
        if verb == "predict":
            parser.set_defaults(return_predictions=False)

    def check_settings(self) -> None:
        """Check some settings before anything is built.

        Trainer, model and data must be mappings, `weights_only` must be true, and the weights that the verb needs must
        be given and exist.
        """
        verb = self.config.get("subcommand")
        settings = self.config if verb is None else self.config[verb]
        for part in ("trainer", "model", "data"):
            if not isinstance(settings.get(part), Namespace):
                raise ValueError(f"{part} must be a mapping of its settings, but it is {settings.get(part)!r:.80}.")
        if verb is None:
            return
        if not settings.weights_only:
            raise ValueError("weights_only must be true, so that no checkpoint can run code; leave this setting out.")
        path, folder = settings.ckpt_path, Path(settings.trainer.default_root_dir or ".")
        if path is None:
            if verb != "fit" and settings.model.init_args.get("init_from") is None:
                raise ValueError(
                    f"`lagem {verb}` needs trained weights; give --ckpt_path or --model.init_args.init_from."
                )
        elif path == "last":
            if verb != "fit" and not list((folder / "checkpoints").glob("last*.ckpt")):
                raise ValueError(f"--ckpt_path last: {folder} holds no last checkpoint; give the path of one.")
        elif path not in ("best", "hpc") and "://" not in path:
            if not is_whole(Path(path)):
                raise ValueError(no_checkpoint(path))
            if Path(path).is_file() and not zipfile.is_zipfile(path):
                raise ValueError(f"--ckpt_path {path}: not a checkpoint, or a damaged one; give another.")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the configured trainer, prepared for a run by `prepare_trainer`."""
        precision = self.setting("trainer.precision")
        check_precision(precision)
        if precision is None and not self.setting("trainer.plugins"):
            kwargs["precision"] = precision_for(self.setting("trainer.accelerator"))
        quiet = self.setting("quiet")
        if quiet:
            kwargs["enable_progress_bar"] = False
        elif self.setting("trainer.enable_progress_bar") is not False:
            kwargs["callbacks"] = with_progress(self.built("trainer.callbacks"))
        try:
            trainer = super().instantiate_trainer(**kwargs)
        except RuntimeError as error:
            if "--ntasks" in str(error):  # Lightning reports that the SLURM job has too few or too many tasks
                raise ValueError(str(error)) from error
            raise
        if self.config.get("subcommand") == "predict" and not self.config.predict.return_predictions:
            check_predictions_are_written(trainer)
        prepare_trainer(trainer, logger=self.setting("trainer.logger"))
        if not quiet:
            callbacks_of(trainer).insert(0, StartBlock())
        return trainer

    def before_fit(self) -> None:
        """Lock the run folder, choose the checkpoint to start from, and refuse to overwrite another run.

        Only rank zero locks the folder. If it cannot, it raises ValueError, and the launcher ends the other ranks.
        """
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        root = Path(self.trainer.default_root_dir)
        kept = [c.dirpath for c in self.trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.dirpath]
        settings = self.config_init["fit"]
        with ExitStack() as locks:
            if self.trainer.is_global_zero:
                locks.enter_context(only_fit_in(root))
            settings.ckpt_path = starting_checkpoint(
                settings.ckpt_path, root, {root / "checkpoints", *map(Path, kept)}, requeued=was_requeued()
            )
            configuration = json.loads(self.parser_of("fit").dump(self.config["fit"], format="json"))
            log_configuration(self.trainer.loggers, configuration)
            self._run_folder_lock = locks.pop_all()

    def fit(self, **settings: Any) -> None:
        """Train. A run that receives a signal saves a checkpoint before it exits."""
        (saver,) = [callback for callback in callbacks_of(self.trainer) if isinstance(callback, SaveOnSignal)]
        with self._run_folder_lock:
            try:
                with failures_named(Path(self.trainer.default_root_dir), only=FULL):  # a logger's error may lack a path
                    self.trainer.fit(**settings)
            except (Exception, SIGTERMException) as error:
                if saver.stopped_by is None:  # if it is set, the run has saved, and later errors do not matter
                    if is_lost_rank(error):
                        exit_after_lost_rank(self.trainer, error)
                    raise
            if saver.stopped_by is not None:
                if not self.trainer.is_global_zero:
                    raise SystemExit(0)
                with suppress(Exception):  # W&B's service may have exited on the SIGTERM
                    finish_runs(self.trainer.loggers)
                exit_after_signal(saver.stopped_by, saver.saved)

    def after_fit(self) -> None:
        """Print where the results are, the scores of the last validation, and what to do next."""
        if not self.trainer.is_global_zero or self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        quiet = self.setting("quiet")
        if not quiet:
            print_end(self.trainer, self.model, self.datamodule)
        for command in finish_runs(self.trainer.loggers):
            if not quiet:
                print_row("upload", command, wraps=False)


def run_training(argv: list[str] | None, *, run: bool = True, cli: type[TrainingCLI] = TrainingCLI) -> TrainingCLI:
    """Parse a training verb and run it.

    Args:
        argv: The verb and its arguments or, if `run` is False, only the arguments. If it is None, the arguments
            of this process are parsed instead.
        run: Whether to run the verb; if not, only model, data and trainer are built.
        cli: Class of the command-line interface.

    Returns:
        The command-line interface, with its trainer, model and data.

    Raises:
        ValueError: If the configuration is wrong; the message is one line.
    """
    hide_useless_messages()
    # classes and functions that a configuration names are checked before they are imported; see docs/security.md
    set_parsing_settings(import_path_denylist=sorted(sys.stdlib_module_names), instantiate_subclass_spec_in_any=False)
    settings = {"parser_mode": MODE, "exit_on_error": False, "allow_abbrev": False}
    per_verb = {verb: dict(settings) for verb in LightningCLI.subcommands()} if run else {}
    try:
        with checked_configurations(read_yaml_text, check_yaml):
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
                trainer_defaults={"use_distributed_sampler": False, "enable_model_summary": False},
                args=argv,
                run=run,
            )
    except RefusedConfigurationError as error:
        raise ValueError(str(error)) from error
    except (ArgumentError, MisconfigurationException, OmegaConfBaseException, ValueError) as error:
        raise ValueError(innermost_reason(str(error))) from error


class _ParsedOnly(TrainingCLI):
    """Parses and checks a configuration without building anything."""

    def set_seed(self) -> None:
        """Leave the random state unchanged."""

    def instantiate_classes(self) -> None:
        """Leave model, data and trainer unbuilt."""


def parse_experiment(config: Path, overrides: Sequence[str] = ()) -> Namespace:
    """Return the settings of an experiment file, checked and completed with defaults, without building anything.

    Args:
        config: The file.
        overrides: Options as after `lagem fit --config FILE`, such as `--data.init_args.root DIR`.

    Raises:
        ValueError: If the file is missing or wrong; the message is one line.
    """
    try:
        regular(config)
    except FileNotFoundError:
        raise ValueError(f"{config}: there is no such file.") from None
    try:
        return run_training(["--config", str(config), *overrides], run=False, cli=_ParsedOnly).config
    except ValueError as error:
        reason = str(error).removeprefix(f"{config}: ").replace(" as --config", "")
        raise ValueError(f"{config}: {reason}") from error
