"""A Lightning profiler that charges each moment of a fit to one section: forward, backward, optimiser, data, …"""

import time
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from lightning.pytorch.profilers import Profiler

from lagem.storage.atomic import write_json

INSIDE = ("forward", "backward", "optimiser")
SECTIONS = {
    "*Strategy.training_step": "forward",
    "*Strategy.backward": "backward",
    "*.optimizer_step": "optimiser",
    "*.train_dataloader_next": "data",
    "*.batch_to_device": "data",
    "*.val_next": "validation loss",
    "*Strategy.validation_step": "validation loss",
    "run_training_epoch": "loop and logging",
}
OUTSIDE = "start and end"


class Sections(Profiler):
    """Measures the wall-clock and CPU seconds of each section of a fit, without those of sections inside it.

    Each callback is a section. An action of Lightning that belongs to no section counts towards the section around it.
    CPU seconds leave out the processes that load data. With CUDA, the profiler waits for the GPU whenever a section
    starts or ends, so that work on the GPU counts towards the section that started the work. This makes a fit slower.

    Args:
        output: JSON file to write at the end, with the (wall-clock, CPU) seconds of each section.
    """

    def __init__(self, output: Path) -> None:
        super().__init__()
        self.output = output
        self._open: list[str] = [OUTSIDE]
        self._last: tuple[float, float] | None = None
        self._seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def start(self, action_name: str) -> None:
        """Enter an action. The time since the last `start` or `stop` counts towards the section around the action."""
        self._charge()
        self._open.append(section_of(action_name) or self._open[-1])

    def stop(self, action_name: str) -> None:
        """Leave an action. The time since the last `start` or `stop` counts towards the section of the action."""
        self._charge()
        self._open.pop()

    def describe(self) -> None:
        """Write the seconds of all sections to the file."""
        self._charge()
        write_json(self.output, self._seconds)

    def _charge(self) -> None:
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        now = time.perf_counter(), time.process_time()
        if self._last is not None:
            spent = self._seconds[self._open[-1]]
            for clock in range(2):
                spent[clock] += now[clock] - self._last[clock]
        self._last = now


def section_of(action: str) -> str | None:
    """Return the section of an action of Lightning's profiler; None if it counts towards the section around it."""
    if action.startswith("[Callback]"):
        return action.removeprefix("[Callback]").split("{")[0].rsplit(".", 1)[0].split(".")[0]
    return next((section for pattern, section in SECTIONS.items() if fnmatchcase(action, pattern)), None)
