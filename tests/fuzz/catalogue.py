"""The list of all file formats that the fuzzer damages."""

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
    """Return all formats, in the order in which the table of results lists them."""
    rooms = (meshes, prepared, latents, weights, sharded, bundles, tables, scores, experiments, imports, pages)
    return [format for room in rooms for format in room.formats()]
