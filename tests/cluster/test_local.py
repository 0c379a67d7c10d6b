"""A chain runs on this machine in order, stops at a failure or a signal, resumes, and leaves no process behind."""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import trimesh
import yaml

import small_cascade
import small_run
import training_process
from deadlines import HANG
from lagem.cli import main
from lagem.cluster.chain import jobs_of, load_chain
from lagem.cluster.submission import submit_chain
from lagem.storage.parts import locked
from releases import save_tar, toy_meshes

ROOT = Path(__file__).resolve().parents[2]
QUICK = "completion bash"  # a command that takes a tenth of a second
COUNTS = "--surface 60 --volume 400 --near 50 --inside 0"
PREPARE = f"prepare {{folder}}/meshes --output {{folder}}/data {COUNTS}"


class Chains:
    """Writes a chain to a file and runs it on this machine; its folder is `folder`."""

    def __init__(self, root: Path) -> None:
        self.file = root / "chain.yaml"
        self.folder = root / "my runs" / "chain"
        self.words = ["submit", "--local", "--chain", str(self.file), "--runs", str(self.folder.parent)]

    def write(self, *steps: dict) -> None:
        self.file.write_text(yaml.safe_dump(list(steps)))

    def run(self) -> tuple[int, list[str], str]:
        """Run the chain in a process; return the exit code, the lines that are not indented, and the last line."""
        process = training_process.launch(self.words)
        output, _ = process.communicate(timeout=HANG)
        lines = output.splitlines()
        return process.returncode, [line for line in lines if not line.startswith(" ")], lines[-1]

    def results(self) -> dict[str, str]:
        """Run the chain; return what its lines say of each step: succeeded, skipped, started or failed."""
        _, lines, _ = self.run()
        found = {}
        for line in lines:
            if step := re.search(r"step \d+ of \d+ \((\w+)\):? .*?(succeeded in|skipped|started|failed)", line):
                found[step[1]] = step[2].removesuffix(" in")
        return found

    def log(self, step: str) -> str:
        return (self.folder / step / "local.out").read_text()

    def add_mesh(self) -> None:
        (self.folder / "meshes").mkdir(parents=True)
        trimesh.creation.box((1, 2, 3)).export(self.folder / "meshes" / "box.ply")


@pytest.fixture
def chains(tmp_path) -> Chains:
    return Chains(tmp_path)


def step(name: str, command: str = QUICK, **more) -> dict:
    return {"name": name, "command": command, **more}


