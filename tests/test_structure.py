"""Rules for the rooms (subpackages) of lagem: which may import which, and how many files each may have.

Each checker is a function that returns a list of complaints about a text or a folder; it is also tested on a bad
example. Each rule is one test, which names every file that breaks it.
"""

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_files import HOMES, ROOT, is_within, module_files, run_on_import

# Modules that every room may import. They may import one another, and `samples` also `geometry.frame`.
SHARED = ["device", "levels", "progress", "randomness", "samples", "signals"]
# What each room may import besides itself and the shared modules; "geometry.frame" is that one module, "*" everything.
MAY_IMPORT = {
    "": ["generation", "reconstruction", "geometry.mesh"],  # the public names, for type checkers; loaded when used
    **{word: [] for word in ("device", "levels", "progress", "randomness", "signals")},
    "samples": ["geometry.frame"],
    "storage": [],
    "models": [],
    "pretrained": [],
    "geometry": ["configuration.bounds", "storage.atomic"],
    "weights": ["models", "pretrained", "storage.atomic", "storage.checked", "storage.names"],
    "diffusion": [],
    "prepared": ["storage", "geometry"],
    "procedural": ["configuration.bounds", "geometry"],
    "sources": ["prepared", "procedural", "storage", "geometry"],
    "preparation": ["configuration.bounds", "sources", "prepared", "storage", "geometry"],
    "importing": [
        "preparation",
        "sources",
        "prepared",
        "configuration.bounds",
        "configuration.yaml_text",
        "storage",
        "geometry",
    ],
    "latents": ["sources", "storage", "geometry", "weights", "models"],
    "embeddings": ["sources", "storage", "geometry", "weights", "models"],
    "reconstruction": ["sources", "storage", "geometry", "weights", "models"],
    "generation": [
        "reconstruction",
        "embeddings.file",
        "latents.cache",
        "weights",
        "diffusion",
        "models",
        "geometry",
        "storage",
        "pretrained",
    ],
    "downloads": ["latents.selection", "storage"],
    "completion": ["embeddings", "generation", "sources", "storage", "geometry", "weights.fingerprint"],
    "evaluation": [
        "configuration.bounds",
        "reconstruction",
        "sources",
        "prepared",
        "storage",
        "geometry",
        "weights",
    ],
    "export": ["geometry.frame", "importing.synsets", "prepared", "storage", "weights", "models"],
    "studies": ["evaluation", "generation", "sources", "diffusion", "geometry", "storage"],
    "reports": [
        "studies",
        "evaluation",
        "reconstruction",
        "sources",
        "procedural",
        "latents.cache",
        "configuration.yaml_text",
        "geometry",
        "storage",
        "weights",
    ],
    "lightning_private": [],
    "modules": ["lightning_private", "weights", "diffusion", "models"],
    "data_modules": [
        "configuration.bounds",
        "lightning_private",
        "geometry.frame",
        "latents.cache",
        "embeddings.file",
        "sources",
        "prepared",
        "procedural",
        "storage",
    ],
    "callbacks": ["configuration.bounds", "lightning_private", "geometry", "storage.atomic", "storage.checked"],
    "training": [
        "configuration",
        "lightning_private",
        "modules",
        "data_modules",
        "callbacks",
        "weights",
        "models",
        "storage",
        "prepared.shard_file",  # for the message that a data folder is missing, before Lightning is imported
        "latents.latent_shard",
    ],
    "diagnosis": [  # trains a few steps, as `lagem fit` does
        "training",
        "modules",
        "data_modules",
        "models",
        "prepared",
        "storage",
        "geometry",
    ],
    "configuration": ["storage.names"],
    "cluster": [
        "storage.atomic",
        "storage.names",
        "storage.parts",
        "configuration",
        "cli",
    ],  # a task of an array runs a command line
    "commands": ["*"],
    "cli": ["*"],
    "__main__": ["cli"],
}
WITHOUT_TRAINING = ("storage", "geometry", "models", "diffusion", "weights", "prepared", "procedural", "sources")
TRAINING_LIBRARIES = ("lightning", "pytorch_lightning", "wandb", "omegaconf")
HEAVY_OR_OPTIONAL = (
    *("torch_cluster", "torch_quickfps", "triton", "mcubes", "wandb", "embreex", "point_cloud_utils"),
    *("huggingface_hub", "onnx", "onnxruntime", "transformers"),
)
TRITON_KERNEL = "lagem.models.furthest_points_triton"
HEAVY_FOR_A_VERSION = ("torch", "lightning", "numpy", "scipy", "trimesh", "igl", "wandb")
READ_FOREIGN_MESHES = {
    "lagem.sources.reading",  # names the functions that a child process runs
    "lagem.preparation.shape",  # runs in a child process
    "lagem.sources.unit_shape",  # the Python interface
    "lagem.importing.furniture",  # runs in a child process
    "lagem.importing.hy3d",  # runs in a child process
}
MAX_FILES = 14
MAX_LOOSE_MODULES = 9


def imports(nodes: Iterator[ast.AST], module: str, is_package: bool) -> Iterator[str]:
    """Yield the absolute name of each import; `from a import b` gives a.b, because b may be a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                base = ".".join([*anchor, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def import_complaints(module: str, source: str, is_package: bool = False) -> list[str]:
    """Check the imports in the source of a module, and return one complaint for each rule that an import breaks."""
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


def test_imports_keep_their_direction():
    files = [(module, path.read_text(), path.name == "__init__.py") for module, path in module_files()]
    assert len(files) > 100
    assert [complaint for file in files for complaint in import_complaints(*file)] == []


def test_no_verb_reads_foreign_meshes_in_its_own_process():
    readers = {f"lagem.geometry.files.loading.{name}" for name in ("load_mesh", "load_points", "load_surface")}
    found = {
        module
        for module, path in module_files()
        if readers & set(imports(ast.walk(ast.parse(path.read_text())), module, path.name == "__init__.py"))
    }
    assert found == READ_FOREIGN_MESHES


def test_importing_lagem_imports_nothing_heavy():
    program = f"import sys, lagem; print(*[name for name in {HEAVY_FOR_A_VERSION} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


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
