"""Fixtures for tests of imports: imports without child processes, and points sampled on and around toy meshes."""

import pytest

from lagem.preparation import pipeline
from preparation_here import run_in_this_process
from releases import Points, sampled, toy_meshes


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "run_in_processes", run_in_this_process)


@pytest.fixture(scope="session")
def spheres() -> dict[str, Points]:
    """Points sampled on and around the toy meshes, in the unit-sphere frame."""
    return {name: sampled(mesh) for name, mesh in toy_meshes().items()}


@pytest.fixture(scope="session")
def boxes() -> dict[str, Points]:
    """Points sampled on and around the toy meshes, in the box frame."""
    return {name: sampled(mesh, box=True) for name, mesh in toy_meshes().items()}
