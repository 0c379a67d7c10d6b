"""A chain runs on this machine in order, stops at a failure, and skips what has succeeded."""

import re
import shlex
from pathlib import Path

import pytest

import training_process
from deadlines import HANG
from lagem.cli import main
from lagem.cluster.chain import jobs_of, load_chain
from lagem.cluster.submission import submit_chain
from local_chain import COUNTS, PREPARE, Chains, long_fit, step

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def chains(tmp_path) -> Chains:
    return Chains(tmp_path)


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


def test_a_chain_runs_to_its_end_if_nobody_reads_its_output(chains):
    chains.write(step("a"), step("b", after=["a"]))
    process = training_process.launch(chains.words)
    process.stdout.close()
    assert process.wait(timeout=HANG) == 0
    assert (chains.folder / "b" / "finished").exists() and len(chains.log("b").splitlines()) > 3


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


def test_modules_in_the_current_folder_are_not_imported(chains, tmp_path):
    """Only the steps import numpy. They inherit the environment of the chain, but not its option -P."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')")
    chains.add_mesh()
    chains.write(step("a", PREPARE, array=2))
    process = training_process.launch(chains.words, options=["-P"], cwd=tmp_path)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 0, output


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
