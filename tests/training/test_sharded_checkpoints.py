"""A run resumes exactly from a sharded checkpoint, which is a folder.

A sharded checkpoint is refused if loading it would run code.
"""

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed.checkpoint as dcp
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy

import small_run
from deadlines import HANG
from lagem.training.checkpoints import AtomicCheckpointIO
from lagem.training.strategies import load_without_code, tune
from lagem.weights.sharded import load_sharded

# All runs are in one new process, because a process stays in torch's process group after a training. A run of lagem
# saves whole files; the first run is changed to save a folder, as Lightning does by default.
SCRIPT = """
    import os, pickle, shutil, sys
    from pathlib import Path

    from torch.distributed.checkpoint import FileSystemReader

    import lagem.training.strategies as strategies
    from lagem.cli import main

    sys.path.insert(0, {support!r})
    import small_run

    root = Path({root!r})
    layers = ["--trainer.strategy={{class_path: ModelParallelStrategy}}", "--model.init_args.optimizer=adamw",
              "--trainer.callbacks=[{{class_path: ModelCheckpoint, init_args:"
              " {{save_last: true, every_n_train_steps: 2, save_top_k: -1}}}}]"]


    def run(folder, *more, verb="fit"):
        try:
            main([verb, *small_run.small_fit(folder, *layers, *more, steps=3)[1:]])
        except SystemExit as stop:
            return stop.code
        return 0


    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(root / "marker"),)


    def poison(folder):
        metadata = FileSystemReader(folder).read_metadata()
        metadata.planner_data = Payload()
        (folder / ".metadata").write_bytes(pickle.dumps(metadata))


    save_whole = strategies.save_whole_checkpoints
    strategies.save_whole_checkpoints = lambda strategy: None
    print("begun", run(root / "run"))
    strategies.save_whole_checkpoints = save_whole
    print("whole", run(root / "whole"))
    shutil.rmtree(root / "run" / "checkpoints" / "last.ckpt")  # as if it had stopped after two steps
    honest = root / "run" / "checkpoints" / "epoch=0-step=2.ckpt"
    assert (honest / ".metadata").is_file()
    shutil.copytree(root / "run", root / "last")
    shutil.copytree(honest, root / "bad.ckpt")
    print("resumed", run(root / "run", "--ckpt_path=last"))
    for folder in (root / "bad.ckpt", root / "last" / "checkpoints" / honest.name):
        poison(folder)
    print("folder", run(root / "new", f"--ckpt_path={{root / 'bad.ckpt'}}"))
    print("trusting", run(root / "new", f"--ckpt_path={{root / 'bad.ckpt'}}", "--weights_only=false"))
    print("last", run(root / "last", "--ckpt_path=last"))
    print("validate", run(root / "val", f"--ckpt_path={{root / 'bad.ckpt'}}", verb="validate"))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> SimpleNamespace:
    """Resume from harmless and hostile folders; return their exit codes, the output, and the root folder."""
    root = tmp_path_factory.mktemp("folders")
    script = textwrap.dedent(SCRIPT).format(root=str(root), support=str(Path(small_run.__file__).parent))
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG)
    codes = dict(line.split() for line in process.stdout.splitlines() if len(line.split()) == 2)
    errors = [line for line in process.stderr.splitlines() if line.startswith("lagem: error:")]
    assert process.returncode == 0, process.stderr[-3000:]
    return SimpleNamespace(root=root, codes=codes, errors=errors, stderr=process.stderr, stdout=process.stdout)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_an_honest_folder_resumes_as_if_the_run_had_not_stopped(runs):
    assert (runs.codes["whole"], runs.codes["begun"], runs.codes["resumed"]) == ("0", "0", "0"), runs.stderr[-3000:]
    whole, resumed = weights(runs.root / "whole"), weights(runs.root / "run")
    assert f"after step 2 from {runs.root / 'run' / 'checkpoints' / 'epoch=0-step=2.ckpt'}" in runs.stdout
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("route", ["folder", "trusting", "last", "validate"])
def test_a_folder_with_a_payload_is_refused_by_one_line(runs, route):
    assert runs.codes[route] == "2", runs.stderr[-3000:]
    folder, trusting, last, validate = runs.errors
    assert all(".metadata: refused, because the file names posix.mkdir" in line for line in (folder, last, validate))
    assert "weights_only" in trusting
    assert "Traceback" not in runs.stderr


def test_no_payload_has_run(runs):
    assert not (runs.root / "marker").exists()


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.mkdir, (self.marker,)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_fsdp1_refuses_code_in_a_file_and_every_folder(tmp_path, kind):
    """FSDP1's own loaders would run pickled code. This test does not train, because FSDP1 trains only on GPUs."""
    strategy = FSDPStrategy()
    tune(strategy)
    strategy.model, strategy._lightning_module = torch.nn.Linear(2, 2), LightningModule()
    if kind == "file":
        torch.save({"state_dict": Payload(tmp_path / "marker")}, tmp_path / "a.ckpt")
    else:
        dcp.save({"model": strategy.model.state_dict()}, checkpoint_id=tmp_path / "a.ckpt", no_dist=True)
        torch.save({}, tmp_path / "a.ckpt" / "meta.pt")
    with pytest.raises(ValueError, match="would run code" if kind == "file" else "sharded checkpoint of FSDP1"):
        strategy.load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("damaged", ["a.ckpt", "a.ckpt/meta.pt"])
