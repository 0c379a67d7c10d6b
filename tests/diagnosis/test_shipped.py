"""`lagem doctor` finds no fault in shipped experiments of autoencoders at their real size."""

import json
import time

import pytest

from lagem.cli import main
from lagem.preparation.settings import Settings
from preparation_here import prepare
from small_run import ROOT

SETTINGS = Settings(surface=20_000, volume=30_000, near=10_000, inside=3_000)
LONGEST = 300  # seconds


@pytest.fixture(scope="module")
def prepared(shared_meshes, tmp_path_factory):
    """A prepared folder with every eighth of the shared meshes, except for bad ones."""
    folder = tmp_path_factory.mktemp("prepared")
    head, *rows = (shared_meshes / "manifest.csv").read_text().splitlines()
    chosen = [row for row in rows[::8] if "/bad/" not in row]
    column = head.split(",").index("file")
    lines = []
    for row in chosen:
        cells = row.split(",")
        cells[column] = str(shared_meshes / cells[column])
        lines.append(",".join(cells))
    (folder / "list.csv").write_text("\n".join([head, *lines]))
    prepare([folder / "list.csv"], folder / "out", SETTINGS)
    return folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["toy", "meshes", "vecset_meshes"])
def test_a_shipped_experiment_raises_no_alarm(name, seed, tmp_path, request):
    words = ["doctor", str(ROOT / f"experiments/autoencoder/{name}.yaml"), "--json", str(tmp_path / "report.json")]
    words.append(f"--seed_everything={seed}")
    if name != "toy":
        words.append(f"--data.init_args.root={request.getfixturevalue('prepared')}")
    start = time.monotonic()
    try:
        main(words)
    except SystemExit:
        pass
    report = json.loads((tmp_path / "report.json").read_text())
    assert [finding for finding in report["findings"] if finding["severity"] != "note"] == []
    assert time.monotonic() - start < LONGEST
