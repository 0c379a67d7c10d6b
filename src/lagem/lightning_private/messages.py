"""Suppresses messages of Lightning that do not help the users of `lagem fit`; all other messages are printed.

A message is recognised by its exact beginning, because Lightning has no setting for single messages. For each
entry, there is a test that fails if Lightning changes the text.
"""

import logging
import re
import warnings

# Beginning of the message, and why it is not printed.
INFORMATION = {
    "Seed set to ": "the seed is in the experiment and in the run's config.yaml",
    "GPU available: ": "the start block names the device",
    "TPU available: ": "nothing of lagem runs on a TPU",
    "💡 Tip: ": "an advertisement",
    "Using bfloat16 Automatic Mixed Precision (AMP)": "the start block names the precision",
    "Loading `train_dataloader` to estimate number of stepping batches.": "it takes no noticeable time",
    "`Trainer.fit` stopped: `max_steps=": "the training has ended as the start block said",
    "`Trainer.fit` stopped: `max_epochs=": "the training has ended as the start block said",
    "Restoring states from the checkpoint path at ": "the start block names the checkpoint",
    "Restored all states from the checkpoint at ": "the start block names the checkpoint",
    "Found current_model_state in the checkpoint. ": "a resumed run continues its average of the weights",
}
WARNINGS = {
    "The `srun` command is available on your system but is not used.": (
        "jobs of `lagem submit` use it, and any other fit is meant to run on this machine"
    ),
    "Checkpoint directory ": "the folder holds files only if a run is resumed, because lagem refuses to mix two runs",
    "The number of training batches (": "steps are counted over epochs, so a short epoch does not prevent logging",
    "`isinstance(treespec, LeafSpec)` is deprecated": "it is about Lightning's use of torch",
    "LightningCLI's args parameter is intended to run from within Python": "that is how lagem.cli.main runs it",
    "You're using the WeightAveraging callback, but loading a checkpoint outside the 'fit' stage.": (
        "the weights of a checkpoint are the averaged ones"
    ),
    "You're using the WeightAveraging callback with a model that overrides the configure_model ": (
        "lagem's configure_model acts only if weights are sharded, and then lagem refuses averaging"
    ),
}
LOGGERS = (
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "lightning.pytorch.utilities.rank_zero",
)
RANK = re.compile(r"\[rank: \d+\] ")


def hide_useless_messages() -> None:
    """Suppress the messages in INFORMATION and WARNINGS for the rest of this process."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(is_useful)  # a logger keeps each filter once
    for beginning in WARNINGS:
        warnings.filterwarnings("ignore", message=re.escape(beginning))


def is_useful(record: logging.LogRecord) -> bool:
    """Return whether to print a message of Lightning; False if it begins with one of the texts in INFORMATION."""
    return not RANK.sub("", record.getMessage(), count=1).startswith(tuple(INFORMATION))
