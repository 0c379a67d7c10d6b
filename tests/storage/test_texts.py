"""Columns of text behave as lists of strings do."""

import pickle

import numpy as np
import pytest

from lagem.storage.texts import Labels, Texts

WORDS = ["chair", "", "тарелка", "chair", 'küche "a"']
COLUMNS = [Texts(WORDS), Labels(["chair", "", "тарелка", 'küche "a"'], np.array([0, 1, 2, 0, 3]))]
every_column = pytest.mark.parametrize("column", COLUMNS, ids=["texts", "labels"])


@every_column
def test_a_column_is_read_as_a_list(column):
    assert column == WORDS and list(column) == WORDS and len(column) == 5
    assert [column[index] for index in range(-5, 5)] == WORDS * 2
    assert column[1:4] == WORDS[1:4] and column[::-2] == WORDS[::-2]
    assert column.index("тарелка") == 2 and "chair" in column and column.count("chair") == 2
    assert column != WORDS[:-1] and column != 5


@every_column
def test_a_place_outside_is_an_index_error(column):
    for index in (5, -6):
        with pytest.raises(IndexError):
            column[index]


@every_column
def test_a_column_can_be_pickled(column):
    assert pickle.loads(pickle.dumps(column)) == column
