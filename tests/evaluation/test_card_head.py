"""The head of a card: its keys are those of existing cards, and a head that is read equals the one that was written."""

import pytest

from lagem.evaluation.card_head import GenerationHead, ReconstructionHead

RECONSTRUCTION = {
    "weights": "large.safetensors",
    "weights' sha256": "abc",
    "surface points given": 2048,
    "resolution": 128,
    "data": "prepared",
    "truth": "prepared: the stored surface and labels",
    "split": "val",
    "index's sha256": "def",
    "points": 100_000,
    "seed": 0,
    "nearest training shape": "known, in scores.csv",
}
GENERATION = {
    "generated": "made",
    "samples' sha256": "abc",
    "references": "prepared",
    "training set": "not given",
    "split": "val",
    "points": 2048,
    "EMD's points": "none",
    "samples": 12,
    "compared of each set": 10,
    "seed": 0,
}


@pytest.mark.parametrize(("head", "entries"), [(ReconstructionHead, RECONSTRUCTION), (GenerationHead, GENERATION)])
def test_a_head_holds_every_entry_of_a_card_in_its_order(head, entries):
    found = head.from_card(dict(reversed(entries.items())))
    assert list(found.to_card().items()) == list(entries.items())
    assert found.lines()[0] == "- {}: {}".format(*next(iter(entries.items())))


def test_what_does_not_apply_has_no_entry():
    assert ReconstructionHead(points=500).to_card() == {"points": 500}


def test_a_card_of_a_later_version_is_read_and_a_value_of_another_type_is_refused():
    assert ReconstructionHead.from_card({"seed": 1, "new": []}) == ReconstructionHead(seed=1)
    with pytest.raises(ValueError, match="index's sha256 is 3"):
        ReconstructionHead.from_card({"index's sha256": 3})


def test_heads_agree_if_the_first_gives_nothing_that_the_second_contradicts_or_lacks():
    whole = ReconstructionHead(points=500).joined(ReconstructionHead(seed=0), ReconstructionHead(split="val"))
    assert whole == ReconstructionHead(points=500, seed=0, split="val")
    assert ReconstructionHead(seed=0).agrees_with(whole)
    assert not ReconstructionHead(seed=1).agrees_with(whole) and not whole.agrees_with(ReconstructionHead(seed=0))
