"""Tests of the checkpoints of a run: which one a fit starts from, and which ones are refused."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from lagem.cli import main
from lagem.training.checkpoints import AtomicCheckpointIO, starting_checkpoint, steps_of
from small_run import small_fit


def save(path: Path, step: int, **more) -> None:
    torch.save({"global_step": step, "state_dict": {"weight": torch.zeros(3)}, "optimizer_states": [], **more}, path)


@pytest.fixture
def run(tmp_path) -> Path:
    """Make a run folder with three checkpoints; the one with the most steps, last.ckpt, is the oldest file."""
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    for age, (name, step) in enumerate([("last", 30), ("epoch=0-step=20", 20), ("last-v1", 10)]):
        save(folder / f"{name}.ckpt", step)
        os.utime(folder / f"{name}.ckpt", (age, age))
    return folder.parent


def start(run: Path, requested: str | None, *, requeued: bool = False) -> str | None:
    return starting_checkpoint(requested, run, [run / "checkpoints"], requeued=requeued)


def test_the_last_checkpoint_is_that_of_the_largest_step(run):
    assert start(run, "last") == str(run / "checkpoints" / "last.ckpt")


def test_a_requeued_job_resumes_by_itself(run):
    assert start(run, None, requeued=True) == start(run, "last")


def test_a_requeued_job_does_not_start_again_from_the_checkpoint_that_it_first_started_from(run, tmp_path):
    other = tmp_path / "other.ckpt"
    save(other, 99)
    assert start(run, str(other), requeued=True) == start(run, "last")


def test_a_requeued_job_that_had_not_saved_starts_as_before(tmp_path):
    assert start(tmp_path, None, requeued=True) is None
    assert start(tmp_path, "other.ckpt", requeued=True) == "other.ckpt"
    assert start(tmp_path, "last", requeued=True) == "last"


def test_a_new_job_does_not_mix_its_run_with_the_one_in_the_folder(run, tmp_path):
    for requested in (None, str(run / "checkpoints" / "epoch=0-step=20.ckpt"), str(tmp_path / "absent.ckpt")):
        with pytest.raises(
            ValueError, match="already holds a run .3 checkpoints, the last at step 30.*--ckpt_path last"
        ):
            start(run, requested)


def test_a_run_of_one_checkpoint_is_said_to_have_one(tmp_path):
    save(tmp_path / "last.ckpt", 68)
    with pytest.raises(ValueError, match="a run .1 checkpoint, the last at step 68.[.]"):
        starting_checkpoint(None, tmp_path, [tmp_path], requeued=False)


def test_the_last_checkpoint_may_be_named_by_its_path(run):
    path = str(run / "checkpoints" / "last.ckpt")
    assert start(run, path) == path


def test_a_damaged_checkpoint_is_reported_and_not_skipped(run):
    (run / "checkpoints" / "last.ckpt").write_bytes(b"half")
    with pytest.raises(ValueError, match="last.ckpt: not a checkpoint, or a damaged one"):
        start(run, "last")


def test_an_incomplete_folder_is_no_checkpoint(run):
    (run / "checkpoints" / "sharded.ckpt").mkdir()
    assert start(run, "last") == str(run / "checkpoints" / "last.ckpt")


def test_a_sharded_checkpoint_is_resumed_by_its_step(run):
    (run / "checkpoints" / "sharded.ckpt").mkdir()
    torch.save(
        {"global_step": 50, "lr_schedulers": [], "callbacks": {}}, run / "checkpoints" / "sharded.ckpt" / "meta.pt"
    )
    assert start(run, "last") == str(run / "checkpoints" / "sharded.ckpt")


def test_a_checkpoint_of_weights_alone_is_not_resumed(run):
    save(run / "checkpoints" / "best.ckpt", 40, optimizer_states=None)
    assert start(run, "last") == str(run / "checkpoints" / "last.ckpt")
    (run / "checkpoints" / "best.ckpt").rename(run / "best.ckpt")
    assert starting_checkpoint(None, run, [run], requeued=True) is None


def test_what_a_kill_left_of_a_save_is_no_checkpoint_and_goes_with_the_next_save(run):
    left = run / "checkpoints" / f".last.ckpt.{'0' * 16}.tmp.ckpt"
    left.write_bytes(b"half")
    assert start(run, "last") == str(run / "checkpoints" / "last.ckpt")
    AtomicCheckpointIO().save_checkpoint({"global_step": 40, "optimizer_states": []}, run / "checkpoints" / "last.ckpt")
    assert not left.exists()
    assert torch.load(run / "checkpoints" / "last.ckpt")["global_step"] == 40


def recorded(tmp_path: Path, **changes: object) -> Path:
    """Write a file a.ckpt that holds the state of a ModelCheckpoint callback, and return the path of the file.

    The state records `kept` as the callback's folder. `changes` replaces entries of the state; None removes an entry.
    """
    kept = tmp_path / "kept"
    kept.mkdir(exist_ok=True)
    state = {
        "dirpath": str(kept),
        "best_model_path": f"{kept}/best.ckpt",
        "kth_best_model_path": f"{kept}/worst.ckpt",
        "last_model_path": f"{kept}/last.ckpt",
        "best_k_models": {f"{kept}/best.ckpt": torch.tensor(1.0), f"{kept}/worst.ckpt": torch.tensor(2.0)},
    }
    state = {name: value for name, value in {**state, **changes}.items() if value is not None}
    save(tmp_path / "a.ckpt", 10, callbacks={"ModelCheckpoint{'monitor': None}": state, "Other": {"steps": 3}})
    return tmp_path / "a.ckpt"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"best_model_path": "", "kth_best_model_path": "", "last_model_path": "", "best_k_models": {}},
        {"best_model_path": "/runs/before/checkpoints/best.ckpt"},  # of a run that was resumed in another folder
        {"dirpath": "s3://bucket/run", "last_model_path": "s3://bucket/run/last.ckpt", "kth_best_model_path": "",
         "best_k_models": {}, "best_model_path": "s3://bucket/run/best.ckpt"},
    ],
)  # fmt: skip
def test_a_checkpoint_that_records_its_own_folder_loads(tmp_path, changes):
    assert AtomicCheckpointIO().load_checkpoint(recorded(tmp_path, **changes))["global_step"] == 10


@pytest.mark.parametrize("path", ["/etc/x", "../x", "{kept}/../x", "s3://bucket/x", "{kept}/link/x", 7])
@pytest.mark.parametrize("key", ["last_model_path", "kth_best_model_path", "best_k_models"])
def test_a_checkpoint_that_records_files_outside_its_folder_is_refused(tmp_path, key, path):
    """These entries of the state of ModelCheckpoint hold paths of checkpoint files.

    A resumed run would write to `last_model_path`, and remove files at the paths in the other two entries.
    """
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "link").symlink_to(tmp_path)
    path = path.format(kept=tmp_path / "kept") if isinstance(path, str) else path
    for folder in ({}, {"dirpath": None}):  # without the entry, Lightning takes the folder of the run
        file = recorded(tmp_path, **{key: {path: torch.tensor(0.0)} if key == "best_k_models" else path}, **folder)
        with pytest.raises(ValueError, match=r"a\.ckpt: records .* outside its folder of checkpoints"):
            AtomicCheckpointIO().load_checkpoint(file)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("", ""),
        ("/runs/before/best.ckpt", "/runs/before/best.ckpt"),
        ("/runs/checkpoints/../../x", "/x"),  # Lightning would find /runs/checkpoints among its parents
        ("{tmp}/kept/link/x", "{tmp}/x"),
        ("s3://bucket/x", ""),  # which Lightning would remove
        ("filecache::s3://bucket/x", ""),
        (7, ""),
    ],
)
def test_the_best_checkpoint_is_taken_by_its_real_path(tmp_path, path, taken):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "link").symlink_to(tmp_path)
    path = path.format(tmp=tmp_path) if isinstance(path, str) else path
    loaded = AtomicCheckpointIO().load_checkpoint(recorded(tmp_path, best_model_path=path))
    (state,) = [state for state in loaded["callbacks"].values() if "best_model_path" in state]
    assert state["best_model_path"] == taken.format(tmp=tmp_path)


@pytest.mark.parametrize("root", ["run", "../run", "./a/../run"])
def test_a_run_in_a_relative_folder_loads(tmp_path, monkeypatch, root):
    (tmp_path / "here" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    paths = {key: f"{root}/checkpoints/x.ckpt" for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
    file = recorded(tmp_path, dirpath=f"{root}/checkpoints", best_k_models={}, **paths)
    assert AtomicCheckpointIO().load_checkpoint(file)["global_step"] == 10


def test_a_pipe_is_no_experiment_and_is_not_opened(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.yaml")
    pipe, needed = tmp_path / "pipe.yaml", "but a file is needed"
    for arguments, reason in (
        (["fit", "--config", str(pipe)], f"{pipe}: is a pipe, {needed}"),
        (["fit", f"--config={tmp_path}"], f"{tmp_path}: is a folder, {needed}"),
        (["describe", str(pipe)], f"{pipe}: is a pipe, {needed}"),
        (["describe", str(tmp_path)], f"{tmp_path}: is a folder, {needed}"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line


def test_a_pipe_is_no_checkpoint_and_is_not_opened(run):
    os.mkfifo(run / "checkpoints" / "pipe.ckpt")
    assert start(run, "last") == str(run / "checkpoints" / "last.ckpt")


class Runs:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_the_last_checkpoint_is_refused_without_advice_to_load_it_if_it_would_run_code(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.save({"global_step": Runs()}, run / "checkpoints" / "last.ckpt")
    with pytest.raises(ValueError, match="refused") as caught:
        start(run, "last")
    assert "torch.load" not in str(caught.value) and not Path("executed").exists()


def test_a_pipe_in_place_of_the_last_checkpoint_is_refused_when_it_is_loaded(tmp_path):
    os.mkfifo(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="is a pipe"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")


def test_a_checkpoint_that_torch_cannot_load_is_refused_by_name(tmp_path):
    """The checkpoint has valid checksums, but one of its records is shorter than `data.pkl` says."""
    sound, short = tmp_path / "sound.ckpt", tmp_path / "short.ckpt"
    save(sound, 10)
    with zipfile.ZipFile(sound) as old, zipfile.ZipFile(short, "w") as new:
        for record in old.infolist():
            content = old.read(record)
            new.writestr(record.filename, content[:-4] if record.filename.endswith("data/0") else content)
    assert AtomicCheckpointIO().load_checkpoint(sound)["global_step"] == 10
    with pytest.raises(ValueError, match=r"short\.ckpt: not a checkpoint, or a damaged one .*; fetch the file again"):
        AtomicCheckpointIO().load_checkpoint(short)
    with pytest.raises(FileNotFoundError):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "absent.ckpt")


def test_a_moved_run_goes_on_with_its_last_checkpoint(tmp_path):
    main(small_fit(tmp_path / "old", steps=2))
    (tmp_path / "old").rename(tmp_path / "new")
    main(small_fit(tmp_path / "new", "--ckpt_path=last", steps=4))
    folder = tmp_path / "new" / "checkpoints"
    assert {path.name for path in folder.glob("last*")} == {"last.ckpt"}
    assert steps_of(folder / "last.ckpt") == 4


@pytest.mark.parametrize("last", ["older", pytest.param("missing", marks=pytest.mark.slow)])
def test_a_fit_resumed_after_its_last_step_updates_last_ckpt(last, tmp_path):
    """If a full disk prevents the save of last.ckpt, only another checkpoint holds the end of the training."""
    main(small_fit(tmp_path / "older", steps=2))
    main(small_fit(tmp_path / "run", steps=4))
    folder = tmp_path / "run" / "checkpoints"
    (end,) = folder.glob("*step=4.ckpt")
    if last == "older":
        (folder / "last.ckpt").write_bytes((tmp_path / "older" / "checkpoints" / "last.ckpt").read_bytes())
    else:
        (folder / "last.ckpt").unlink()
    main(small_fit(tmp_path / "run", "--ckpt_path=last", steps=4))
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", end.name}
    assert (folder / "last.ckpt").read_bytes() == end.read_bytes()