def test_sharded_strategies_name_a_damaged_file(tmp_path, damaged):
    strategy = FSDPStrategy()
    tune(strategy)
    file = tmp_path / damaged
    file.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": {"weight": torch.ones(99)}}, file)
    content = bytearray(file.read_bytes())
    content[content.index(b"state_dict")] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{damaged}: a damaged checkpoint .*; copy the file again"):
        strategy.load_checkpoint(tmp_path / "a.ckpt")


@pytest.fixture
def of_fsdp1(tmp_path) -> Path:
    """Write a checkpoint folder in the layout of FSDP1, which itself cannot run without a GPU."""
    torch.manual_seed(0)
    folder, network = tmp_path / "fsdp1", torch.nn.Linear(2, 3)
    dcp.save({"model": network.state_dict(), "optimizer_0": {"lr": 0.5}}, checkpoint_id=folder, no_dist=True)
    torch.save({"global_step": 2}, folder / "meta.pt")
    return folder


@pytest.mark.parametrize("way", ["one device", "FSDP2", "DeepSpeed"])
def test_a_folder_of_fsdp1_is_refused_with_what_to_do(way, of_fsdp1):
    deepspeed = DeepSpeedStrategy.__new__(DeepSpeedStrategy)
    load_without_code(deepspeed)
    loads = {
        "one device": AtomicCheckpointIO().load_checkpoint,
        "FSDP2": lambda folder: load_sharded({"state_dict": torch.nn.Linear(2, 3).state_dict()}, folder),
        "DeepSpeed": deepspeed.load_checkpoint,
    }
    with pytest.raises(ValueError, match="fsdp1: a sharded checkpoint of FSDP1, .*consolidate_checkpoint .*fsdp1"):
        loads[way](of_fsdp1)


@pytest.mark.slow
def test_what_to_do_with_a_folder_of_fsdp1_makes_a_file_with_its_weights(of_fsdp1):
    command = [sys.executable, "-m", "lightning.pytorch.utilities.consolidate_checkpoint", str(of_fsdp1)]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG)
    loaded = AtomicCheckpointIO().load_checkpoint(of_fsdp1.with_name("fsdp1.consolidated"))
    torch.manual_seed(0)
    assert torch.equal(loaded["state_dict"]["weight"], torch.nn.Linear(2, 3).weight)


def test_deepspeed_loads_no_checkpoint():
    strategy = DeepSpeedStrategy.__new__(DeepSpeedStrategy)  # the package is not installed
    load_without_code(strategy)
    with pytest.raises(ValueError, match="DeepSpeed.*would run code"):
        strategy.load_checkpoint("folder")


def test_one_device_names_what_loads_a_folder(tmp_path):
    folder = tmp_path / "folder"
    dcp.save({"state_dict": {"weight": torch.ones(2)}}, checkpoint_id=folder, no_dist=True)
    with pytest.raises(ValueError, match="a sharded checkpoint, which only FSDP2 can load"):
        AtomicCheckpointIO().load_checkpoint(folder)
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(Payload(tmp_path / "marker")))
    with pytest.raises(ValueError):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "marker").exists()
