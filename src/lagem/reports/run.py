"""The sections of a report on a run of `lagem fit`: its starts, its curves, and its reconstructions or meshes."""

from pathlib import Path
from typing import Any

from lagem.configuration.yaml_text import read_yaml
from lagem.geometry.frame import Up
from lagem.latents.cache import LatentCache
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.reconstruction.codec import load_codec
from lagem.reports.curves import charts_of, metrics_files
from lagem.reports.meshes import ShownFile, gallery_of
from lagem.reports.page.content import Block, Charts, Facts, Paragraph, Section
from lagem.reports.reconstructions import ShapeSettings, ShownShape, reconstruction_rows, varied
from lagem.sources.data import resolve_data
from lagem.sources.surfaces import SurfaceSource
from lagem.storage.checked.description import Description, read_json
from lagem.storage.names import inside
from lagem.weights.errors import WeightsError
from lagem.weights.named import autoencoder_file

SHOWN = 8  # maximum number of validation shapes
MOST_PROCEDURAL = 1_024  # validation shapes to choose from
EXPORTED = ("meshes", "samples")  # folders that the callbacks ExportMeshes and ExportSamples write
MESH_ENDINGS = (".ply", ".glb")
REMEDY = "copy the run's folder again"


def run_sections(folder: Path, settings: ShapeSettings) -> list[Section]:
    """Return the sections about the run in a folder; an empty list if the folder is not that of a run."""
    files = metrics_files(folder)
    starts = inside(folder, "run.json")
    if not files and not starts.is_file():
        return []
    sections = [Section("Training", [*_facts(starts), *_charts(files)])]
    blocks = _shapes(folder, settings)
    return [*sections, Section("Reconstructions" if len(blocks) > 1 else "Shapes", blocks)] if blocks else sections


def _facts(path: Path) -> list[Block]:
    """Return a block with what run.json says about the last start of the run; no block if there is no such file."""
    if not path.is_file():
        return []
    starts = read_json(path, remedy=REMEDY)
    if not isinstance(starts, list) or not starts or not isinstance(starts[-1], dict):
        raise ValueError(f"{path}: holds no list of starts; {REMEDY}.")
    last = Description(str(path), starts[-1], remedy=REMEDY)
    entries = [("starts", str(len(starts)))]
    entries += [(name, last.text(name)) for name in ("time", "command", "python", "platform") if name in last]
    if "versions" in last:
        versions = last.object("versions")
        entries.append(("versions", ", ".join(f"{name} {versions.text(name)}" for name in versions.values)))
    return [Facts(entries)]


def _charts(files: list[Path]) -> list[Block]:
    charts = charts_of(files)
    return [Charts(charts)] if charts else [Paragraph("Nothing has been logged yet.")]


def _shapes(folder: Path, settings: ShapeSettings) -> list[Block]:
    """Return rows of reconstructions by an autoencoder. If none can be made, return meshes that the run exported."""
    weights = settings.weights or _weights(folder)
    path = inside(folder, "config.yaml")
    config = read_yaml(path, dict) if path.is_file() else {}
    source = _source(config, settings)
    if source is not None and weights is not None and (settings.weights or _trains_autoencoder(config)):
        unseen = (index for index, split in enumerate(source.splits) if split != "train")
        indices = varied(source, unseen, SHOWN)
        shown = [ShownShape(index, source.ids[index]) for index in indices]
        text = f"Shapes outside the split `train`; meshes extracted on a grid of {settings.resolution} cells a side."
        rows = reconstruction_rows(load_codec(weights, device=settings.device), source, shown, settings)
        return [Paragraph(text), *rows]
    up = settings.up or (_up_of_latents(config) if source is None else source.up) or "z"
    return _exported(folder, up)


def _weights(folder: Path) -> Path | None:
    """Return the file of the run's weights; None if there is none."""
    try:
        return autoencoder_file(folder)
    except WeightsError:
        return None


def _source(config: dict[Any, Any], settings: ShapeSettings) -> SurfaceSource | None:
    """Return the shapes that the user names, else those that the configuration names; None if none are found."""
    if settings.data is not None:
        return resolve_data(settings.data, seed=0)
    name, given = _data(config)
    if name == "ProceduralDataModule" and given.get("categories") is None:
        count, seed = given.get("num_val"), config.get("seed_everything")
        if type(count) is int and type(seed) is int and count >= 0 and seed >= 0:
            return ProceduralSurfaces(num_train=0, num_val=min(count, MOST_PROCEDURAL), seed=seed)
    if name == "OccupancyDataModule" and (root := _root(given)) is not None:
        return resolve_data(root, seed=0, accepted=("prepared",))
    return None


def _up_of_latents(config: dict[Any, Any]) -> Up | None:
    """Return the axis that the latent cache of a stage's training states; None if none is found or stated."""
    name, given = _data(config)
    root = _root(given) if name == "LatentDataModule" else None
    return None if root is None else LatentCache(root).up


def _data(config: dict[Any, Any]) -> tuple[str, dict[Any, Any]]:
    """Return the name of the class of the data module, and its arguments; empty if the configuration has none."""
    data = config.get("data")
    given = data.get("init_args") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(given, dict):
        return "", {}
    return str(data.get("class_path")).rpartition(".")[2], given


def _root(given: dict[Any, Any]) -> str | None:
    """Return the folder of the data; None if this machine does not have it."""
    root = given.get("root")
    return root if isinstance(root, str) and (Path(root) / "format.json").is_file() else None


def _trains_autoencoder(config: dict[Any, Any]) -> bool:
    model = config.get("model")
    return isinstance(model, dict) and str(model.get("class_path")).endswith("AutoencoderModule")


def _exported(folder: Path, up: Up) -> list[Block]:
    """Return a paragraph and a gallery of the meshes that a callback exported last; no block if there are no meshes."""
    for kind in EXPORTED:
        steps = [path for path in (folder / kind).glob("step_*") if path.name[5:].isdecimal()]
        for step in sorted(steps, key=lambda path: -int(path.name[5:])):
            names = sorted(path.name for path in step.glob("*") if path.suffix in MESH_ENDINGS)
            if names:
                gallery, hidden = gallery_of(
                    [ShownFile(name, inside(folder, f"{kind}/{step.name}/{name}"), up) for name in names]
                )
                return [Paragraph(f"Meshes that the run exported after step {int(step.name[5:]):,}.{hidden}"), gallery]
    return []
