"""The wheel contains every package folder of the source tree, the `lagem` command and the licence."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from lagem import __version__
from python_example import example, write_chair

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"lagem": "src/lagem", "lagem/data_modules": "data_modules", "lagem/callbacks": "callbacks"}
BUILD_FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def copy_source(folder: Path) -> Path:
    """Copy the files that a build reads; leave out build/lib, which could put deleted modules into the wheel."""
    folder.mkdir()
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, folder)
    for home in HOMES.values():
        shutil.copytree(ROOT / home, folder / home, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def build_wheel(source: Path, output: Path) -> zipfile.ZipFile:
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*pip, "--wheel-dir", str(output), str(source)], check=True, capture_output=True, text=True)
    (wheel,) = output.glob("lagem-*.whl")
    return zipfile.ZipFile(wheel)


def source_files(source: Path) -> set[str]:
    return {
        f"{home}/{path.relative_to(source / folder).as_posix()}"
        for home, folder in HOMES.items()
        for path in (source / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def packaged_files(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return copy_source(tmp_path_factory.mktemp("packaging") / "source")


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> zipfile.ZipFile:
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def test_wheel_holds_every_source_file_and_nothing_else(source, wheel):
    files = source_files(source)
    assert {"lagem/__init__.py", "lagem/data_modules/__init__.py", "lagem/callbacks/__init__.py"} <= files
    assert packaged_files(wheel) == files


def test_wheel_has_the_command(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    assert "lagem = lagem.cli:command" in wheel.read(name).decode().splitlines()


def test_wheel_has_the_licence(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("/LICENSE")]
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_example_of_the_readme_runs_from_the_wheel_outside_of_the_repository(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")
    (tmp_path / "elsewhere").mkdir()
    write_chair(tmp_path / "elsewhere")
    text = example(ROOT / "README.md").replace("resolution=256", "resolution=16").replace("count=4", "count=1")
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n{text}print(lagem.__file__)"
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).is_relative_to(tmp_path / "installed")
    assert (tmp_path / "elsewhere" / "chair.glb").is_file()


EVERY_HELP = """
import io, json, sys
from contextlib import redirect_stdout
from lagem.cli import TRAINING_VERBS, main, tool_modules

def printed(*words):
    with redirect_stdout(io.StringIO()) as text:
        try:
            main([*words, "--help"])
        except SystemExit as stop:
            assert not stop.code, words
    return text.getvalue()

verbs = [*tool_modules(), *TRAINING_VERBS]
print(json.dumps({"lagem": printed(), **{verb: printed(verb) for verb in verbs}}))
"""


@pytest.mark.slow
def test_the_installed_wheel_has_the_help_of_every_verb(wheel, tmp_path):
    """The wheel is installed in a new environment, which has the dependencies of this one, but not this repository."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel.filename)], check=True, capture_output=True)
    site, here = (
        sysconfig.get_path("purelib", vars={"base": str(base)}) for base in (tmp_path / "venv", Path(sys.prefix))
    )
    Path(site, "dependencies.pth").write_text(f"{here}\n")
    lagem = subprocess.run([python.with_name("lagem"), "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert lagem.stdout == f"lagem {__version__}\n", lagem.stderr
    run = subprocess.run([python, "-c", EVERY_HELP], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    texts = json.loads(run.stdout)
    verbs = texts.keys() - {"lagem"}
    assert len(verbs) > 20 and {verb for verb in verbs if not re.search(rf"(?m)^    {verb}\s", texts["lagem"])} == set()
    assert {verb for verb in verbs if "usage:" not in texts[verb]} == set()


def test_package_left_out_of_the_list_is_found(tmp_path):
    source = copy_source(tmp_path / "source")
    config = (source / "setup.cfg").read_text()
    (source / "setup.cfg").write_text(config.replace("    lagem.callbacks\n", ""))
    missing = source_files(source) - packaged_files(build_wheel(source, tmp_path / "wheel"))
    assert "lagem/callbacks/__init__.py" in missing
