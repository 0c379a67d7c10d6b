"""The evaluated shapes: one split of a prepared folder, or raw meshes."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.truth import (
    InnerFaces,
    Truth,
    UnreadableShape,
    truths_of_meshes,
    truths_of_prepared,
)
from lagem.prepared.shards import Shards
from lagem.sources.data import data_kind
from lagem.sources.mesh_files import find_meshes
from lagem.storage.checked.digest import sha256_of

WHOLE = "input: the meshes' own surface"
OUTER = f"{WHOLE}, without the faces that cannot be seen from outside, which inner_faces.csv lists"


class EvaluationSet:
    """The evaluated shapes, with their ground truth.

    shards: reader of the prepared folder; None for raw meshes.
    head: head of the card with the fields that describe the shapes.
    ids: ids of the evaluated shapes, in the order of index.csv; those of raw meshes are sorted.
    inner: by id, for each shape that `truths` has yielded, the faces that are left out of its ground truth; empty
        without `outer`.

    Args:
        data: A folder that `lagem prepare` wrote, or meshes: a file, a folder or a manifest.
        split: Split of a prepared folder.
        points: R, the number of points drawn on a raw mesh; for prepared shapes the stored points are used instead.
        seed: Seed of all random draws.
        outer: Leave out the faces of raw meshes that cannot be seen from outside.
        categories: Categories to evaluate; None for all.

    Raises:
        ValueError: If there is no shape, if one of `categories` has no shape, or if `outer` is set for a prepared
            folder.
    """

    def __init__(
        self,
        data: Path,
        *,
        split: str,
        points: int,
        seed: int,
        outer: bool = False,
        categories: Sequence[str] | None = None,
    ) -> None:
        self.data, self.split, self._points, self._seed, self._outer = data, split, points, seed, outer
        self.inner: dict[str, InnerFaces] = {}
        self.shards = Shards(data) if data_kind(data, accepted=("prepared", "meshes")) == "prepared" else None
        if self.shards and outer:
            raise ValueError(f"{data}: is a prepared folder, but --outer needs raw meshes; leave the option out.")
        if self.shards:
            members = zip(self.shards.ids, self.shards.categories, self.shards.splits, strict=True)
            found = {id: category for id, category, of in members if of == split}
            if not found:
                known = sorted(set(self.shards.splits))
                raise ValueError(f"{data}: holds no shape of split {split!r}; use one of its splits: {known}.")
            truth, index_sha256 = "prepared: the stored surface and labels", sha256_of(data / "index.csv")
            self.head = ReconstructionHead(data=str(data), truth=truth, split=split, index_sha256=index_sha256)
        else:
            found = {mesh.id: mesh.category for mesh in find_meshes([data], val_share=0)}
            self.head = ReconstructionHead(data=str(data), truth=OUTER if outer else WHOLE, split="all")
        self._all_categories = categories is None
        self.ids = list(found)
        if categories is not None:
            if missing := sorted(set(categories) - set(found.values())):
                raise ValueError(
                    f"{data}: holds no shape of category {missing[0]!r} to evaluate; it has "
                    f"{', '.join(sorted(set(found.values())))}."
                )
            self.ids = [id for id, category in found.items() if category in categories]
            self.head = replace(self.head, categories=", ".join(sorted(set(categories))))

    def truths(self, num_surface_points: int, only: Container[str] | None = None) -> Iterator[Truth | UnreadableShape]:
        """Yield the shapes with their ground truth, in the order of `ids`.

        Args:
            num_surface_points: N, the number of input points per shape.
            only: Ids of the shapes to yield; None yields all.
        """
        if only is None and not self._all_categories:
            only = set(self.ids)
        if self.shards:
            return truths_of_prepared(
                self.data, split=self.split, num_surface_points=num_surface_points, seed=self._seed, only=only
            )
        return self._of_meshes(num_surface_points, only)

    def _of_meshes(self, num_surface_points: int, only: Container[str] | None) -> Iterator[Truth | UnreadableShape]:
        for truth in truths_of_meshes(
            [self.data],
            num_surface_points=num_surface_points,
            num_reference_points=self._points,
            seed=self._seed,
            outer=self._outer,
            only=only,
        ):
            if isinstance(truth, Truth) and truth.inner is not None:
                self.inner[truth.id] = truth.inner
            yield truth
