"""Equal sets: of every category as many references as generated shapes, drawn by the seed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lagem.evaluation.generation.shapes import JudgedShape
from lagem.randomness import sample_seed
from lagem.sources.surfaces import EVERY_SPLIT, SurfaceSource


@dataclass(frozen=True)
class MatchedSets:
    """n references and n generated shapes, in one order of categories, and the others.

    groups: category of the n shapes of each set; all empty where the samples have none.
    more: generated shapes with a surface beyond the n.
    failed: generated shapes without a surface.
    unread: references whose mesh cannot be read.
    left_out: categories that cannot be compared, and why.
    """

    groups: list[str]
    references: list[JudgedShape]
    generated: list[JudgedShape]
    more: list[JudgedShape]
    failed: list[JudgedShape]
    unread: list[JudgedShape]
    left_out: dict[str, str]


def places_by_group(references: SurfaceSource, split: str, categories: set[str]) -> dict[str, list[int]]:
    """Places of the references of a split, by category; under the empty word where samples have no category.

    Args:
        references: The source.
        split: Name of one; meshes are of every split.
        categories: That samples ask for. ValueError where no reference has one of them.
    """
    chosen = [place for place, own in enumerate(references.splits) if own in (split, EVERY_SPLIT)]
    if not chosen:
        known = ", ".join(sorted(set(references.splits)))
        raise ValueError(f"the references have no shape of split {split!r}; they have {known}.")
    found: dict[str, list[int]] = {}
    for place in chosen:
        found.setdefault("" if categories == {""} else references.categories[place], []).append(place)
    if not categories & set(found):
        raise ValueError(
            f"no reference is of a generated category: generated are {', '.join(sorted(categories))}, "
            f"the references are {', '.join(sorted(found))}."
        )
    return found


def match(
    generated: Sequence[JudgedShape],
    references: dict[str, list[int]],
    read: Callable[[int], JudgedShape],
    id_of: Callable[[int], str],
    seed: int,
) -> MatchedSets:
    """Draw the sets; who is drawn depends on the seed and the ids alone.

    Args:
        generated: All samples.
        references: Places of the references by group.
        read: Gives the reference at a place.
        id_of: Gives its id.
        seed: Of the draw.
    """
    whole = [shape for shape in generated if not shape.reason]
    sets = MatchedSets([], [], [], [], [shape for shape in generated if shape.reason], [], {})
    for group in sorted({shape.category for shape in generated} | set(references)):
        made = [shape for shape in whole if shape.category == group]
        drawn: list[JudgedShape] = []
        for place in sorted(references.get(group, []), key=lambda place: sample_seed(seed, 0, f"draw {id_of(place)}")):
            if len(drawn) == len(made):
                break
            shape = read(place)
            (sets.unread if shape.reason else drawn).append(shape)
        made.sort(key=lambda shape: sample_seed(seed, 0, f"draw {shape.id}"))
        sets.references.extend(replace(shape, compared=True) for shape in drawn)
        sets.generated.extend(replace(shape, compared=True) for shape in made[: len(drawn)])
        sets.more.extend(made[len(drawn) :])
        sets.groups.extend([group] * len(drawn))
        if not drawn:
            sets.left_out[group] = "no reference" if made else "no generated shape with a surface"
    if not sets.groups:
        raise ValueError("no generated shape with a surface has a reference beside it: " + _reasons(sets))
    return sets


def _reasons(sets: MatchedSets) -> str:
    reasons = Counter(shape.reason for shape in [*sets.failed, *sets.unread])
    return "; ".join(f"{count} times {reason}" for reason, count in reasons.most_common(3)) or "none of its category."
