"""Draw a set of references and a set of generated shapes to compare, with equally many of both in every category."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lagem.evaluation.generation.shapes import JudgedShape
from lagem.randomness import sample_seed
from lagem.sources.surfaces import EVERY_SPLIT, SurfaceSource


@dataclass(frozen=True)
class MatchedSets:
    """The n references and the n generated shapes that are compared, and the shapes that are not compared.

    references, generated: the n compared shapes of each set. If the samples have categories, references[i] and
        generated[i] have the same category.
    groups: groups[i] is the category of references[i] and generated[i]; "" if the samples have no category.
    more: generated shapes that have a surface but are not compared.
    failed: generated shapes without a surface.
    unread: references that cannot be read.
    left_out: for each category that cannot be compared, the reason.
    """

    groups: list[str]
    references: list[JudgedShape]
    generated: list[JudgedShape]
    more: list[JudgedShape]
    failed: list[JudgedShape]
    unread: list[JudgedShape]
    left_out: dict[str, str]


def indices_by_group(references: SurfaceSource, split: str, categories: set[str]) -> dict[str, list[int]]:
    """Return the indices of a split's references, by category.

    If the samples have no category, all indices are under the empty string.

    Args:
        references: The references.
        split: The split to use; raw meshes belong to every split.
        categories: Categories of the samples.

    Raises:
        ValueError: If the split has no reference, or no reference of the categories.
    """
    chosen = [index for index, other in enumerate(references.splits) if other in (split, EVERY_SPLIT)]
    if not chosen:
        known = ", ".join(sorted(set(references.splits)))
        raise ValueError(f"the references have no shape of split {split!r}; use one of their splits: {known}.")
    found: dict[str, list[int]] = {}
    for index in chosen:
        found.setdefault("" if categories == {""} else references.categories[index], []).append(index)
    if not categories & set(found):
        raise ValueError(
            "generated shapes and references have no category in common. The generated shapes have "
            f"{', '.join(sorted(categories))}; the references have {', '.join(sorted(found))}. Give other references."
        )
    return found


def match_sets(
    generated: Sequence[JudgedShape],
    references: dict[str, list[int]],
    read: Callable[[int], JudgedShape],
    id_of: Callable[[int], str],
    seed: int,
    *,
    all_references: bool = False,
) -> MatchedSets:
    """Draw equally many references and generated shapes from every category.

    The order in which shapes are drawn depends only on the seed and their ids.

    Args:
        generated: All samples.
        references: Indices of the references by category, from `indices_by_group`.
        read: Returns the reference at an index.
        id_of: Returns the id of the reference at an index, without reading it.
        seed: Seed of the draw.
        all_references: If True, nothing is drawn at random. From every category of the samples, take all references
            and the same number of generated shapes: the first that have a surface.

    Raises:
        ValueError: If no pair of shapes can be compared, or if `all_references` is set and a category has generated
            shapes with a surface, but fewer of them than references.
    """
    with_surface = [shape for shape in generated if not shape.reason]
    sets = MatchedSets([], [], [], [], [shape for shape in generated if shape.reason], [], {})
    for group in sorted({shape.category for shape in generated} | set(references)):
        made = [shape for shape in with_surface if shape.category == group]
        drawn: list[JudgedShape] = []
        candidates = references.get(group, []) if made or not all_references else []
        if not all_references:
            candidates = sorted(candidates, key=lambda index: sample_seed(seed, 0, f"draw {id_of(index)}"))
            made.sort(key=lambda shape: sample_seed(seed, 0, f"draw {shape.id}"))
        for index in candidates:
            if len(drawn) == len(made) and not all_references:
                break
            shape = read(index)
            (sets.unread if shape.reason else drawn).append(shape)
        if len(drawn) > len(made):
            raise ValueError(
                f"the preset compares all {len(drawn)} references{f' of {group}' if group else ''} with as many "
                f"generated shapes, but only {len(made)} have a surface; generate more."
            )
        sets.references.extend(replace(shape, compared=True) for shape in drawn)
        sets.generated.extend(replace(shape, compared=True) for shape in made[: len(drawn)])
        sets.more.extend(made[len(drawn) :])
        sets.groups.extend([group] * len(drawn))
        if not drawn:
            missing = "no reference" if made else "no generated shape with a surface"
            sets.left_out[group] = f"{missing}, so in no score"
    if not sets.groups:
        raise ValueError("no generated shape can be compared with a reference: " + _reasons(sets))
    return sets


def _reasons(sets: MatchedSets) -> str:
    reasons = Counter(shape.reason for shape in [*sets.failed, *sets.unread])
    listed = "; ".join(f"{count} times {reason}" for reason, count in reasons.most_common(3))
    return listed or "no reference has the category of a generated shape with a surface."
