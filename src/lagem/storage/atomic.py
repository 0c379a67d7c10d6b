"""Files that are there whole or not at all, also after a kill or a power cut."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a hidden name of its own, flush it to the disk, then give it its name."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with hidden.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(hidden, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed `write_atomically` left in a folder, and the locks of parts."""
    for path in [*folder.glob(".*.tmp"), *folder.glob(".part-*.lock")]:
        path.unlink(missing_ok=True)
