"""If a training needs more memory than there is, it ends with one line that says what to change."""

import re
import sys

import pytest
import torch

import small_run
from lagem.cli import main
from lagem.device import named_device, out_of_memory_message

HUNGRY = '''
import dataclasses
from lagem.data_modules import ProceduralDataModule


class Hungry(ProceduralDataModule):
    """Asks for more queries in a step than any machine has memory for."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        points = batch.volume_points
        return dataclasses.replace(batch, volume_points=points.repeat(1, 2**40, 1))
'''


def complaint(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code
    return capsys.readouterr().err.strip().splitlines()[-1]


def names_what_helps(message: str) -> bool:
    options = ("batch_size", "accumulate_grad_batches", "bf16-mixed", "checkpoint_activations", "queries", "fsdp")
    return message.startswith("lagem: error:") and all(option in message for option in options)


@pytest.mark.parametrize(
    ("width", "size"),
    [
        (64 * 2**13, r"has [\d,]+ weights, which need [\d,.]+ GiB, but"),
        (64 * 2**30, r"has weights of shape \[\d+, \d+\], which fit into no machine;"),
    ],
)
def test_a_network_that_is_too_large_for_memory_is_refused_with_its_size(tmp_path, capsys, width, size):
    message = complaint(small_run.small_fit(tmp_path, f"--model.init_args.width={width}"), capsys)
    assert re.search(rf"the network {size} this machine has [\d,.]+ GiB of memory\. Lower .*width", message), message
    assert "batch_size" not in message


@pytest.mark.parametrize(
    ("accelerator", "where"), [("cpu", "this machine"), pytest.param("gpu", "the GPU", marks=pytest.mark.gpu)]
)
def test_a_step_that_is_too_large_for_memory_is_one_line(tmp_path, capsys, monkeypatch, accelerator, where):
    (tmp_path / "hungry_data.py").write_text(HUNGRY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hungry_data", raising=False)
    arguments = ["--data.class_path=hungry_data.Hungry", f"--trainer.accelerator={accelerator}", *small_run.SMALL_DATA]
    message = complaint(small_run.small_fit(tmp_path / "run", *arguments), capsys)
    assert f"{where} is out of memory" in message and names_what_helps(message)


def test_a_batch_that_is_too_large_for_memory_is_one_line(tmp_path, capsys):
    message = complaint(small_run.small_fit(tmp_path, f"--data.init_args.num_volume_queries={2**44}"), capsys)
    assert "out of memory" in message and names_what_helps(message)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has"),
         "the GPU is out of memory, requested 20.00 GiB more."),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
         "the GPU is out of memory."),
        (MemoryError(), "this machine is out of memory."),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "this machine is out of memory."),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
    ],
)  # fmt: skip
def test_only_a_lack_of_memory_is_called_so(error, expected):
    message = out_of_memory_message(error, training=False)
    assert message is expected or message.startswith(expected)


@pytest.mark.parametrize(("name", "reason"), [("meta", "stores no values"), ("gpu", "cannot be used here")])
def test_a_device_that_cannot_compute_is_refused(name, reason):
    with pytest.raises(ValueError, match=f"--device {name} {reason}"):
        named_device(name)
