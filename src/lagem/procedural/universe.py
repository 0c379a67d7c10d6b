"""An endless universe of random solids with exact occupancy.

They are single primitives, extruded and turned bodies, shells, bent tubes, and assemblies of these. Most are symmetric
and aligned with the axes, as real objects are; many are thin.
"""

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from lagem.procedural import assemblies, bodies
from lagem.procedural.solids import ProceduralShape, ProceduralSolid

FAMILIES: dict[Callable[[np.random.Generator], list[ProceduralSolid]], float] = {  # with their probabilities
    bodies.single: 0.18,
    bodies.extruded: 0.16,
    bodies.turned: 0.15,
    bodies.shell: 0.12,
    bodies.tube: 0.11,
    assemblies.line: 0.07,
    assemblies.mirrored: 0.06,
    assemblies.wheel: 0.04,
    assemblies.grid: 0.03,
    assemblies.on_legs: 0.05,
    assemblies.rack: 0.03,
}
ROTATED = 1 / 3  # fraction of the solids that are turned at random
TRIES = 400  # points that are drawn to see whether a shape can be sampled
LEAST_ACCEPTED = 0.05  # fraction of these points
LEAST_VOLUME = 0.0005  # fraction of the unit ball


def random_solid(rng: np.random.Generator) -> ProceduralShape:
    """Return a random shape. It fills at least about 0.0005 of the unit ball, and can be sampled quickly."""
    families, weights = list(FAMILIES), list(FAMILIES.values())
    while True:
        solids = families[rng.choice(len(families), p=weights)](rng)
        if rng.random() < ROTATED:
            turn = Rotation.from_quat(rng.standard_normal(4)).as_matrix()
            solids = [
                ProceduralSolid([b.rotated(turn) for b in solid.bodies], [h.rotated(turn) for h in solid.holes])
                for solid in solids
            ]
        shape = ProceduralShape(solids)
        accepted, volume = shape.accepted_inside(TRIES, rng)
        if accepted >= LEAST_ACCEPTED and volume >= LEAST_VOLUME * 4 / 3 * np.pi:
            return shape
