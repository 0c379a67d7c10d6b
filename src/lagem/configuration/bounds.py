"""Bounds on numbers that people set.

A number beyond its bound is a mistake: it would fill the memory, start too many processes, or take for ever.
"""

MOST_INTEGER = 2**32  # of an option of a command
MOST_NUMBER = 1e12
MOST_WORKERS = 1_024  # processes or threads
MOST_PARTS = 10_000  # of a job
MOST_SHAPES = 10_000_000  # of a procedural collection
MOST_RESOLUTION = 4_096  # cells along a side of the grid from which a mesh is extracted


def check_bounds(name: str, number: int, *, least: int, most: int) -> None:
    """Raise ValueError if a number is not from `least` to `most`; the message names the setting as `name`."""
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least:,} to {most:,}, but {number:,} was given.")
