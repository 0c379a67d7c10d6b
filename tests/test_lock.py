"""requirements.lock lists the same versions as constraints.txt, and the hashes of each package's files."""

import configparser
import re
from importlib.metadata import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from source_files import ROOT

BUILT_DIFFERENTLY = {"torch", "torch-cluster"}  # each index has its own builds, so their hashes differ
TESTED_ON = {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}
OLDEST_PYTHON = "3.11.0"
COMPROMISED = {"lightning": ("2.6.2", "2.6.3")}


def pinned() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def locked() -> dict[str, tuple[Requirement, list[str]]]:
    """Return each requirement of the lock file and its hashes, by the name of the package."""
    text = re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split(" --hash=")
        parsed = Requirement(requirement)
        found[canonicalize_name(parsed.name)] = parsed, [text.strip() for text in hashes]
    return found


def test_every_locked_version_is_that_of_the_constraints():
    pins = pinned()
    others = {
        str(requirement)
        for name, (requirement, _) in locked().items()
        if name not in pins or requirement.specifier != pins[name].specifier
    }
    for_other_systems = {text for text in others if Requirement(text).marker}
    assert others == for_other_systems, "run `make constraints`"
    assert not [text for text in others if Requirement(text).marker.evaluate(TESTED_ON)]


def test_every_constraint_is_locked_unless_indexes_have_different_builds_of_it():
    assert pinned().keys() - locked().keys() == BUILT_DIFFERENTLY


def test_every_locked_package_has_hashes():
    wrong = {
        name: hashes
        for name, (_, hashes) in locked().items()
        if not hashes or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in hashes)
    }
    assert wrong == {} and len(locked()) > 100


def test_every_pinned_package_runs_on_the_oldest_python():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert SpecifierSet(config["options"]["python_requires"]) == SpecifierSet(f">={OLDEST_PYTHON.removesuffix('.0')}")
    wanted = {name: metadata(name)["Requires-Python"] for name in pinned().keys() - BUILT_DIFFERENTLY}
    assert {name: text for name, text in wanted.items() if text and OLDEST_PYTHON not in SpecifierSet(text)} == {}


def test_compromised_releases_are_excluded():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = [Requirement(line) for line in config["options"]["install_requires"].splitlines() if line]
    by_name = {requirement.name: requirement.specifier for requirement in wanted}
    for name, versions in COMPROMISED.items():
        assert not [version for version in versions if version in by_name[name] or version in pinned()[name].specifier]
