"""Every format that is tried."""

from formats import (
    bundles,
    experiments,
    imports,
    latents,
    meshes,
    pages,
    prepared,
    scores,
    sharded,
    tables,
    weights,
)
from tries import Format


def all_formats() -> list[Format]:
    """In the order of the table."""
    rooms = (meshes, prepared, latents, weights, sharded, bundles, tables, scores, experiments, imports, pages)
    return [format for room in rooms for format in room.formats()]
