"""While Lightning is imported, garbage collection is off and `scipy.signal` is a placeholder; neither lasts."""

import gc
import importlib
import sys

import pytest

from lagem.lightning_private.imports import cheap_imports


def test_collection_is_off_inside_and_skips_the_objects_afterwards():
    with cheap_imports():
        assert not gc.isenabled()
        made: list[list] = [[] for _ in range(1000)]
        made.append(made)
    assert gc.isenabled()
    known = {id(item) for item in gc.get_objects()}
    assert not any(id(item) in known for item in made)


def test_collection_is_on_again_after_a_failed_import():
    with pytest.raises(ImportError), cheap_imports():
        raise ImportError
    assert gc.isenabled()


def test_collection_stays_off_if_it_was_off():
    gc.disable()
    try:
        with cheap_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_signal_processing_is_a_placeholder_inside_and_the_real_module_afterwards(monkeypatch):
    for name in [name for name in sys.modules if f"{name}.".startswith("scipy.signal.")]:
        monkeypatch.delitem(sys.modules, name)
    with cheap_imports():
        assert not hasattr(importlib.import_module("scipy.signal"), "find_peaks")
    assert hasattr(importlib.import_module("scipy.signal"), "find_peaks")


def test_signal_processing_that_is_imported_already_stays():
    real = importlib.import_module("scipy.signal")
    with cheap_imports():
        assert importlib.import_module("scipy.signal") is real
    assert importlib.import_module("scipy.signal") is real
