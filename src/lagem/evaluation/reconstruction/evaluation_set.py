"""The shapes that are evaluated: one split of a prepared folder, or meshes as they are."""

from collections.abc import Container, Iterator
from pathlib import Path

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.truth import Truth, Untrue, truths_of_meshes, truths_of_prepared
from lagem.prepared.shards import Shards
from lagem.sources.data import data_kind
from lagem.sources.mesh_files import find_meshes
from lagem.storage.digest import sha256_of


class EvaluationSet:
    """Shapes with their truth; ValueError where there is none.

    shards: the prepared folder; None where meshes are taken as they are.
    head: what the card says about them.
    ids: of the shapes, in their order.

    Args:
        data: A folder of `lagem prepare`, or meshes: a file, a folder, a manifest.
        split: Of a prepared folder.
        points: R, drawn on the surface of a mesh; a prepared shape has its stored ones.
        seed: Of the draws.
    """

    def __init__(self, data: Path, *, split: str, points: int, seed: int) -> None:
        self.data, self.split, self._points, self._seed = data, split, points, seed
        self.shards = Shards(data) if data_kind(data, accepted=("prepared", "meshes")) == "prepared" else None
        if self.shards:
            self.ids = [id for id, of in zip(self.shards.ids, self.shards.splits, strict=True) if of == split]
            if not self.ids:
                known = sorted(set(self.shards.splits))
                raise ValueError(f"{data}: holds no shape of split {split!r}; it has {known}.")
            truth, index_sha256 = "prepared: the stored surface and labels", sha256_of(data / "index.csv")
            self.head = ReconstructionHead(data=str(data), truth=truth, split=split, index_sha256=index_sha256)
        else:
            self.ids = [mesh.id for mesh in find_meshes([data], val_share=0)]
            self.head = ReconstructionHead(data=str(data), truth="input: the meshes' own surface", split="all")

    def truths(self, num_surface_points: int, only: Container[str] | None = None) -> Iterator[Truth | Untrue]:
        """The shapes in their order.

        Args:
            num_surface_points: N, input points of each.
            only: Ids to be given; None for all.
        """
        if self.shards:
            return truths_of_prepared(
                self.data, split=self.split, num_surface_points=num_surface_points, seed=self._seed, only=only
            )
        return truths_of_meshes(
            [self.data],
            num_surface_points=num_surface_points,
            num_reference_points=self._points,
            seed=self._seed,
            only=only,
        )