def processes_with(text: str) -> list[str]:
    """Return the command lines of all running processes that contain a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # the process has ended
            continue
    return [line for line in found if text in line]


def wait_until(is_so, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + HANG
    while not is_so():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_nothing_runs(text: str) -> None:
    deadline = time.monotonic() + HANG
    while left := processes_with(text):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_steps_run_in_order_until_one_fails_and_the_same_command_does_the_rest(chains):
    """The failed step lacks a folder of meshes."""
    chains.write(step("a"), step("b", PREPARE, after=["a"]), step("c", after=["b"]), step("d"))
    code, _, last = chains.run()
    log = chains.folder / "b" / "local.out"
    assert code == 2
    assert last == (
        f"lagem: error: step 2 of 4 (b) failed with exit code 2; its log is {log}. Fix the cause and run the same "
        "command again; steps that have succeeded are skipped."
    )
    assert "meshes: there is no such" in chains.log("b")
    assert [(chains.folder / name / "finished").exists() for name in "abcd"] == [True, False, False, False]
    assert not (chains.folder / "c" / "local.out").exists()
    chains.add_mesh()
    assert chains.results() == {"a": "skipped", "b": "succeeded", "c": "succeeded", "d": "succeeded"}
    assert (chains.folder / "data" / "index.csv").exists()
    assert set(chains.results().values()) == {"skipped"}


def test_each_step_has_a_line_at_its_start_and_its_end_and_its_output_is_indented(chains):
    chains.write(step("a"), step("b", "completion zsh", after=["a"]))
    process = training_process.launch(chains.words)
    lines = process.communicate(timeout=HANG)[0].splitlines()
    for number, name in enumerate("ab", 1):
        title, log = f"step {number} of 2 ({name})", chains.folder / name / "local.out"
        start = lines.index(f"{title}: started; log: {log}")
        (end,) = [at for at, line in enumerate(lines) if line.startswith(f"{title}: succeeded in 0:0")]
        assert lines[end].endswith(f"; log: {log}")
        printed = [line[2:] for line in lines[start + 1 : end]]
        assert printed == [line.rstrip() for line in log.read_text().splitlines()] and len(printed) > 3
        assert all(not line.strip() or line.startswith("  ") for line in lines[start + 1 : end])
    assert lines[-1].startswith("all 2 steps have succeeded") and lines[-1].endswith(f"results: {chains.folder}")


def test_a_changed_step_runs_again_with_those_that_wait_for_it(chains):
    chains.write(step("a"), step("b", after=["a"]), step("c"))
    assert set(chains.results().values()) == {"succeeded"}
    chains.write(step("a", "completion zsh"), step("b", after=["a"]), step("c"))
    assert chains.results() == {"a": "succeeded", "b": "succeeded", "c": "skipped"}


def test_a_step_that_waits_for_a_repeated_step_runs_again_even_after_a_failure_between(chains):
    chains.write(step("a"), step("b", after=["a"]))
    chains.run()
    broken = "prepare {folder}/no_meshes --output {folder}/data"
    chains.write(step("a", broken), step("b", after=["a"]))
    assert chains.results() == {"a": "failed"}
    chains.write(step("a"), step("b", after=["a"]))
    assert chains.results() == {"a": "succeeded", "b": "succeeded"}


def test_slurm_skips_what_has_succeeded_here(chains):
    chains.write(step("a"), step("b", after=["a"]))
    chains.run()
    jobs = jobs_of(load_chain(chains.file), {"nodes": 2}, chains.folder, "python")
    assert [id for _, id in submit_chain(jobs)] == [None, None]


def long_fit(chains: Chains) -> dict:
    """Return a training that does not end by itself."""
    words = small_run.small_fit(chains.folder / "training", steps=10**6)
    return step("training", shlex.join(words), after=["first"])


def started(chains: Chains, text: str) -> subprocess.Popen:
    """Start a chain with a training that is the leader of a process group; wait for a text in the training's log."""
    process = training_process.launch(chains.words, start_new_session=True)
    log = chains.folder / "training" / "local.out"
    wait_until(lambda: log.exists() and text in log.read_text(), process)
    return process


def stopped_by(signum: signal.Signals, chains: Chains, process: subprocess.Popen) -> tuple[list[str], int]:
    """Signal the process group of a chain, as Ctrl-C does; return the lines of the chain, and the step of the save."""
    os.killpg(process.pid, signum)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 128 + signum and not processes_with(str(chains.folder)), output
    assert f"  lagem: {signum.name}: saved " in output  # the training got the signal once, or it would not have saved
    return output.splitlines(), training_process.weights(chains.folder / "training")["global_step"]


def test_a_signal_reaches_the_training_which_saves_and_the_same_command_resumes(chains):
    chains.write(step("first"), long_fit(chains), step("last", after=["training"]))
    lines, steps = stopped_by(signal.SIGINT, chains, started(chains, "run folder"))
    assert lines[-1] == (
        "lagem: stopped by SIGINT: step 2 of 3 (training) has stopped; its log is "
        f"{chains.folder / 'training' / 'local.out'}. To resume, run the same command again."
    )
    lines, more = stopped_by(signal.SIGTERM, chains, started(chains, f"after step {steps} from"))
    assert "step 1 of 3 (first): succeeded before, skipped" in lines
    assert more > steps > 0 and not (chains.folder / "last" / "local.out").exists()


def test_a_killed_chain_leaves_no_training_behind(chains):
    chains.write(step("first"), long_fit(chains))
    process = started(chains, "run folder")
    assert processes_with(str(chains.folder / "training"))
    process.kill()
    process.communicate(timeout=HANG)
    wait_until_nothing_runs(str(chains.folder))


