"""Check that the precision, the memory and the loading of data of an experiment suit this machine."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule

from lagem.diagnosis.finding import MOST_CONFIDENT, Finding
from lagem.models.autoencoder import Autoencoder
from lagem.models.cost import TrainingCost
from lagem.samples import OccupancyBatch

BYTES_OF_A_PARAMETER = 16  # weight, gradient and two moments in float32
MOST_ROUNDING = 0.2  # largest rounding error of logits, divided by their standard deviation
SLOW, VERY_SLOW = 1.0, 3.0  # time to load a batch, divided by the time of a training step
TIMED_BATCHES = 6


def check_precision(
    precision: str | None, accelerator: str, autoencoder: Autoencoder, batch: OccupancyBatch
) -> list[Finding]:
    """Report a precision that overflows, rounds small updates of weights away, is inaccurate, or is slow on a CPU.

    It is inaccurate if it changes the logits of the untrained network too much.

    Args:
        precision: The setting trainer.precision.
        accelerator: Where the experiment trains on this machine: `cpu` or `gpu`.
        autoencoder: The untrained network.
        batch: A batch of at least one shape.
    """
    name = str(precision)
    if name in ("16", "16-mixed", "16-true"):
        return [
            _precision("error", MOST_CONFIDENT, name, "overflows in ordinary trainings; `lagem fit` refuses 16-mixed.")
        ]
    if name.endswith("-true") and not name.startswith(("32", "64")):
        return [_precision("warning", 0.9, name, "keeps weights in 16 bits, which rounds small updates away.")]
    if not name.startswith("bf16"):
        return []
    device = "cuda" if accelerator == "gpu" else "cpu"
    network, points = autoencoder.to(device), batch.surface_points[:1].to(device)
    queries = batch.volume_points[:1].to(device)
    with torch.no_grad():
        exact = network(points, queries).logits.float()
        with torch.autocast(device, torch.bfloat16):
            rounded = network(points, queries).logits.float()
    error = float((rounded - exact).square().mean().sqrt() / exact.std().clamp_min(1e-6))
    if not error <= MOST_ROUNDING:
        return [
            _precision(
                "warning",
                0.8,
                name,
                f"changes the logits of the untrained network by {error:.0%} of their spread on this {device}.",
                error=error,
            )
        ]
    if device == "cpu":
        problem = "is 1.5 to 1.8 times slower than float32 on a CPU that has no instructions for bfloat16."
        return [_precision("note", 0.9, name, problem)]
    return []


def _precision(severity: str, confidence: float, name: str, problem: str, **evidence: float) -> Finding:
    return Finding(
        check="precision",
        severity=severity,  # type: ignore[arg-type]
        confidence=confidence,
        what=f"trainer.precision {name} {problem}",
        advice="Use bf16-mixed on a GPU and 32-true on a CPU, as `precision: null` does.",
        evidence={"precision": name, **evidence},
    )


def check_memory(cost: TrainingCost, *, accelerator: str, wants_gpu: bool) -> list[Finding]:
    """Report if a training step needs more memory than the device has, or if there is no GPU to check this on."""
    needed = cost.parameters * BYTES_OF_A_PARAMETER + cost.saved_bytes
    evidence = {"needed_bytes": needed, "parameters": cost.parameters, "activation_bytes": cost.saved_bytes}
    words = f"A training step needs about {needed / 2**30:.1f} GiB"
    if wants_gpu and accelerator == "cpu":
        what = (
            f"{words} on each GPU. This machine has no GPU, so precision, memory and loading were not checked on a GPU."
        )
        return [_memory("note", 0.9, what, evidence)]
    free = _memory_of(accelerator)
    if free is None or needed <= free:
        return []
    return [
        _memory("error", 0.9, f"{words}, but the {accelerator} has {free / 2**30:.1f} GiB.", {**evidence, "free": free})
    ]


def _memory(severity: str, confidence: float, what: str, evidence: dict[str, int]) -> Finding:
    return Finding(
        check="memory",
        severity=severity,  # type: ignore[arg-type]
        confidence=confidence,
        what=what,
        advice="Lower data.init_args.batch_size, or set model.init_args.step to leanest or checkpoint_activations to "
        "true; `lagem describe` prints what each needs.",
        evidence=evidence,
    )


def _memory_of(accelerator: str) -> int | None:
    if accelerator == "gpu":
        return torch.cuda.mem_get_info()[1]
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def seconds_per_batch(data: LightningDataModule) -> float:
    """Return the mean time in seconds to load a training batch after the first one, with the configured workers."""
    loader: Iterator[object] = iter(data.train_dataloader())
    next(loader)
    start, count = time.monotonic(), 0
    for _ in range(TIMED_BATCHES):
        if next(loader, None) is None:
            break
        count += 1
    return (time.monotonic() - start) / count if count else 0.0


def judge_loader(loading: float, step: float, *, workers: int) -> list[Finding]:
    """Report if loading a batch takes longer than a training step on it.

    Args:
        loading: Seconds to load one batch.
        step: Seconds of one training step on one batch.
        workers: The setting num_workers.
    """
    ratio = loading / step if step > 0 else 0.0
    if ratio <= SLOW:
        return []
    return [
        Finding(
            check="loader",
            severity="warning" if ratio > VERY_SLOW else "note",
            confidence=0.8 if ratio > VERY_SLOW else 0.5,
            what=f"Loading a batch takes {loading:.2f} s, but training on it takes only {step:.2f} s: the device would "
            "wait for data.",
            advice=f"Raise data.init_args.num_workers from {workers}, or put the data on a local disk.",
            evidence={"seconds_per_batch": loading, "seconds_per_step": step, "num_workers": workers},
        )
    ]
