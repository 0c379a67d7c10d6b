"""The prepared toy shapes, which are made once; each test gets a copy that it may damage."""

import shutil
from pathlib import Path

import pytest

from toy_shapes import prepare_toys


@pytest.fixture(scope="package")
def prepared_once(tmp_path_factory) -> Path:
    return prepare_toys(tmp_path_factory.mktemp("toys"))


@pytest.fixture
def folder(prepared_once, tmp_path) -> Path:
    return shutil.copytree(prepared_once, tmp_path / prepared_once.name)
