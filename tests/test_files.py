"""Rules for the names, the content and the length of files.

Each rule is one test, which names every file that breaks it. Each checker is also tested on a bad example.
"""

import re

import pytest

from source_files import ROOT, text_files

CATCH_ALL_NAMES = ("utils.py", "common.py", "helpers.py", "util.py", "helper.py", "misc.py")
MAX_LINES = 300
ONE_MACHINE = re.compile(
    r"(?<![\w.])/(work|home|root|farm|Users|opt/pypi[\w-]*|opt/wheels)/"
    r"|(pypi|pythonhosted|debian|npmjs)\.org\b|file:/{2}/"
)


def machine_complaints(text: str) -> list[str]:
    return [line for line in text.splitlines() if ONE_MACHINE.search(line)]


def size_complaint(source: str) -> str | None:
    lines = len(source.splitlines())
    return f"{lines} lines are more than {MAX_LINES}: which noun is missing?" if lines > MAX_LINES else None


def text_complaints(name: str, text: str) -> list[str]:
    """Return what is wrong with a file's name, size or words."""
    complaints = [f"names what only one machine has: {line}" for line in machine_complaints(text)]
    if name in CATCH_ALL_NAMES:
        complaints.append("a function without a home: the missing noun is the finding")
    if name.endswith(".py") and (complaint := size_complaint(text)):
        complaints.append(complaint)
    return complaints


def test_files_are_named_and_sized_for_one_idea_and_for_every_machine():
    files = text_files()
    assert len(files) > 300
    complaints = {str(path.relative_to(ROOT)): text_complaints(path.name, path.read_text()) for path in files}
    assert {name: found for name, found in complaints.items() if found} == {}


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
    assert text_complaints("a.py", "x = 1\n" * 301) and not text_complaints("a.md", "x = 1\n" * 301)


def test_catch_all_name_is_found():
    assert text_complaints("utils.py", "") and not text_complaints("units.py", "")
