"""The house rules that a machine can check: packages, who may import whom, what a file may be called and say.

Each checker is a function from text or a folder to a list of complaints, and is shown to fail on a bad example.
"""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"lagem": "src/lagem", "lagem.data_modules": "data_modules", "lagem.callbacks": "callbacks"}
ROOMS = ("src", "data_modules", "callbacks", "experiments", "benchmarks", "docs", "tests", ".ci")

# The words that all rooms share; they may know one another, and `samples` the frame.
SHARED = ["device", "levels", "progress", "randomness", "samples", "signals"]
# What each room may import besides itself and the shared words; "geometry.frame" is that one module, "*" everything.
MAY_IMPORT = {
    **{word: [] for word in ("", "device", "levels", "progress", "randomness", "signals")},
    "samples": ["geometry.frame"],
    "storage": [],
    "models": [],
    "pretrained": [],
    "geometry": ["storage.atomic"],
    "weights": ["models", "storage.atomic"],
    "diffusion": [],
    "prepared": ["storage", "geometry"],
    "procedural": ["geometry"],
    "sources": ["prepared", "procedural", "geometry"],
    "preparation": ["sources", "prepared", "storage", "geometry"],
    "latents": ["sources", "storage", "geometry", "weights", "models"],
    "reconstruction": ["sources", "storage", "geometry", "weights", "models"],
    "generation": [
        "reconstruction",
        "latents.cache",
        "weights",
        "diffusion",
        "models",
        "geometry",
        "storage",
        "pretrained",
    ],
    "evaluation": ["reconstruction", "sources", "prepared", "storage", "geometry", "weights"],
    "studies": ["evaluation", "generation", "reconstruction", "sources", "diffusion", "geometry", "storage"],
    "lightning_private": [],
    "modules": ["lightning_private", "weights", "diffusion", "models"],
    "data_modules": [
        "lightning_private",
        "geometry.frame",
        "latents.cache",
        "sources",
        "prepared",
        "procedural",
        "storage",
    ],
    "callbacks": ["lightning_private", "geometry", "storage.atomic"],
    "training": ["lightning_private", "modules", "data_modules", "callbacks", "weights", "models", "storage"],
    "cluster": ["storage.atomic", "cli"],  # a task of an array runs a command line
    "commands": ["*"],
    "cli": ["*"],
    "__main__": ["cli"],
}
WITHOUT_TRAINING = ("storage", "geometry", "models", "diffusion", "weights", "prepared", "procedural", "sources")
TRAINING_LIBRARIES = ("lightning", "pytorch_lightning", "wandb", "omegaconf")
HEAVY_OR_OPTIONAL = ("torch_cluster", "triton", "mcubes", "wandb", "embreex", "point_cloud_utils")
TRITON_KERNEL = "lagem.models.furthest_points_triton"
HEAVY_FOR_A_VERSION = ("torch", "lightning", "numpy", "scipy", "trimesh", "igl", "wandb")
CATCH_ALL_NAMES = ("utils.py", "common.py", "helpers.py", "util.py", "helper.py", "misc.py")
MAX_LINES = 300
MAX_FILES = 14
MAX_LOOSE_MODULES = 9
ONE_MACHINE = re.compile(
    r"(?<![\w.])/(work|home|root|farm|Users|opt/pypi[\w-]*|opt/wheels)/"
    r"|(pypi|pythonhosted|debian|npmjs)\.org\b|file:/{2}/"
)


def module_files() -> list[tuple[str, Path]]:
    """Every source file of the package with its module's name, inside the mapped homes too."""
    found = []
    for home, folder in HOMES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found.append((".".join([home, *parts]).removesuffix(".__init__"), path))
    return found


