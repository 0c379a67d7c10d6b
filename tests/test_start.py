"""Garbage collection is off while Lightning is imported, and later collections skip the imported objects."""

import gc

import pytest

from lagem.cli import uncollected


def test_collection_is_off_inside_and_skips_the_objects_afterwards():
    with uncollected():
        assert not gc.isenabled()
        made: list[list] = [[] for _ in range(1000)]
        made.append(made)
    assert gc.isenabled()
    known = {id(item) for item in gc.get_objects()}
    assert not any(id(item) in known for item in made)


def test_collection_is_on_again_after_a_failed_import():
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_collection_stays_off_if_it_was_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
