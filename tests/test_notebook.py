"""The quick start notebook runs with the weights in the package, and is stored without outputs."""

import os
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from deadlines import HANG
from lagem.geometry.files.loading import load_mesh
from lagem.reconstruction.latents import Latents
from source_files import ROOT

NOTEBOOK = ROOT / "docs" / "quick_start.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    settings = {"IPYTHONDIR": folder / "ipython", "JUPYTER_RUNTIME_DIR": folder / "runtime"}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (folder / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, path in settings.items():
            patch.setenv(name, str(path))
        NotebookClient(notebook, timeout=HANG, resources={"metadata": {"path": str(folder / "work")}}).execute()
    yield notebook, folder / "work"
    shutil.rmtree(folder)


def test_every_picture_is_shown(executed):
    notebook, _ = executed
    drawing = [cell for cell in notebook.cells if cell.cell_type == "code" and "\npictures(" in cell.source]
    assert len(drawing) == 3
    assert all("image/png" in cell.outputs[-1].data for cell in drawing)


def test_it_writes_a_mesh_and_latents_that_can_be_read(executed):
    _, folder = executed
    assert sorted(os.listdir(folder)) == ["chair.glb", "chair.safetensors"]
    assert len(load_mesh(folder / "chair.glb").faces) > 100
    assert len(Latents.load(folder / "chair.safetensors").levels) == 3


def test_it_is_valid_and_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(cell.outputs == [] and cell.execution_count is None and not cell.metadata for cell in code)
