"""Reads meshes and point clouds in a child process, within limits of time and memory.

If a file crashes the reader or exceeds a limit, only that file is refused. One child reads all files for this process.
It starts when the first file is read, and is replaced if it dies.
"""

import atexit
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh, load_surface
from lagem.geometry.frame import Up
from lagem.geometry.mesh import Mesh
from lagem.signals import stop_postponed
from lagem.sources.child import Child, Failure, Limits
from lagem.storage.failures import raise_failure_behind

SECONDS, SECONDS_PER_BYTE = 20.0, 2e-6  # a million bytes of text are read in about 0.2 s
MEMORY, MEMORY_PER_BYTE = 2 * 2**30, 40  # text takes 10 to 40 times its size while it is read


def limits_of(path: str | Path) -> Limits:
    """Return the time and memory that reading a file may take, given the size of the file."""
    size = size_of(path)
    return Limits(seconds=SECONDS + SECONDS_PER_BYTE * size, memory=MEMORY + MEMORY_PER_BYTE * size)


def size_of(path: str | Path) -> int:
    """Return the size of a file in bytes, or 0 if it is missing.

    The size of a .gltf file includes the .bin files next to it, because they hold its vertices and faces.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.suffix.lower() == ".gltf":
            with os.scandir(path.parent) as entries:
                size += sum(entry.stat().st_size for entry in entries if entry.name.lower().endswith(".bin"))
    except OSError:
        return 0
    return size


def read_mesh(path: str | Path, *, up: Up = "z") -> Mesh:
    """Load a mesh by `load_mesh`, but in a child process; raises MeshError also if a limit is reached."""
    mesh: Mesh = _reader.read(load_mesh, path, up=up)
    return mesh


def read_surface(path: str | Path, *, up: Up = "z") -> Mesh | NDArray[np.float64]:
    """Load a mesh or points by `load_surface`, but in a child process; raises MeshError also if a limit is reached."""
    surface: Mesh | NDArray[np.float64] = _reader.read(load_surface, path, up=up)
    return surface


class Reader:
    """Reads one file after the other in a child process, which starts when the first file is read."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._owner = 0
        self._one_at_a_time = Lock()

    def read(self, function: Callable[..., Any], path: str | Path, **options: Any) -> Any:
        """Call a function of `lagem.geometry.files.loading` for a file, in the child process.

        The result of the function is returned, and its exceptions are raised here.

        Raises:
            MeshError: If a limit was reached, or the child died.
        """
        limits = limits_of(path)
        with self._one_at_a_time:
            if self._child is None or self._owner != os.getpid() or not self._child.alive:
                with stop_postponed():
                    self._child, self._owner = (
                        Child(call),
                        os.getpid(),
                    )  # after a fork, each process starts its own child
            self._child.give((partial(function, **options), Path(path)), limits)
            try:
                result = self._child.answer()
            except MeshError:
                raise
            except BaseException:  # such as an interrupt, after which nobody waits for this child's answer
                self.close()
                raise
            if isinstance(result, Failure):
                self.close()
                raise MeshError(
                    f"{path}: {result} while the file was read (limits: {limits}); simplify or repair the mesh."
                )
        return result

    def close(self) -> None:
        """Stop the child."""
        if self._child is not None and self._owner == os.getpid():
            self._child.stop()
        self._child = None


def call(function_and_path: tuple[Callable[[Path], Any], Path]) -> Any:
    """Return the result of a function for a path; runs in the child."""
    function, path = function_and_path
    try:
        return function(path)
    except Exception as error:
        raise_failure_behind(error, path)  # in the child, because the parent does not receive the cause of an error
        raise


_reader = Reader()
atexit.register(_reader.close)
