"""What all tests share: one thread, a fixed seed, a clean environment, and no silent skips.

A skipped test has not run, so it counts as failed, unless its reason is on `ALLOWED_SKIPS` and true on this machine.
"""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start

import torch

gc.disable()  # until the tests are collected: imports make many objects and hardly any garbage

# What a scheduler, a launcher or an account leaves in the environment would steer Lightning and W&B.
FOREIGN_PREFIXES = ("SLURM_", "PL_", "WANDB_", "TORCHELASTIC_")
FOREIGN_NAMES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")

ALLOWED_SKIPS = (
    "needs ../shared",
    "needs torch-cluster",
    "needs torch-quickfps",
    "needs CUDA",
    "needs SLURM",
    "needs Chromium",
    "needs transformers",
    "needs cod-vae",
    "needs Linux",
)
TESTS = Path(__file__).resolve().parent
SHARED = TESTS.parents[1] / "shared"

for variable in list(os.environ):
    if variable.startswith(FOREIGN_PREFIXES) or variable in FOREIGN_NAMES:
        del os.environ[variable]
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_ERROR_REPORTING"] = "false"
# The tests sync some ten thousand files and folders, which costs a disk milliseconds each and memory nothing.
IN_MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)  # pytest has already asked for the folder
os.environ["COLUMNS"] = "120"  # tables and help texts wrap at one width, with and without a terminal
torch.set_num_threads(1)
# A shell's background job ignores SIGINT, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    # Without this, every full collection visits the objects of all imported libraries, which took a tenth of the time.
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _same_draws_in_every_order() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_meshes() -> Path:
    """Return the folder of real meshes, which is next to the checkout; skip the test if it is missing."""
    folder = SHARED / "meshes"
    if not folder.is_dir():
        pytest.skip("needs ../shared/meshes")
    return folder


def objection_to_skip(reason: str) -> str | None:
    """Return why a test may not be skipped for `reason` on this machine; None if it may."""
    if not reason.startswith(ALLOWED_SKIPS):
        return "the reason is not on ALLOWED_SKIPS in tests/conftest.py"
    if reason.startswith("needs ../shared") and SHARED.is_dir():
        return "../shared is there, so its tests must run"
    if reason.startswith("needs torch-cluster") and os.environ.get("CI") == "true":
        return ".ci/run installs torch-cluster, so its tests must run"
    if reason.startswith("needs Chromium") and os.environ.get("CI") == "true":
        return ".ci/run installs Chromium, so its tests must run"
    if reason.startswith("needs SLURM") and os.environ.get("CI") == "true":
        return "make test-cluster installs SLURM, so its tests must run"
    if reason.startswith("needs Linux") and sys.platform == "linux":
        return "this is Linux"
    if reason.startswith("needs CUDA") and torch.cuda.is_available():
        return "this machine has CUDA, so its tests must run"
    return None


def refuse_unlisted_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure if `objection_to_skip` objects; an expected failure (xfail) is not a skip."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return
    path, line, reason = report.longrepr
    reason = reason.removeprefix("Skipped: ")
    objection = objection_to_skip(reason)
    if objection is not None:
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped with {reason!r}, but {objection}."


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    refuse_unlisted_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    refuse_unlisted_skip(report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first the files that run whole commands: they take longest, so all workers end at about the same time."""
    items.sort(key=lambda item: item.path.parent not in (TESTS, TESTS / "training"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
