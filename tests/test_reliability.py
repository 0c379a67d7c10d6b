"""docs/reliability.md promises: after a fault at any access to a file, the same command gives the same results."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import trimesh

import faults
import small_cascade as small
import training_process
from lagem.cli import main
from lagem.generation.bundle import write_bundle
from lagem.latents import pipeline as latents
from lagem.preparation import pipeline as preparation
from preparation_here import run_in_this_process
from small_run import small_fit

VERBS = ("prepare", "encode", "evaluate", "generate")
FAULTS = {
    "killed": (faults.KEEPS, faults.kill, -9, ""),
    "disk full": (faults.WRITES, faults.fill_disk, 2, "No space left on device"),
    "store broken": (faults.READS, faults.break_store, 2, "Input/output error"),
    "interrupted": (faults.KEEPS, faults.interrupt, 130, "lagem: stopped by SIGINT: "),
}


@dataclass(frozen=True)
class Bench:
    """A folder that holds the inputs of the tested commands."""

    root: Path

    def command(self, verb: str, output: Path) -> list[str]:
        """Return a command line that writes to `output` and takes less than a second."""
        root, surface = str(self.root), ["--surface", "60", "--volume", "200", "--near", "50", "--inside", "0"]
        arguments = {
            "prepare": [f"{root}/meshes", *surface, "--watertight", "none", "--shapes-per-shard", "2"],
            "encode": [f"{root}/autoencoder.safetensors", "procedural:3+1", "--surface-points", "64", "--subsets", "1"],
            "evaluate": [f"{root}/autoencoder.safetensors", f"{root}/meshes", "--points", "200", "--resolution", "8"],
            "generate": [f"{root}/cascade", "--category", "chair", "--count", "2", "--steps", "2", "--resolution", "8"],
        }
        return [verb, *arguments[verb], "--output", str(output)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("bench")
    (root / "meshes").mkdir()
    for number in range(3):
        trimesh.creation.box(extents=(1, 1, 1 + number / 2)).export(root / "meshes" / f"box_{number}.ply")
    autoencoder, *stages = small.write_cascade(root)
    write_bundle(autoencoder, stages, root / "cascade")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "run_in_processes", run_in_this_process)
        patch.setattr(latents, "SHAPES_PER_SHARD", 2)
        yield Bench(root)


@pytest.fixture(scope="module")
def undisturbed(bench, tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """Run every verb without a fault, and return the content of the files that each verb wrote, by verb."""
    found = {}
    for verb in VERBS:
        output = tmp_path_factory.mktemp(verb) / "out"
        main(bench.command(verb, output))
        found[verb] = results(output)
    return found


def results(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder by relative path, without locks and the times in table.csv."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop(".lock", None)
    if table := found.get("table.csv"):
        found["table.csv"] = b"\n".join(row.rpartition(b",")[0] for row in table.splitlines())
    return found


def accesses_of(run: Callable[[], object], kinds: tuple[str, ...]) -> int:
    with faults.counted(faults.Accesses(kinds)) as accesses:
        run()
    return accesses.count


def disturb(arguments: list[str], fault: str, at: int, errors: Path) -> None:
    """Run a command, make its `at`-th file access fail, and check that the command ends as promised.

    The command may also succeed if the failed access was a read.
    """
    kinds, how, expected, line = FAULTS[fault]

    def run() -> None:
        with faults.counted(faults.Accesses(kinds, at, how)):
            main(arguments)

    code, written = faults.in_child(run, errors)
    if code == 0:
        assert fault == "store broken"
    else:
        message = [text for text in written.splitlines() if text.startswith("lagem: ")]
        assert code == expected and "Traceback" not in written, (at, code, written)
        assert line == "" or (len(message) == 1 and line in message[0]), (at, written)
        if fault in ("disk full", "store broken"):
            assert message[0].startswith("lagem: error: /"), written  # it names the file


def try_accesses(
    bench: Bench, verb: str, fault: str, expected: dict[str, bytes], folder: Path, most: int | None
) -> int:
    """Let a command fail at every file access or, if `most` is given, at that many random ones.

    Each failed command is repeated and must give the expected results. Return the number of accesses of the command.
    """
    count = accesses_of(lambda: main(bench.command(verb, folder / "counted")), FAULTS[fault][0])
    assert count >= 2
    chosen = range(1, count + 1) if most is None else random.Random(f"{verb} {fault}").sample(range(1, count + 1), most)
    for at in chosen:
        output = folder / str(at)
        disturb(bench.command(verb, output), fault, at, folder / "errors.txt")
        if not (verb == "generate" and (output / "samples.csv").exists()):  # a finished generation is not replaced
            main(bench.command(verb, output))
        assert results(output) == expected, (verb, fault, at)
    return count


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_command_that_failed_resumes_to_the_same_results(bench, undisturbed, tmp_path, verb, fault):
    try_accesses(bench, verb, fault, undisturbed[verb], tmp_path, most=1)


@pytest.mark.slow  # 235 accesses, 70 s
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_command_may_fail_at_any_access(bench, undisturbed, tmp_path, verb, fault):
    count = try_accesses(bench, verb, fault, undisturbed[verb], tmp_path, most=None)
    print(f"{verb}, {fault}: {count} accesses")


@pytest.mark.parametrize("verb", VERBS)
def test_results_do_not_depend_on_the_clock(bench, undisturbed, tmp_path, verb):
    with faults.jumping_clock(seed=0):
        main(bench.command(verb, tmp_path / "out"))
    assert results(tmp_path / "out") == undisturbed[verb]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """Train without a fault; return the run folder, and for each fault the number of file accesses that it can hit."""
    folder = tmp_path_factory.mktemp("trained")
    count = {}
    for fault in ("killed", "disk full"):
        count[fault] = accesses_of(lambda fault=fault: main(small_fit(folder / fault, steps=4)), FAULTS[fault][0])
    return folder / "killed", count


def fail_and_resume(trained: Path, fault: str, at: int, folder: Path) -> None:
    command = small_fit(folder / str(at), "--ckpt_path=last", steps=4)
    disturb(command, fault, at, folder / "errors.txt")
    main(command)
    first, second = training_process.weights(trained), training_process.weights(folder / str(at))
    assert first["global_step"] == second["global_step"]
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(tensor, second[key][name]) for name, tensor in first[key].items()), (fault, at)


@pytest.mark.parametrize("fault", ["killed", "disk full"])
def test_a_training_that_failed_resumes_to_the_same_weights(trained, tmp_path, fault):
    folder, count = trained
    fail_and_resume(folder, fault, random.Random(fault).randint(1, count[fault]), tmp_path)


@pytest.mark.slow  # two trainings for each of 52 accesses, 120 s
@pytest.mark.parametrize("fault", ["killed", "disk full"])
def test_a_training_may_fail_at_any_access(trained, tmp_path, fault):
    folder, count = trained
    for at in range(1, count[fault] + 1):
        fail_and_resume(folder, fault, at, tmp_path)
    print(f"fit, {fault}: {count[fault]} accesses")
