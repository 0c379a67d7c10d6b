"""The status of an evaluation: how many shapes have a score, how many were refused, and how many are missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction import vecset
from lagem.evaluation.reconstruction.card import read_card
from lagem.evaluation.reconstruction.evaluation_set import EvaluationSet
from lagem.evaluation.reconstruction.methods import KL_LEVELS, NO_WEIGHTS
from lagem.levels import Posterior
from lagem.storage.checked.description import Description
from lagem.storage.checked.digest import sha256_of
from lagem.storage.journal import JOURNAL_REMEDY, read_journal
from lagem.storage.parts import status_line
from lagem.weights.named import autoencoder_file


def evaluation_status(
    weights: str | Path | None,
    data: Path,
    output: Path,
    *,
    split: str = "val",
    num_surface_points: int | None = None,
    posterior: Posterior = "mean",
    points: int = 100_000,
    resolution: int = 128,
    seed: int = 0,
    preset: Literal["vecset"] | None = None,
    outer: bool = False,
    categories: Sequence[str] | None = None,
) -> str:
    """Return one line that says how many shapes are scored, refused and missing.

    A refused shape cannot be read, or its result has no surface. Only scores with the given settings count. The
    arguments are those of `evaluate`. If `num_surface_points` is None and there is no preset, scores with any number of
    input points count. The scores are read from the journals in the output folder, or from the card if there is no
    journal. A running evaluation is not disturbed.
    """
    if preset is not None:
        vecset.check_settings(points, resolution)
        num_surface_points = num_surface_points or vecset.INPUT_POINTS
    shapes = EvaluationSet(data, split=split, points=points, seed=seed, outer=outer, categories=categories)
    wanted = shapes.head.joined(ReconstructionHead(points=points, seed=seed, preset=preset))
    if weights is None:
        wanted = replace(wanted, weights=NO_WEIGHTS)
    else:
        sha256 = sha256_of(autoencoder_file(weights))
        wanted = replace(wanted, weights_sha256=sha256, surface_points_given=num_surface_points, resolution=resolution)
        if posterior == "sample":
            wanted = replace(wanted, kl_levels=KL_LEVELS["sample"])
    reasons = _reasons_by_id(output, wanted)
    refused = sum(bool(reasons.get(id)) for id in shapes.ids)
    done = sum(reasons.get(id) == "" for id in shapes.ids)
    return status_line("shapes", total=len(shapes.ids), done=done, refused=refused)


def score_journals(output: Path) -> list[Path]:
    """Return the journals in a folder; they hold the scores of evaluations that are not finished."""
    return sorted(output.glob(".scores*.jsonl"))


def _reasons_by_id(output: Path, wanted: ReconstructionHead) -> dict[str, str]:
    """Return, by id, why each evaluated shape was refused; the text is empty if it was not refused."""
    reasons: dict[str, str] = {}
    journals = score_journals(output)
    if (output / "card.json").exists() and not journals:
        card = read_card(output)
        if _agrees(wanted, card.head):
            reasons = {id: score.reason for id, score in card.scores.items()}
    for path in journals:
        kind, scores = read_journal(path)
        journal = Description(str(path), scores, remedy=JOURNAL_REMEDY)
        if isinstance(kind, dict) and _agrees(wanted, _head_of(journal, kind)):
            reasons |= {id: journal.object(id).text("reason") for id in scores}
    return reasons


def _agrees(wanted: ReconstructionHead, found: ReconstructionHead) -> bool:
    """Return whether scores with the head `found` have the settings of the head `wanted`.

    Every field that is not None in `wanted` must have the same value in `found`. The presets must be the same. Without
    a preset, either both or neither of the heads must say that samples of a KL posterior were decoded.
    """
    if wanted.preset is not None or found.preset is not None:
        return wanted.preset == found.preset and wanted.agrees_with(found)
    is_sample = [head.kl_levels == KL_LEVELS["sample"] for head in (wanted, found)]
    return wanted.agrees_with(found) and is_sample[0] == is_sample[1]


def _head_of(journal: Description, kind: dict[str, object]) -> ReconstructionHead:
    try:
        return ReconstructionHead.from_card(kind)
    except ValueError as error:
        raise journal.damaged(str(error)) from None
