"""Run `lagem reconstruct`: load weights and shapes by name, reconstruct the shapes, and write the results."""

from collections.abc import Sequence
from pathlib import Path

from lagem.geometry.frame import Up
from lagem.geometry.surface import ExtractionMethod
from lagem.reconstruction.codec import load_codec
from lagem.reconstruction.files import reconstruct_files
from lagem.reconstruction.report import Report
from lagem.signals import kept_on_stop
from lagem.storage.atomic import check_folder


def reconstruct(
    weights: str | Path,
    paths: Sequence[Path],
    output: Path,
    *,
    num_surface_points: int | None,
    points: int,
    resolution: int,
    method: ExtractionMethod,
    format: str,
    device: str,
    seed: int,
    up: Up,
) -> None:
    """Reconstruct files, print a line for each, and write meshes, scores.csv and picture.png.

    Args:
        weights: Name or path of the weights, as `load_codec` takes it.
        paths: Meshes and point clouds.
        output: Folder of the results.
        num_surface_points: Number of surface points to encode; None takes as many as in training.
        points: Number of points drawn on each input and result for the scores.
        resolution: Number of cells along a side of the grid.
        method: How the grid is evaluated, as in `extract_surface`.
        format: File extension of the meshes.
        device: Device of the network.
        seed: Seed of the draws.
        up: The axis that points up in files that do not say it; in glTF files it is y.

    Raises:
        ValueError: If an argument cannot be used, the folder cannot be written to, or no file could be reconstructed.
    """
    check_folder(output)
    report = Report(total=len(paths))
    results = reconstruct_files(
        load_codec(weights, device=device),
        paths,
        output,
        num_surface_points=num_surface_points,
        points=points,
        resolution=resolution,
        method=method,
        format=format,
        seed=seed,
        up=up,
    )
    with kept_on_stop(
        lambda: f"{len(report.scores)} of {len(paths)} meshes are in {output}; run the same command to start again."
    ):
        for path, result in results:
            report.add(path, result)
        report.write(output)
    if not report.scores:
        raise ValueError(
            f"none of {len(paths)} files could be reconstructed; the reasons are above and in {output / 'scores.csv'}."
        )
