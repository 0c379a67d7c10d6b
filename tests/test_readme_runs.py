"""The `lagem` commands of the README, the training page and the tutorial run in order, with options for small sizes."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import small_run
from deadlines import HANG
from lagem.geometry.mesh import Mesh
from published import published_state
from small_cascade import LEVELS_OPTION

ROOT = Path(__file__).resolve().parents[1]


SMALLER = [
    "--trainer.max_steps=4",
    "--trainer.val_check_interval=4",
    "--trainer.enable_progress_bar=false",
    *small_run.SMALL_MODEL,
    LEVELS_OPTION,
    *small_run.SMALL_CALLBACKS,
    *(word for word in small_run.SMALL_DATA if "num_train" not in word and "num_val" not in word),
]
PROCEDURAL = ("num_train", "num_val", "reference_points", "reference_volume_points")
LONG_ENOUGH = ["--trainer.max_steps=80", "--trainer.val_check_interval=80", "--model.init_args.base_lr=0.25"]
ON_SHARDS = [word for word in SMALLER if not any(name in word for name in PROCEDURAL)]
OF_THE_PACKAGE = [word for word in ON_SHARDS if word not in LONG_ENOUGH and not re.search("levels|width", word)]
OF_THE_PACKAGE += ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--data.init_args.num_workers=0"]
ON_FURNITURE = [*SMALLER, "--data.init_args.num_train=48", "--data.init_args.num_val=8"]
ON_LATENTS = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--model.init_args.warmup_steps=1"]
STAGE = [LEVELS_OPTION, *ON_LATENTS]
ON_LATENTS += ["--data.init_args.batch_size=4"]
SMOKE = {
    "prepare": ["--surface", "500", "--volume", "3000", "--near", "500", "--val-share", "0.2", "--inside", "200"],
    "inspect": ["--judged", "5"],
    "evaluate": ["--resolution", "16", "--points", "500"],
    "reconstruct": ["--resolution", "16", "--points", "500"],
    "import-weights": ["--num-latents", "256", "64", "16"],
    "describe": [],
    "compare": [],
    "levels": ["--resolution", "16", "--points", "500"],
    "generate": ["--count", "1", "--resolution", "16"],
    "vary": ["--groups", "2", "--variants", "2", "--resolution", "16", "--steps", "2"],
    "encode": ["--subsets", "2"],
    "bundle": [],
    "evaluate-generation": ["--points", "200"],
    "report": ["--resolution", "16"],
    "view": [],
}


ONE_AFTER_THE_OTHER = """
import json, sys
from lagem.cli import main
for words in json.loads(sys.argv[1]):
    print("lagem", *words, flush=True)
    main(words)
"""


def commands(*pages: str) -> list[str]:
    """Return the `make` and `lagem` commands of the pages in order, each of them once."""
    text = "".join((ROOT / page).read_text() for page in pages)
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line.startswith(("make ", "lagem "))))


def box(x: float, y: float) -> Mesh:
    corners = np.array([[i * x, j * y, k] for i in (0, 1.0) for j in (0, 1.0) for k in (0, 1.0)])
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
             [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
    return Mesh(vertices=corners, faces=np.array(faces))


@pytest.fixture
def workplace(tmp_path) -> Path:
    """Make a folder with what the README's commands need: the experiments, some meshes, a published checkpoint."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    meshes = tmp_path / "path" / "to" / "meshes"
    for number in range(40):
        box(1 + number / 20, 2 - number / 40).save(meshes / f"box_{number:02d}.ply")
    box(1.5, 1.5).save(tmp_path / "path" / "to" / "mesh.ply")
    torch.save({"model": published_state()}, tmp_path / "published.pth")
    return tmp_path


def run(arguments: list[str], folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=3 * HANG)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def smoke_of_training(verb: str, command: str) -> list[str]:
    if "fine_tuned" in command:
        smoke = OF_THE_PACKAGE
    elif "autoencoder/meshes" in command:
        smoke = ON_SHARDS + (LONG_ENOUGH if "fewer_octaves" in command else [])  # long enough for a surface
    else:
        smoke = ON_LATENTS if "cascade" in command else ON_FURNITURE
    if verb == "fit":
        return smoke
    return [word for word in smoke if "val_check_interval" not in word and "max_steps" not in word]


def run_in_order(lines: list[str], folder: Path) -> set[str]:
    """Run the `lagem` commands among the lines in as few processes as possible, and return their verbs."""
    seen, waiting = set(), []
    for command in lines:
        program, verb, *arguments = shlex.split(command)
        if program != "lagem":
            continue
        smoke = SMOKE[verb] if verb in SMOKE else smoke_of_training(verb, command)
        words = [verb, *arguments, *smoke]
        if "ddp" in words:  # its launcher starts the program of the process once more
            run([sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(waiting)], folder)
            run([sys.executable, "-m", "lagem", *words], folder)
            waiting = []
        else:
            waiting.append(words)
        seen.add(verb)
    run([sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(waiting)], folder)
    return seen


def test_the_commands_of_the_readme_run_in_their_order(workplace):
    assert run_in_order(commands("README.md"), workplace) == {"generate", "reconstruct", "prepare", "fit"}
    assert (workplace / "reconstructed" / "mesh.ply").is_file()


@pytest.mark.slow
def test_the_commands_of_readme_and_training_page_run_in_their_order(workplace):
    # the README's come first, since the training page repeats some of them
    seen = run_in_order(commands("README.md", "docs/training.md"), workplace)
    assert seen >= {*SMOKE, "fit", "validate", "predict"}
    assert (workplace / "reconstructed" / "mesh.ply").is_file()
    assert (workplace / "weights.safetensors").is_file()


@pytest.mark.slow
def test_the_tutorial_leads_from_meshes_to_a_report_and_new_shapes(workplace):
    own = [command for command in commands("docs/tutorial.md") if "sweethome3d" not in command]  # in place of meshes
    run_in_order(own, workplace)
    assert (workplace / "runs" / "fine_tuned" / "checkpoints" / "last.ckpt").is_file()
    assert (workplace / "runs" / "fine_tuned" / "report.html").is_file()
    assert (workplace / "evaluation_after" / "report.html").is_file()
    assert len((workplace / "samples" / "samples.csv").read_text().splitlines()) == 1 + 1


@pytest.mark.parametrize("generates", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_demos_run_at_a_smoke_size(tmp_path, generates):
    stamp = Path(sys.prefix) / ".installed"
    assert stamp.exists(), f"{stamp} is missing: run the tests by `make test`"

    def make(target: str, arguments: list[str], *more: str) -> None:
        settings = [f"VENV={sys.prefix}", f"RUNS={tmp_path}", "SEED=7", f"ARGS={shlex.join(arguments)}", *more]
        run(["make", target, *settings, "-o", str(stamp)], ROOT)

    make("demo", [*ON_FURNITURE, *LONG_ENOUGH])
    assert (tmp_path / "demo_7" / "meshes" / "step_80.png").is_file()
    if generates:
        make("demo-generate", STAGE, "SHAPES=procedural:64+8", "GENERATE=--category all --count 2 --resolution 16")
        samples = (tmp_path / "cascade_7" / "samples" / "samples.csv").read_text().splitlines()
        assert len(samples) == 1 + 8 * 2
