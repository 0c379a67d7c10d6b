"""One mesh → what is stored of it: surface points, and volume and near queries split by label.

Appendix A of LaGeM: points on the surface, queries uniform in the ball of radius sqrt(3), and near queries,
surface points jittered by N(0, sigma²) for two sigmas. Every label is the winding number's answer at the
position as stored. Each array is in random order, so any contiguous window of it is a fair draw.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh, MeshError, closed_and_consistent, load_mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.sampling import sample_surface
from lagem.preparation.quantisation import SURFACE_LIMIT, VOLUME_RADIUS, decode, encode
from lagem.randomness import sample_generator

# N points of one kind; coordinates are in the unit-sphere frame (bounding box centred, max norm 1)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides the bytes of a prepared folder; the counts are the paper's.

    Args:
        surface: Surface points a shape.
        volume: Volume queries a shape, inside and outside together.
        near: Near-surface queries a shape for each sigma, inside and outside together.
        near_sigmas: Standard deviations of the jitter of near queries, in unit-sphere units.
        seed: Seed of all draws.
        val_share: Share of the shapes without a stated split that becomes validation, by a hash of the id.
        shapes_per_shard: Shapes in one shard file.
    """

    surface: int = 125_000
    volume: int = 250_000
    near: int = 125_000
    near_sigmas: tuple[float, ...] = (0.005, 0.05)
    seed: int = 0
    val_share: float = 0.05
    shapes_per_shard: int = 64

    def __post_init__(self) -> None:
        for name in ("surface", "volume", "near", "shapes_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, but at least 1 is needed.")
        if self.seed < 0:
            raise ValueError(f"--seed is {self.seed}, but a seed is not negative.")
        if not 0 <= self.val_share <= 1:
            raise ValueError(f"--val-share is {self.val_share}, but a share lies between 0 and 1.")
        if not self.near_sigmas or not all(0 < sigma <= SURFACE_LIMIT / 5 for sigma in self.near_sigmas):
            raise ValueError(f"near_sigmas are {self.near_sigmas}, but each must lie in (0, {SURFACE_LIMIT / 5}].")


@dataclass(frozen=True, kw_only=True)
class ShapeArrays:
    """One prepared shape as it is stored.

    pools: the arrays of `quantisation.POOLS`, (N, 3) integers each.
    volume_drawn_inside, volume_drawn_outside: uniform draws from the ball that each volume pool was collected from.
    faces: faces of the source mesh.
    """

    id: str
    category: str
    split: str
    frame: Frame
    faces: int
    volume_drawn_inside: int
    volume_drawn_outside: int
    near_sigmas: tuple[float, ...]
    pools: dict[str, NDArray[np.signedinteger]] = field(repr=False)


def prepare_shape(path: str | Path, id: str, category: str, split: str, settings: Settings) -> ShapeArrays:
    """Sample and label one mesh file; MeshError says why a mesh cannot be used."""
    source = load_mesh(path)
    reason = closed_and_consistent(source)
    if reason is not None:
        raise MeshError(f"{reason}; only closed, consistently oriented meshes are prepared so far.")
    frame = Frame.of(source.vertices)
    mesh = source.in_frame(frame)
    random = sample_generator(settings.seed, 0, id)
    inside = WindingNumber(mesh)

    surface_points, normals = sample_surface(mesh, settings.surface, random)
    if mesh.signed_volume < 0:  # an inside-out mesh is solid all the same
        normals = -normals
    order = random.permutation(settings.surface)
    pools = {
        "surface_points": encode("surface_points", surface_points[order]),
        "surface_normals": encode("surface_normals", normals[order]),
    }
    queries = {"volume": draw_in_ball(settings.volume, random), "near": draw_near(mesh, settings, random)}
    for kind, points in queries.items():
        stored = encode(f"{kind}_inside", points)
        labels = inside(decode(f"{kind}_inside", stored).astype(np.float64))
        pools[f"{kind}_inside"], pools[f"{kind}_outside"] = stored[labels], stored[~labels]
    if len(pools["volume_inside"]) + len(pools["near_inside"]) == 0:
        raise MeshError(
            f"no inside point among {settings.volume} volume and {len(queries['near'])} near queries; "
            "the surface encloses (almost) nothing."
        )
    return ShapeArrays(
        id=id,
        category=category,
        split=split,
        frame=frame,
        faces=len(source.faces),
        volume_drawn_inside=settings.volume,
        volume_drawn_outside=settings.volume,
        near_sigmas=settings.near_sigmas,
        pools=pools,
    )


def draw_in_ball(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """(count, 3) points uniform in the ball of radius sqrt(3)."""
    direction = random.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (VOLUME_RADIUS * random.random((count, 1)) ** (1 / 3))


def draw_near(mesh: Mesh, settings: Settings, random: np.random.Generator) -> NDArray[np.float64]:
    """Near queries of all sigmas, shuffled; a jitter that leaves |x| <= 1.25 is drawn again, never clipped.

    For sigma .05 that is a jitter of 5 sigma at a point that touches the unit sphere on an axis.
    """
    near = []
    for sigma in settings.near_sigmas:
        base, _ = sample_surface(mesh, settings.near, random)
        points = base + sigma * random.standard_normal(base.shape)
        while len(beyond := np.flatnonzero(np.abs(points).max(axis=1) > SURFACE_LIMIT)):
            points[beyond] = base[beyond] + sigma * random.standard_normal((len(beyond), 3))
        near.append(points)
    shuffled = np.concatenate(near)
    random.shuffle(shuffled)
    return shuffled
