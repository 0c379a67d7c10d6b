"""The report of an encoding on the terminal: how many shapes were encoded, which were refused and why."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lagem.latents.cache import LatentCache
from lagem.latents.latent_shard import RefusedShape
from lagem.storage.names import printable
from lagem.storage.parts import Part

LISTED = 40  # maximum number of refused shapes to print; refused.csv lists all


def show(output: str | Path, refused: Sequence[RefusedShape], part: Part | None = None) -> None:
    """Print how many shapes are encoded, and the refused shapes. With `part`, print what `show_part` prints.

    Args:
        output: The latent cache.
        refused: The refused shapes.
        part: The part that was encoded; None if it was the whole job.

    Raises:
        ValueError: If no shape is encoded, and `part` is None.
    """
    if part is not None:
        show_part(refused, part)
        return
    cache = LatentCache(output)
    table = Path(output) / "refused.csv"
    for shape in refused[:LISTED]:
        print(printable(f"{shape.id}: {shape.reason}"), flush=True)
    if len(refused) > LISTED:
        print(f"and {len(refused) - LISTED} more in {table}", flush=True)
    if not cache.ids:
        raise ValueError(f"none of {len(refused)} shapes could be encoded; the reasons are above and in {table}.")
    counts = ", ".join(f"{count} {split}" for split, count in sorted(Counter(cache.splits).items()))
    levels = ", ".join(f"{level.num_latents} x {level.latent_dim}" for level in cache.levels)
    print(
        f"{len(cache)} shapes ({counts}) are encoded, each from {cache.subsets} samplings of its surface to {levels} "
        f"latents, and {len(refused)} are refused. Autoencoder {cache.fingerprint}. Latent cache: {output}"
    )


def show_part(refused: Sequence[RefusedShape], part: Part) -> None:
    """Print the refused shapes of one part, and how to finish the job."""
    for shape in refused[:LISTED]:
        print(f"{shape.id}: {shape.reason}")
    print(
        f"part {part}: done, {len(refused)} shapes refused. When all parts are done, run the same command without "
        "--part to write the index."
    )
