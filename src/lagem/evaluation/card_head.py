"""The head of a card, which says what was evaluated, on which shapes and with which settings.

A card is the report of an evaluation, as Markdown and JSON. Each field of its head becomes one line of the Markdown and
one entry of `about` in the JSON. The keys of these entries are defined here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

Value = str | int


def keyed(key: str) -> Any:
    """Return a dataclass field that a card lists under `key` instead of the field's name."""
    return field(default=None, metadata={"key": key})


@dataclass(frozen=True, kw_only=True)
class CardHead:
    """Head of a card, the report of an evaluation: what was evaluated, and with which settings.

    The card lists the fields in the order of their definition. A field that does not apply is None, and the card does
    not list it.
    """

    @classmethod
    def key_of(cls, name: str) -> str:
        """Return the key under which the card lists the field with this name."""
        (key,) = (str(of.metadata.get("key", name.replace("_", " "))) for of in fields(cls) if of.name == name)
        return key

    def to_card(self) -> dict[str, Value]:
        """Return the values of all fields that are not None, by their keys in the card."""
        entries = {self.key_of(of.name): getattr(self, of.name) for of in fields(self)}
        return {key: value for key, value in entries.items() if value is not None}

    @classmethod
    def from_card(cls, entries: Mapping[str, object]) -> Self:
        """Return the head of a card that was read from a file. Keys that this version does not know are ignored.

        Raises:
            ValueError: If a value has the wrong type.
        """
        given = {}
        for of in fields(cls):
            key = cls.key_of(of.name)
            value = entries.get(key)
            if value is not None and not isinstance(value, of.type):  # type: ignore[arg-type]
                raise ValueError(f"{key} is {value!r}, but must be {of.type}")
            given[of.name] = value
        return cls(**given)

    def joined(self, *others: Self) -> Self:
        """Return a copy of this head, updated with every field that is not None in another head.

        If several heads set the same field, the last of them counts.
        """
        found = self
        for other in others:
            given = {of.name: getattr(other, of.name) for of in fields(other)}
            found = replace(found, **{name: value for name, value in given.items() if value is not None})
        return found

    def agrees_with(self, other: Self) -> bool:
        """Return whether every field that is not None in this head has the same value in the other head."""
        return self.to_card().items() <= other.to_card().items()

    def lines(self) -> list[str]:
        """Return a Markdown list with an item for each field that is not None."""
        return [f"- {key}: {value}" for key, value in self.to_card().items()]


@dataclass(frozen=True, kw_only=True)
class ReconstructionHead(CardHead):
    """Head of the cards that `lagem evaluate` and the study of levels write.

    weights: file of the network, or a description of a method without weights.
    weights_sha256: SHA-256 of that file.
    surface_points_given: N, the number of points that the encoder reads.
    kl_levels: whether levels with a KL posterior decode its mean or a sample; None if the network has no such level.
    resolution: number of cells along a side of the grid from which the surface is extracted.
    data: the prepared folder, or the meshes.
    truth: what a result is compared with.
    split: split of the prepared folder.
    index_sha256: SHA-256 of the folder's index.csv, which identifies its shapes.
    points: number of points drawn on each result and each raw mesh for the distances. All stored points of a prepared
        shape are used.
    seed: seed of all random draws.
    nearest_training_shape: whether the nearest training shapes are known, and if not, why.
    preset: name of the preset; None if no preset was used.
    categories: the evaluated categories; None if all categories are evaluated.
    """

    weights: str | None = None
    weights_sha256: str | None = keyed("weights' sha256")
    surface_points_given: int | None = None
    kl_levels: str | None = keyed("KL levels")
    resolution: int | None = None
    data: str | None = None
    truth: str | None = None
    split: str | None = None
    index_sha256: str | None = keyed("index's sha256")
    points: int | None = None
    seed: int | None = None
    nearest_training_shape: str | None = None
    preset: str | None = None
    categories: str | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationHead(CardHead):
    """Head of the card that `lagem evaluate-generation` writes.

    generated: folder of the samples.
    samples_sha256: SHA-256 of the tables of the samples, which identifies the samples (`sha256_of_tables`).
    references: the real shapes that the samples are compared with, as the user names them.
    training_set: the training set of the cascade, as the user names it.
    split: split of the references.
    points: number of points per shape for the Chamfer distances.
    emd_points: number of points per shape for the earth mover's distance, or "none" if this distance is not measured.
    samples: number of all generated shapes, including those without a surface.
    compared: n, the number of generated shapes that are compared with equally many references.
    seed: seed of all random draws.
    preset: name of the preset; None if no preset was used.
    """

    generated: str | None = None
    samples_sha256: str | None = keyed("samples' sha256")
    references: str | None = None
    training_set: str | None = None
    split: str | None = None
    points: int | None = None
    emd_points: int | str | None = keyed("EMD's points")
    samples: int | None = None
    compared: int | None = keyed("compared of each set")
    seed: int | None = None
    preset: str | None = None
