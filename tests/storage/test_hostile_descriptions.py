"""Every field of every description: if it is missing, of a wrong type, huge or nested, the error names the field."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from flips import header_length
from lagem.evaluation.reconstruction.card import read_card
from lagem.generation.bundle import load_bundle
from lagem.geometry.frame import Frame
from lagem.latents.cache import LatentCache
from lagem.latents.latent_shard import EncodedShape, LatentShard, RefusedShape, write_latent_shard
from lagem.levels import LevelSpec
from lagem.prepared.quantisation import POOLS
from lagem.prepared.records import Record, read_records, write_record
from lagem.prepared.shard_file import ShapeArrays, ShardFile, write_shard
from lagem.prepared.shards import Shards
from lagem.reconstruction.latents import Latents
from lagem.weights.stage import StageSpec, load_stage, save_stage

MISSING = object()
WRONG = [MISSING, None, True, 1.5, -(10**30), 10**30, "other", ["x", 1], {"a": {"a": 1}}]
FRAME = Frame(np.zeros(3), 1.0)
LEVELS = [LevelSpec(4, 4, 0), LevelSpec(2, 4, 0)]
NAMES = {"id": "a", "category": "b", "split": "train"}


def shard(folder: Path) -> Path:
    pools = {pool: np.ones((2, 3), kind) for pool, (kind, _) in POOLS.items()}
    counts = {"faces": 1, "volume_drawn_inside": 9, "volume_drawn_outside": 9, "near_sigmas": (0.1,)}
    write_shard(folder / "a.safetensors", [ShapeArrays(**NAMES, frame=FRAME, **counts, pools=pools)])
    return folder / "a.safetensors"


def latent_shard(folder: Path) -> Path:
    latents = [np.zeros((1, level.num_latents, level.latent_dim), np.float16) for level in LEVELS]
    shapes = [EncodedShape(**NAMES, frame=FRAME, latents=latents)]
    refused = [RefusedShape(id="c", category="b", split="train", reason="none")]
    write_latent_shard(folder / "a.safetensors", shapes, refused, LEVELS, 1)
    return folder / "a.safetensors"


def latents(folder: Path) -> Path:
    Latents([torch.zeros(4, 4)], FRAME, "0123456789abcdef").save(folder / "a.safetensors")
    return folder / "a.safetensors"


def stage(folder: Path) -> Path:
    conditions = {"num_categories": None, "condition_dim": None, "drop_condition": 0.0, "max_coarser_sigma": 0.0}
    spec = StageSpec(levels=tuple(LEVELS), level=2, width=64, depth=0, **conditions, autoencoder="0123456789abcdef")
    save_stage(spec.backbone(), spec, folder / "a.safetensors")
    return folder / "a.safetensors"


def record(folder: Path) -> Path:
    (folder / "shapes").mkdir()
    write_record(folder, Record(**NAMES, source="/a.ply", status="refused", reason="it is empty"))
    return folder / "shapes" / "a.json"


def written(name: str, content: dict[str, Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(json.dumps(content))
        (folder / "index.csv").write_text("id,category,split,shard,row\n")
        return folder / name

    return write


PREPARED = written("format.json", {"format": "lagem-occupancy", "version": 1, "settings": {}})
PLAIN_LEVELS = [{"num_latents": 4, "latent_dim": 4}]
CACHE = written(
    "format.json",
    {"format": "lagem-latents", "version": 1, "fingerprint": "0", "levels": PLAIN_LEVELS, "settings": {"subsets": 1}},
)
CARD = written("card.json", {"about": {"seed": 1}, "scores": [{"id": "a", "category": "b"}]})
BUNDLE = written("cascade.json", {"format": "lagem-cascade-1", "autoencoder": "0", "sha256": {"a": "0"}})
WEIGHTS = written(
    "config.json", {"format": "lagem-weights-1", "autoencoder": "0", "architecture": {}, "sha256": {"a": "0"}}
)
SHARD_FIELDS = ["format", "version", "ids", "categories", "splits"]
STAGE_FIELDS = ["levels", "level", "width", "depth", "drop_condition", "max_coarser_sigma", "category_names"]

# kind: writer, entry of the metadata or "" for JSON, reader, fields, and those values of WRONG that a field may have
KINDS: dict[str, tuple[Callable[[Path], Path], str, Callable[[Path], Any], list[str], dict[str, list[Any]]]] = {
    "prepared folder": (PREPARED, "", lambda path: Shards(path.parent), ["format", "version"], {"version": [True]}),
    "latent cache": (
        CACHE,
        "",
        lambda path: LatentCache(path.parent),
        ["format", "version", "fingerprint", "levels", "settings"],
        {"version": [True], "fingerprint": ["other"]},
    ),
    "shard": (shard, "lagem", ShardFile, [*SHARD_FIELDS, "near_sigmas"], {"version": [True]}),
    "latent shard": (latent_shard, "lagem", LatentShard, [*SHARD_FIELDS, "refused"], {"version": [True]}),
    "latents": (latents, "lagem", Latents.load, ["format", "fingerprint"], {"fingerprint": ["other"]}),
    "stage": (
        stage,
        "stage",
        load_stage,
        ["format", *STAGE_FIELDS, "autoencoder", "num_categories", "condition_dim"],
        {
            "max_coarser_sigma": [1.5, 10**30],
            "autoencoder": ["other"],
            "num_categories": [None, MISSING],
            "condition_dim": [None, MISSING],
        },
    ),
    "record": (
        record,
        "",
        lambda path: read_records(path.parents[1]),
        ["id", "category", "split", "source", "status", "reason", "seconds", "measures"],
        {
            **{key: ["other"] for key in ["id", "category", "split", "source"]},
            "reason": ["other", MISSING],
            "seconds": [1.5, MISSING, 10**30, -(10**30)],
            "measures": [None, MISSING],
        },
    ),
    "card": (CARD, "", lambda path: read_card(path.parent), ["about", "scores"], {"about": [{"a": {"a": 1}}]}),
    "folder of weights": (
        WEIGHTS,
        "",
        lambda path: load_bundle(path.parent),
        ["format", "autoencoder", "architecture", "category_names", "sha256"],
        {"autoencoder": ["other"], "architecture": [{"a": {"a": 1}}], "category_names": [None, MISSING]},
    ),
    "bundle": (
        BUNDLE,
        "",
        lambda path: load_bundle(path.parent),
        ["format", "autoencoder", "sha256"],
        {"autoencoder": ["other"]},
    ),
}


def description_of(path: Path, entry: str) -> dict[str, Any]:
    content = path.read_bytes()
    if not entry:
        return json.loads(content)
    return json.loads(json.loads(content[8 : header_length(content)])["__metadata__"][entry])


def replace_description(path: Path, entry: str, description: dict[str, Any]) -> None:
    """Write a description as an earlier version did, without checksums."""
    description.pop("crc32", None)
    if entry:
        arrays = {name: array for name, array in load_file(path).items() if not name.startswith("crc32.")}
        path.write_bytes(save(arrays, metadata={entry: json.dumps(description)}))
    else:
        path.write_text(json.dumps(description) + "\n")


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in KINDS for field in KINDS[kind][3]])
def test_a_wrong_field_is_refused_by_file_and_field(kind, field, tmp_path):
    write, entry, read, _, right = KINDS[kind]
    path = write(tmp_path)
    whole = description_of(path, entry)
    for value in WRONG:
        if any(value is ok or (value == ok and type(value) is type(ok)) for ok in right.get(field, [])):
            continue
        changed = {name: old for name, old in whole.items() if name != field}
        replace_description(path, entry, changed if value is MISSING else {**changed, field: value})
        with pytest.raises(ValueError, match=path.name) as refusal:
            read(path)
        message = str(refusal.value)
        assert "\n" not in message and len(message) < 600, message
        assert field.rstrip("s") in message or "of another kind" in message, message


@pytest.mark.parametrize("kind", KINDS)
def test_a_deep_or_endless_description_is_one_line(kind, tmp_path):
    write, entry, read, *_ = KINDS[kind]
    path = write(tmp_path)
    for text in ("[" * 100_000, '{"a": ' * 100_000, "{" + '"a": 1,' * 3, '{"format": ' + "9" * 6000 + "}", "null"):
        if entry:
            path.write_bytes(save({}, metadata={entry: text}))
        else:
            path.write_text(text + "\n")
        with pytest.raises(ValueError, match=path.name) as refusal:
            read(path)
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 600
