"""The Makefile explains its targets, and the pinned requirements name nothing that only one machine has."""

import configparser
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE)


def make(*arguments: str) -> str:
    inherited_from_make_test = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    environment = {name: value for name, value in os.environ.items() if name not in inherited_from_make_test}
    run = subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return run.stdout


def test_help_lists_every_target():
    listed = [line.split()[0] for line in make("help").splitlines()]
    assert listed == TARGETS and "test" in TARGETS


def test_help_is_the_default():
    assert make() == make("help")


def test_every_target_is_phony():
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony and sorted(phony[1].split()) == sorted(TARGETS)


def test_torch_index_reaches_only_torch(tmp_path):
    commands = make("-n", "setup", f"VENV={tmp_path}/venv", "TORCH_INDEX=https://wheels.example/cpu").splitlines()
    assert [line.split()[-1] for line in commands if "--index-url https://wheels.example/cpu" in line] == ["torch"]


def test_constraints_pin_plain_versions():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)


def test_constraints_pin_every_direct_dependency():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    # `make setup` leaves out the extra embed: transformers takes 140 MB, and its tests are skipped without it
    wanted = config["options"]["install_requires"] + "".join(extras[name] for name in extras if name != "embed")
    names = {re.split(r"[\[<>=!;]", line.strip())[0].lower() for line in wanted.splitlines() if line.strip()}
    lines = (ROOT / "constraints.txt").read_text().lower().splitlines()
    pinned = {line.split("==")[0].replace("_", "-") for line in lines}
    assert names <= pinned
