"""Tests of the messages of Lightning that lagem does not print."""

import logging
from pathlib import Path

import lightning
import pytest
import torch

from lagem.lightning_private.messages import INFORMATION, WARNINGS, is_useful

SOURCES = [path.read_text() for path in Path(lightning.__file__).parent.rglob("*.py")]
SOURCES.append((Path(torch.__file__).parent / "utils" / "_pytree.py").read_text())  # warns when Lightning calls it


@pytest.mark.parametrize("beginning", [*INFORMATION, *WARNINGS])
def test_lightning_still_has_the_message(beginning):
    """Some source file has all words of the message; they may be apart, as Lightning builds messages from parts."""
    assert any(all(word in source for word in beginning.split()) for source in SOURCES)


@pytest.mark.parametrize(
    ("message", "useful"),
    [
        ("Seed set to 0", False),
        ("[rank: 1] Seed set to 0", False),
        ("`Trainer.fit` stopped: `max_steps=6` reached.", False),
        ("`Trainer.fit` stopped: No training batches.", True),
        ("Time limit reached. Elapsed time is 1:00:00. Signaling Trainer to stop.", True),
    ],
)
def test_only_listed_messages_are_left_out(message, useful):
    assert is_useful(logging.LogRecord("lightning", logging.INFO, "", 0, message, None, None)) == useful