def text_files() -> list[Path]:
    in_rooms = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*")) if "__pycache__" not in path.parts]
    at_top = [path for path in sorted(ROOT.iterdir()) if not path.name.startswith(".") or path.name == ".gitignore"]
    return [path for path in [*at_top, *in_rooms] if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


MODULES = module_files()
every_module = pytest.mark.parametrize(("module", "path"), MODULES, ids=[name for name, _ in MODULES])


def imports(nodes: Iterator[ast.AST], module: str, is_package: bool) -> Iterator[str]:
    """Absolute names that import statements ask for; `from a import b` gives a.b, as b may be a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                base = ".".join([*anchor, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: no function bodies, nothing under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_function or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            continue
        yield child
        yield from run_on_import(child)


def is_within(name: str, packages: tuple[str, ...] | list[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def import_complaints(module: str, source: str, is_package: bool = False) -> list[str]:
    """What a module imports against the rules."""
    tree = ast.parse(source)
    room = module.split(".")[1] if "." in module else ""
    if room not in MAY_IMPORT:
        return [f"{module}: room {room!r} has no line in MAY_IMPORT; say there what it may import"]
    complaints = []
    for name in imports(ast.walk(tree), module, is_package):
        if is_within(name, ["callbacks", "data_modules"]):
            complaints.append(f"{module} imports {name}; write lagem.{name}, or a second class is made")
        if room in WITHOUT_TRAINING and is_within(name, TRAINING_LIBRARIES):
            complaints.append(f"{module} imports {name}, but {room} is free of training libraries")
        if name.startswith("lagem."):
            inner = name.removeprefix("lagem.")
            allowed = ["__version__", room, *SHARED, *MAY_IMPORT[room]]
            if "*" not in allowed and not is_within(inner, allowed):
                complaints.append(f"{module} imports {name}, but {room or 'lagem'} may import only {allowed}")
    at_import = run_on_import(tree)
    complaints += [
        f"{module} imports {name} at module level; do it inside the one function that needs it"
        for name in imports(at_import, module, is_package)
        if module != TRITON_KERNEL and is_within(name, (TRITON_KERNEL, *HEAVY_OR_OPTIONAL))
    ]
    return complaints


def packages_on_disk(root: Path) -> set[str]:
    return {
        ".".join([home, *init.parent.relative_to(root / folder).parts])
        for home, folder in HOMES.items()
        for init in (root / folder).rglob("__init__.py")
    }


def machine_complaints(text: str) -> list[str]:
    return [line for line in text.splitlines() if ONE_MACHINE.search(line)]


def size_complaint(source: str) -> str | None:
    lines = len(source.splitlines())
    return f"{lines} lines are more than {MAX_LINES}: which noun is missing?" if lines > MAX_LINES else None


def test_setup_cfg_lists_every_package_on_disk():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert set(config["options"]["packages"].split()) == packages_on_disk(ROOT)


def test_mapped_folders_have_no_double_in_src():
    assert not [name for name in ("data_modules", "callbacks") if (ROOT / "src/lagem" / name).exists()]


def test_no_room_has_too_many_files():
    rooms = {init.parent for folder in HOMES.values() for init in (ROOT / folder).rglob("__init__.py")}
    assert [room for room in rooms if len(list(room.glob("*.py"))) > MAX_FILES] == [], "which noun is missing?"
    assert len(list((ROOT / "src/lagem").glob("*.py"))) <= MAX_LOOSE_MODULES, "every file has a room"


@every_module
def test_imports_keep_their_direction(module, path):
    assert import_complaints(module, path.read_text(), path.name == "__init__.py") == []


def test_importing_lagem_imports_nothing_heavy():
    program = f"import sys, lagem; print(*[name for name in {HEAVY_FOR_A_VERSION} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("path", text_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_named_and_sized_for_one_idea_and_for_every_machine(path):
    text = path.read_text()
    assert path.name not in CATCH_ALL_NAMES, "a function without a home: the missing noun is the finding"
    assert machine_complaints(text) == []
    if path.suffix == ".py":
        assert size_complaint(text) is None


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lagem.models.a", "import lightning"),
        ("lagem.models.a", "def f():\n    from lightning.pytorch import Trainer"),
        ("lagem.diffusion.a", "import wandb.util"),
        ("lagem.diffusion.a", "from lagem.models.denoiser import Backbone"),
        ("lagem.geometry.a", "from omegaconf import OmegaConf"),
        ("lagem.geometry.a", "from lagem.models import autoencoder"),
        ("lagem.geometry.a", "from ..models import autoencoder"),
        ("lagem.geometry.a", "from .. import models"),
        ("lagem.geometry", "from .. import models"),
        ("lagem.models.a", "from lagem import geometry"),
        ("lagem.samples", "from lagem.geometry.mesh import load"),
        ("lagem.data_modules.a", "import lagem.callbacks"),
        ("lagem.callbacks.a", "from lagem.data_modules.procedural import Chair"),
        ("lagem.callbacks.a", "from lagem.modules import AutoencoderModule"),
        ("lagem.data_modules.a", "from lagem.modules import AutoencoderModule"),
        ("lagem.modules.a", "from lagem import callbacks"),
        ("lagem.preparation.a", "from lagem.data_modules import OccupancyDataModule"),
        ("lagem.cli", "from callbacks import ExportMeshes"),
        ("lagem.cli", "import data_modules.procedural"),
        ("lagem.cli", "import wandb"),
        ("lagem.geometry.a", "try:\n    import mcubes\nexcept ImportError:\n    mcubes = None"),
        ("lagem.geometry.a", "class Rays:\n    import embreex.rtcore_scene"),
        ("lagem.models.a", "from torch_cluster import fps"),
        ("lagem.models.a", "from lagem.models.furthest_points_triton import select_triton"),
        ("lagem.new_room", "import os"),
        ("lagem", "from lagem.models import autoencoder"),
    ],
)
def test_import_against_the_rules_is_found(module, source):
    assert import_complaints(module, source, is_package=module in ("lagem", "lagem.geometry"))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lagem.models.a", "from lagem.levels import LevelSpec\nfrom lagem.models.b import Block\nfrom . import b"),
        ("lagem.models.a", "def f():\n    from torch_cluster import fps"),
        ("lagem.samples", "from lagem.geometry.frame import Frame"),
        ("lagem.callbacks.a", "import lightning\nfrom lagem.geometry import metrics"),
        ("lagem.callbacks.a", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import wandb"),
        ("lagem.cli", "import lagem.callbacks\nimport lagem.data_modules"),
        ("lagem.commands.a", "from lagem.data_modules import OccupancyDataModule"),
        ("lagem.modules.a", "from lagem import __version__"),
        ("lagem.geometry", "from .mesh import load\nfrom . import frame"),
    ],
)
def test_import_by_the_rules_passes(module, source):
    assert import_complaints(module, source, is_package=module == "lagem.geometry") == []


def test_unlisted_package_is_found(tmp_path):
    for folder in ("src/lagem", "src/lagem/models/deep", "callbacks"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    assert packages_on_disk(tmp_path) == {"lagem", "lagem.models.deep", "lagem.callbacks"}


@pytest.mark.parametrize(
    "text", ["cd /work" + "/main", "'/home" + "/me/data'", "x @ file:" + "///opt", "pypi" + ".org"]
)
def test_path_of_one_machine_is_found(text):
    assert machine_complaints(text) == [text]


@pytest.mark.parametrize(
    "text", ["../work/main", "homework/a", "${HOME}/data", "#!/usr/bin/env bash", "apt install g++"]
)
def test_path_of_every_machine_passes(text):
    assert machine_complaints(text) == []


def test_long_file_is_found():
    assert size_complaint("x = 1\n" * 301) and not size_complaint("x = 1\n" * 300)
