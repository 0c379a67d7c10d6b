"""The rule on skips in conftest.py: a skip passes only for a listed reason that is true on this machine."""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py").read_text()
SKIPS_AT_RUN = "import pytest\ndef test_it():\n    pytest.skip({!r})\n"
SKIPS_BY_MARK = "import pytest\n@pytest.mark.skip(reason={!r})\ndef test_it():\n    pass\n"
SKIPS_IN_FIXTURE = (
    "import pytest\n@pytest.fixture\ndef thing():\n    pytest.skip({!r})\ndef test_it(thing):\n    pass\n"
)
SKIPS_MODULE = "import pytest\npytest.skip({!r}, allow_module_level=True)\n"
EVERY_WAY = [SKIPS_AT_RUN, SKIPS_BY_MARK, SKIPS_IN_FIXTURE, SKIPS_MODULE]


@pytest.fixture
def outcomes(pytester, monkeypatch):
    """Return a function that runs a test file under our conftest in a separate folder, and returns pytest's counts.

    The tests are in `inner_tests`, not `tests`, because `tests.conftest` is already imported in this process.
    """
    checkout = pytester.mkdir("checkout")
    (checkout / "inner_tests").mkdir()
    (checkout / "inner_tests" / "conftest.py").write_text(CONFTEST)
    (checkout / "setup.cfg").write_text("[tool:pytest]\nmarkers = gpu: as in the project\n")
    monkeypatch.delenv("CI", raising=False)

    def run(source: str) -> dict[str, int]:
        (checkout / "inner_tests" / "test_inner.py").write_text(source)
        arguments = ("--rootdir", str(checkout), "--import-mode=importlib", "-p", "no:cacheprovider")
        return pytester.runpytest_inprocess(*arguments, checkout / "inner_tests").parseoutcomes()

    return run


@pytest.mark.parametrize("source", EVERY_WAY)
def test_unlisted_skip_fails(outcomes, source):
    result = outcomes(source.format("no time today"))
    assert "skipped" not in result and (result.get("failed") or result.get("errors"))


@pytest.mark.parametrize("source", EVERY_WAY)
def test_listed_skip_passes(outcomes, source):
    assert outcomes(source.format("needs ../shared/meshes")) == {"skipped": 1}


def test_unlisted_importorskip_fails(outcomes):
    result = outcomes("import pytest\nmissing = pytest.importorskip('no_such_module')\n")
    assert "skipped" not in result and result.get("errors")


def test_shared_skip_fails_where_shared_is(outcomes, pytester):
    pytester.mkdir("shared")
    assert outcomes(SKIPS_AT_RUN.format("needs ../shared/meshes")) == {"failed": 1}


def test_torch_cluster_skip_fails_in_ci(outcomes, monkeypatch):
    source = SKIPS_AT_RUN.format("needs torch-cluster")
    assert outcomes(source) == {"skipped": 1}
    monkeypatch.setenv("CI", "true")
    assert outcomes(source) == {"failed": 1}


def test_slurm_skip_fails_in_ci(outcomes, monkeypatch):
    source = SKIPS_AT_RUN.format("needs SLURM")
    assert outcomes(source) == {"skipped": 1}
    monkeypatch.setenv("CI", "true")
    assert outcomes(source) == {"failed": 1}


def test_chromium_skip_fails_in_ci(outcomes, monkeypatch):
    source = SKIPS_AT_RUN.format("needs Chromium")
    assert outcomes(source) == {"skipped": 1}
    monkeypatch.setenv("CI", "true")
    assert outcomes(source) == {"failed": 1}


def test_cuda_skip_fails_where_cuda_is(outcomes, monkeypatch):
    source = "import pytest\n@pytest.mark.gpu\ndef test_it():\n    pytest.skip('needs CUDA')\n"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert outcomes(source) == {"skipped": 1}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert outcomes(source) == {"failed": 1}


def test_expected_failure_is_no_skip(outcomes):
    source = "import pytest\n@pytest.mark.xfail(reason='a known bug', strict=True)\ndef test_it():\n    assert 0\n"
    assert outcomes(source) == {"xfailed": 1}


def test_foreign_environment_is_cleared(outcomes, monkeypatch):
    for name in ("SLURM_NTASKS", "PL_GLOBAL_SEED", "WANDB_API_KEY", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    names = "('SLURM_', 'PL_', 'WANDB_A', 'LOCAL_RANK')"
    source = f"import os\ndef test_it():\n    assert not [name for name in os.environ if name.startswith({names})]\n"
    assert outcomes(source) == {"passed": 1}
