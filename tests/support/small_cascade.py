"""Make a small cascade for tests: an autoencoder, a cache of its latents, and stages whose output is not zero."""

from pathlib import Path

import torch

from lagem.embeddings.file import write_embeddings
from lagem.embeddings.partial import embedded_clouds
from lagem.latents.encoding import EncodeSettings
from lagem.latents.pipeline import encode
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.weights.autoencoder import save_autoencoder
from lagem.weights.fingerprint import encoder_of, fingerprint_of
from lagem.weights.stage import StageSpec, save_stage

LEVELS = (LevelSpec(16, 4, depth=1), LevelSpec(8, 6, depth=1), LevelSpec(4, 8, depth=1))
LEVELS_OPTION = "--model.init_args.levels=[{}]".format(
    ", ".join(f"{{num_latents: {x.num_latents}, latent_dim: {x.latent_dim}, depth: {x.depth}}}" for x in LEVELS)
)
CATEGORIES = ("bench", "bottle", "chair", "lamp", "mug", "shelf", "sign", "table")
POINTS = 64


def make_autoencoder(seed: int = 0) -> Autoencoder:
    """Return an untrained autoencoder whose logits vary so much that some are positive and some negative."""
    torch.manual_seed(seed)
    autoencoder = Autoencoder(levels=LEVELS, width=64)
    autoencoder.to_logits.weight.data *= 20
    return autoencoder.eval()


def make_cache(folder: Path, autoencoder: Autoencoder) -> Path:
    """Write a latent cache of 8 categories, each with 4 training shapes and 1 validation shape; return its folder."""
    surfaces = ProceduralSurfaces(num_train=32, num_val=8, seed=0)
    encode(autoencoder, surfaces, folder, EncodeSettings(num_surface_points=POINTS, subsets=2))
    return folder


def write_clouds(path: Path, autoencoder: Autoencoder, surfaces: ProceduralSurfaces) -> None:
    """Write a file with embeddings of two partial clouds of each shape."""
    chosen = range(len(surfaces.ids))
    clouds = embedded_clouds(autoencoder, surfaces, chosen, views=2, num_surface_points=POINTS, seed=0)
    write_embeddings(path, clouds, encoder=encoder_of(fingerprint_of(autoencoder)))


def make_spec(level: int, autoencoder: Autoencoder, **changes) -> StageSpec:
    """Return the spec of a stage that is conditional on the category, and can be used with guidance."""
    spec = {
        "levels": LEVELS, "level": level, "width": 64, "depth": 1, "num_categories": len(CATEGORIES),
        "condition_dim": None, "drop_condition": 0.1, "max_coarser_sigma": 0.0, "category_names": CATEGORIES,
        "autoencoder": fingerprint_of(autoencoder),
    }  # fmt: skip
    return StageSpec(**{**spec, **changes})


def write_cascade(folder: Path, **changes) -> list[Path]:
    """Write an autoencoder and a stage for each level; return their paths in this order, the coarsest stage first."""
    autoencoder = make_autoencoder()
    save_autoencoder(autoencoder, folder / "autoencoder.safetensors", num_surface_points=POINTS)
    stages = [write_stage(folder, make_spec(level, autoencoder, **changes)) for level in (3, 2, 1)]
    return [folder / "autoencoder.safetensors", *stages]


def write_stage(folder: Path, spec: StageSpec) -> Path:
    """Write a stage whose output is not zero, and return the path of the file."""
    torch.manual_seed(spec.level)
    backbone = spec.backbone()
    torch.nn.init.normal_(backbone.to_latents.weight, std=0.1)
    path = folder / f"stage_{spec.level}.safetensors"
    save_stage(backbone, spec, path)
    return path