def test_a_killed_chain_leaves_no_part_behind(chains):
    chains.add_mesh()
    for number in range(20):
        trimesh.creation.icosphere(4).export(chains.folder / "meshes" / f"{number}.ply")
    chains.write(step("shapes", "prepare {folder}/meshes --output {folder}/data", array=2))
    process = training_process.launch(chains.words)
    wait_until(lambda: (chains.folder / "data" / ".part-0-2.lock").exists(), process)
    process.kill()
    process.communicate(timeout=HANG)
    wait_until_nothing_runs(str(chains.folder))


def test_a_step_in_parts_runs_them_and_then_the_whole_command(chains):
    chains.add_mesh()
    chains.write(step("shapes", PREPARE, array=2))
    assert chains.results() == {"shapes": "succeeded"}
    logs = [(chains.folder / "shapes" / "parts" / f"part_{number}.out").read_text() for number in range(2)]
    assert ["--part 0/2" in log for log in logs] == [True, False]
    assert "--part" not in chains.log("shapes") and (chains.folder / "data" / "index.csv").exists()


def test_a_failed_part_is_named_with_its_step_and_its_log(chains):
    chains.write(step("shapes", PREPARE, array=2))
    code, _, last = chains.run()
    assert code == 2
    assert last.startswith("lagem: error: shapes: 2 of 2 parts failed, for example part ")
    assert "my runs/chain/shapes/parts/part_" in last


def test_a_step_that_is_killed_is_named_with_its_signal(chains):
    chains.write(long_fit(chains) | {"after": []})
    process = started(chains, "run folder")
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 2
    assert "step 1 of 1 (training) was killed by SIGKILL, perhaps because memory ran out" in output.splitlines()[-1]


