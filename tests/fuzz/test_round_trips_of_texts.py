"""Tables, journals, lists and descriptions that are written come back equal, for odd texts and extreme numbers."""

import json
from dataclasses import asdict, replace
from typing import get_type_hints

import numpy as np
import pytest
from numpy.random import Generator

from damage import chosen
from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.card import read_card, write_card
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise
from lagem.latents.selection import read_ids, select_ids
from lagem.prepared.records import Measures, Record, read_records, write_record, write_table
from lagem.storage.csv_table import read_csv, write_csv
from lagem.storage.folder_format import FolderFormat
from lagem.storage.folder_index import read_index
from lagem.storage.journal import Journal, read_journal
from lagem.storage.stored_folder import LocalFolder
from odd import name, names, number, text

CASES = 12  # random cases for each property
FORMAT = FolderFormat(name="test", version=3, kind="test folder", command="lagem test", usage="make {root}")


@pytest.fixture(params=range(CASES))
def rng(request) -> Generator:
    return np.random.default_rng([request.param, 18])


def test_a_table_comes_back(rng, tmp_path):
    titles = ["id", "text", "number"]
    rows = [[text(rng), text(rng), repr(number(rng))] for _ in range(int(rng.integers(0, 9)))]
    write_csv(tmp_path / "table.csv", titles, rows)
    assert [[row[title] for title in titles] for row in read_csv(tmp_path / "table.csv", titles)] == rows


def test_an_index_comes_back(rng, tmp_path):
    ids = names(rng, 6)
    rows = [(id, text(rng), "train", f"{rng.integers(3)}.safetensors", int(rng.integers(2**40))) for id in ids]
    write_csv(tmp_path / "index.csv", ["id", "category", "split", "shard", "row"], rows)
    index = read_index(tmp_path / "index.csv", "index.csv")
    columns = (index.ids, index.categories, index.splits, index.shards, index.rows.tolist())
    assert list(zip(*columns, strict=True)) == rows


def record(rng: Generator, id: str) -> Record:
    values = {
        field: text(rng) or "own" if kind is str else int(rng.integers(2**50)) if kind is int else number(rng)
        for field, kind in get_type_hints(Measures).items()
    }
    measures = Measures(**values) if rng.random() < 0.7 else None
    reason = "" if measures else text(rng) or "a reason"
    status = "prepared" if measures else "refused"
    return Record(
        id=id, category=text(rng), split="val", source=f"/{text(rng)}", status=status, reason=reason, measures=measures
    )


def test_records_come_back_one_by_one_and_as_a_table(rng, tmp_path):
    (tmp_path / "shapes").mkdir()
    records = {id: record(rng, id) for id in names(rng, 5)}
    for each in records.values():
        write_record(tmp_path, each)
    assert read_records(tmp_path) == records
    write_table(tmp_path, records)
    back = read_records(tmp_path)
    for id, each in records.items():  # the table keeps six digits
        assert replace(back[id], measures=None) == replace(each, measures=None)
        if each.measures:
            for field, value in asdict(each.measures).items():
                expected = float(f"{value:.6g}") if isinstance(value, float) else value
                assert getattr(back[id].measures, field) == expected, field


def test_a_journal_comes_back(rng, tmp_path):
    kind = {"kind": text(rng), "seed": int(rng.integers(9))}
    journal = Journal(tmp_path / "journal.jsonl", kind)
    for _ in range(5):
        journal.add(text(rng), {"text": text(rng), "number": number(rng), "nothing": None, "list": [text(rng)]})
    assert read_journal(tmp_path / "journal.jsonl") == (kind, journal.values)
    assert Journal(tmp_path / "journal.jsonl", kind).values == journal.values


def test_a_list_of_ids_comes_back(rng, tmp_path):
    ids = [id for id in names(rng, 8) if id.splitlines() == [id]]
    write_csv(tmp_path / "table.csv", ["id"], [[id] for id in ids])
    select_ids(tmp_path / "table.csv", tmp_path / "ids.txt", count=len(ids))
    assert read_ids(tmp_path / "ids.txt") == sorted(ids)


def test_a_card_comes_back(rng, tmp_path):
    scores = [
        ShapeScore(id=id, category=text(rng), chamfer=chosen([None, number(rng)], rng), floor=number(rng) % 1e30)
        for id in names(rng, 4)
    ]
    head = ReconstructionHead(weights=text(rng), data=text(rng), points=int(rng.integers(1, 2**40)), resolution=8)
    with np.errstate(over="ignore", invalid="ignore"):
        write_card(tmp_path, scores, summarise(scores), head)
    card = read_card(tmp_path)
    assert card.head == head and list(card.scores.values()) == scores


def test_the_description_of_a_folder_comes_back(rng, tmp_path):
    settings = {"text": text(rng), "number": number(rng), "list": [text(rng), None, True], "deep": {text(rng): [1]}}
    FORMAT.begin(tmp_path / name(rng), settings=settings, more=text(rng))
    (root,) = tmp_path.iterdir()
    header = FORMAT.read(LocalFolder(root))
    assert header.values["settings"] == settings == json.loads(json.dumps(settings))
    FORMAT.begin(root, settings=settings)
