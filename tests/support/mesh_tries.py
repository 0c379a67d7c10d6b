"""One try of the mesh readers with a damaged file, and what came of it."""

import re
import resource
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import dialects
import mutations
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import MESH_ENDINGS, POINT_ENDINGS, load_mesh, load_points
from lagem.geometry.mesh import Mesh

MEMORY = 2**31  # bytes of address space that a try may take
SECONDS = 20.0

_limited = False


@cache
def sources() -> list[tuple[str, dialects.Written]]:
    """Sound files of every dialect."""
    solids = (dialects.box(), dialects.c_prism(), dialects.ball())
    return [*(entry for solid in solids for entry in dialects.dialects(solid)), *mutations.clouds()]


def files_of(seed: int, number: int) -> tuple[str, dialects.Written]:
    """The damaged files of a try, and the dialect that they come from."""
    rng = np.random.default_rng([seed, number])
    name, files = sources()[int(rng.integers(len(sources())))]
    other = next(iter(sources()[int(rng.integers(len(sources())))][1].values()))
    return name, mutations.mutated(files, rng, other)


def attempt(item: tuple[int, int]) -> tuple[str, str]:
    """(format, outcome) of a try (seed, number): `read`, `refused`, or what is wrong with the answer."""
    name, files = files_of(*item)
    with tempfile.TemporaryDirectory() as folder:
        path = dialects.write(Path(folder), files)
        loaders: list[Callable[[Path], Any]] = [load_mesh] if path.suffix in MESH_ENDINGS else []
        loaders += [load_points] if path.suffix in POINT_ENDINGS else []
        outcomes = [outcome(loader, path) for loader in loaders]
    wrong = [found for found in outcomes if found not in ("read", "refused")]
    return name.partition(",")[0], wrong[0] if wrong else min(outcomes)  # "read" if any loader reads it


def attempt_within_limits(item: tuple[int, int]) -> tuple[str, str]:
    """As `attempt`, in a process that cannot take more memory than is allowed; for worker processes only."""
    global _limited
    if not _limited:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
        _limited = True
    return attempt(item)


def outcome(loader: Callable[[Path], Any], path: Path) -> str:
    """`read`, `refused`, or what is wrong with what a loader gives."""
    try:
        found = loader(path)
    except MeshError as error:
        text = str(error)
        if text.startswith(f"{path}: ") and text.isprintable() and len(text) < len(str(path)) + 600:
            return "refused"
        return f"an error that is not one short line: {text[:2000]!r}"
    except Exception:
        return traceback.format_exc()
    vertices = found.vertices if isinstance(found, Mesh) else found
    if not np.isfinite(vertices).all() or vertices.shape[1:] != (3,) or not len(vertices):
        return "vertices that are not finite or not there"
    if isinstance(found, Mesh) and not (found.area > 0 and 0 <= found.faces.min() <= found.faces.max() < len(vertices)):
        return "faces that name no vertex, or have no area"
    return "read"


def last_line(text: str) -> str:
    """Where and what: the last frame and the error of a traceback, or the text."""
    frames = re.findall(r'File "[^"]*?([^/"]+)", line (\d+)', text)
    return f"{':'.join(frames[-1])} {text.strip().splitlines()[-1][:200]}" if frames else text[:300]