def test_a_dry_run_prints_the_commands_and_runs_nothing(chains, capsys):
    chains.write(step("data", PREPARE, array=3), long_fit(chains) | {"after": ["data"]})
    main([*chains.words, "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    folder = chains.folder
    assert lines[:3] == [
        "# == data",
        "# in 3 parts, --part 0/3 to 2/3, and then whole:",
        shlex.join(["lagem", "prepare", f"{folder}/meshes", "--output", f"{folder}/data", *COUNTS.split()]),
    ]
    words = shlex.split(lines[4])
    assert lines[3] == "# == training" and words[:2] == ["lagem", "fit"] and words[-1] == "--ckpt_path=last"
    assert "--trainer.num_nodes=1" in words and not folder.exists()


def test_profiles_of_steps_are_ignored_and_that_is_said_once(chains, capsys):
    profile = {"hours": 3, "memory": "9G"}
    chains.write(step("a", profile=profile), step("b", profile=profile))
    main([*chains.words, "--dry-run"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: --local ignores memory, hours in the profiles of the steps")


def test_an_experiment_for_several_nodes_is_trained_on_one_and_that_is_noted(chains, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    chains.write(step("a", "fit --config experiments/autoencoder/objaverse.yaml"))
    main([*chains.words, "--dry-run"])
    printed = capsys.readouterr()
    assert "--trainer.num_nodes=1" in printed.out and "--trainer.devices" not in printed.out
    assert re.search(r"note: a: the experiment is for \d+ x (\d+) .*, but this machine has 1 x \1\.", printed.err)


def refusal(capsys, words: list[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_chain_runs_only_once_at_a_time(chains, capsys):
    chains.write(step("a"))
    chains.folder.mkdir(parents=True)
    with locked(chains.folder, "lagem submit --chain"):
        assert "another `lagem submit --chain` is writing here" in refusal(capsys, chains.words)
    assert not (chains.folder / "a").exists()


def test_a_step_that_is_queued_on_a_cluster_is_not_run_here(chains, tmp_path, monkeypatch, capsys):
    chains.write(step("a"))
    (chains.folder / "a").mkdir(parents=True)
    (chains.folder / "a" / "job_id.txt").write_text("7")
    (tmp_path / "squeue").write_text("#!/bin/bash\necho 7\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "the job 7 of this folder is still queued or running" in refusal(capsys, chains.words)
    assert not (chains.folder / "a" / "local.out").exists()


def test_a_mistake_in_a_later_step_is_found_before_the_first_starts(chains, capsys):
    chains.write(step("a"), step("b", "completion fish"))
    with pytest.raises(SystemExit) as stop:
        main(chains.words)
    assert stop.value.code == 2 and not chains.folder.exists()


def test_a_new_fit_does_not_go_into_the_run_of_another(chains, capsys):
    (chains.folder / "training" / "checkpoints").mkdir(parents=True)
    (chains.folder / "training" / "checkpoints" / "last.ckpt").touch()
    chains.write(step("first"), long_fit(chains))
    assert "already holds another run" in refusal(capsys, chains.words)
    assert not (chains.folder / "first").exists()


@pytest.mark.slow
def test_the_whole_recipe_runs_from_an_import_to_generated_shapes(chains, tmp_path):
    for split, names in (("train", ["ring", "slab", "bumpy"]), ("val", ["legs"])):
        members = {}
        for name in names:
            toy_meshes()[name].save(tmp_path / "toy.ply")
            members[f"chunk_0001/{name}.ply"] = (tmp_path / "toy.ply").read_bytes()
        save_tar(tmp_path / "hy3d" / split / "water_tight_meshes" / "chunk_0001.tar", members)
    folder = Path("{folder}")
    training = small_run.fit_on_prepared(folder / "prepared" / "data", folder / "autoencoder", steps=2)
    training += [small_cascade.LEVELS_OPTION, "--ckpt_path=last"]
    stages = [
        step(
            f"level_{level}",
            f"fit --config {ROOT}/experiments/cascade/meshes/level_{level}.yaml"
            " --data.init_args.root {folder}/latents/cache --data.init_args.condition none"
            " --data.init_args.batch_size 1 --model.init_args.num_categories null --model.init_args.drop_condition 0"
            " --model.init_args.depth 1 --trainer.max_steps 2 --ckpt_path last"
            " --trainer.val_check_interval 2 --trainer.callbacks"
            " '[{class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 1}}]'",
            after=["latents"],
        )
        for level in (3, 2, 1)
    ]
    last = "checkpoints/last.ckpt"
    weights = " ".join(f"{{folder}}/{name}/{last}" for name in ("autoencoder", "level_3", "level_2", "level_1"))
    names = ["level_3", "level_2", "level_1"]
    chains.write(
        step("imported", f"import hy3d {tmp_path}/hy3d --output {{folder}}/imported/meshes"),
        step(
            "prepared",
            "prepare {folder}/imported/meshes/manifest.csv --up y --output {folder}/prepared/data"
            " --surface 2500 --volume 2000 --near 1000 --inside 200",
            after=["imported"],
            array=2,
        ),
        step("autoencoder", shlex.join(training), after=["prepared"]),
        step(
            "scores",
            f"evaluate {{folder}}/autoencoder/{last} {{folder}}/prepared/data --output {{folder}}/scores/card"
            " --resolution 16 --points 500",
            after=["autoencoder"],
            array=2,
        ),
        step(
            "latents",
            f"encode {{folder}}/autoencoder/{last} {{folder}}/prepared/data --output {{folder}}/latents/cache",
            after=["autoencoder"],
        ),
        *stages,
        step("bundle", f"bundle {weights} --output {{folder}}/cascade", after=names),
        step(
            "samples",
            "generate {folder}/cascade --count 2 --steps 2 --resolution 16 --output {folder}/samples/meshes",
            after=["bundle"],
        ),
    )  # fmt: skip
    code, lines, _ = chains.run()
    assert code == 0, lines
    assert "legs" in (chains.folder / "scores" / "card" / "scores.csv").read_text()
    assert list((chains.folder / "samples" / "meshes").rglob("*.ply"))
    assert set(chains.results().values()) == {"skipped"}
