"""Description of an experiment file: the sizes and the costs of the model that it configures."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lagem.configuration.bounds import MOST_SHAPES, MOST_WORKERS, check_bounds
from lagem.levels import LevelSpec
from lagem.models.cost import stage_cost, training_cost
from lagem.models.denoiser import Backbone
from lagem.weights.errors import quoted

MOST_BLOCKS = 300  # in a model that is described; counting the operations of one block takes some milliseconds
MOST_SIZE = 2**24
MOST_SCORES = 2**38
SIZES = (
    *("width", "octaves", "num_categories", "condition_dim", "num_latents", "latent_dim", "batch_size"),
    *("num_surface_points", "num_volume_queries", "num_near_queries"),
)
MOST = {
    **dict.fromkeys(SIZES, MOST_SIZE),
    **{"num_train": MOST_SHAPES, "num_val": MOST_SHAPES, "num_workers": MOST_WORKERS},
}


def describe_experiment(config: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Describe the model that an experiment file configures.

    Args:
        config: Experiment file of an autoencoder or of a stage of a cascade.
        overrides: Options as after `lagem fit --config FILE`, such as `--model.init_args.width 256`.

    Returns:
        In plain types: the number of parameters, the latents of each level, and the operations and kept activations of
        a training step on one device.

    Raises:
        ValueError: If the file is not a valid experiment, or its model is of another kind or too large to describe.
    """
    from lagem.training.cli import parse_experiment

    settings = parse_experiment(config, overrides)
    model, data = settings.model.init_args, settings.data.init_args
    precision = str(settings.trainer.precision or "bf16-mixed (32-true on a CPU)")
    bfloat16 = precision.startswith("bf16")
    kind = settings.model.class_path.rpartition(".")[2]
    if kind not in ("AutoencoderModule", "CascadeStageModule"):
        raise ValueError(
            f"{config}: only autoencoders and stages of a cascade can be described, but the model is "
            f"{settings.model.class_path}."
        )
    is_stage = kind == "CascadeStageModule"
    if is_stage:
        _take_from_data(model, settings.data)
    levels = [level if isinstance(level, LevelSpec) else LevelSpec(**vars(level)) for level in model.levels]
    common = {
        "config": str(config),
        "overrides": list(overrides),
        "model": kind,
        "batch_size": data.batch_size,
        "precision": precision,
        "levels": [
            {"level": number, **asdict(level), "floats": level.num_latents * level.latent_dim}
            for number, level in enumerate(levels, start=1)
        ],
        "latent_floats": sum(level.num_latents * level.latent_dim for level in levels),
    }
    sizes = [*vars(model).items(), *vars(data).items(), *(item for level in levels for item in asdict(level).items())]
    for name, size in sizes:
        if name in MOST and size is not None:
            check_bounds(f"{config}: {name}", size, least=0, most=MOST[name])
    blocks = model.depth if is_stage else sum(level.depth for level in levels)
    if blocks > MOST_BLOCKS:
        raise ValueError(
            f"{config}: has {blocks:,} blocks, and a model with more than {MOST_BLOCKS:,} is not described; lower the "
            "depth."
        )
    try:
        return {**common, **(_stage if is_stage else _autoencoder)(model, data, levels, bfloat16)}
    except (RuntimeError, OverflowError) as error:  # torch raises them for sizes that no tensor can have
        raise ValueError(f"{config}: its sizes are too large to describe ({quoted(error)}); lower them.") from error


def _take_from_data(model: Any, data: Any) -> None:
    """Fill in the settings of a stage that are taken from its data, as the training does."""
    from lagem.data_modules.latents import LatentDataModule
    from lagem.weights.autoencoder import load_autoencoder

    if data.class_path.rpartition(".")[2] == "LatentDataModule":
        settings = data.init_args
        has_condition = settings.condition == "none" or (model.num_categories, model.condition_dim) != (None, None)
        if model.levels is not None and has_condition:
            return
        latents = LatentDataModule(root=settings.root, condition=settings.condition, categories=settings.categories)
        latents.setup("fit")
        if not has_condition:
            model.num_categories, model.condition_dim = latents.num_categories, latents.condition_dim
        model.levels = latents.levels if model.levels is None else model.levels
    elif model.levels is None and model.autoencoder is not None:
        model.levels = load_autoencoder(model.autoencoder)[1].levels


def _autoencoder(model: Any, data: Any, levels: Sequence[LevelSpec], bfloat16: bool) -> dict[str, Any]:
    num_queries = data.num_volume_queries + data.num_near_queries
    scores = num_queries * model.width * sum(level.num_latents for level in levels)
    if scores > MOST_SCORES:  # queries are traced in parts of limited size, and each part takes time
        raise RuntimeError(f"queries x latents x width is {scores:,}, which is above the limit")
    cost = training_cost(
        levels=levels,
        width=model.width,
        batch_size=data.batch_size,
        num_surface_points=data.num_surface_points,
        num_queries=num_queries,
        octaves=model.octaves,
        bfloat16=bfloat16,
        step=model.step,
        checkpoint_activations=model.checkpoint_activations,
    )
    return {"num_surface_points": data.num_surface_points, "num_queries": num_queries, **asdict(cost)}


def print_description(description: dict[str, Any]) -> None:
    """Print a description as tables."""
    console = Console()
    title = shlex.join([description["config"], *description["overrides"]])
    levels = Table(title=escape(title), title_justify="left")
    for column in ("level", "num_latents", "latent_dim", "depth", "bottleneck", "floats"):
        levels.add_column(column, justify="right")
    for level in description["levels"]:
        levels.add_row(*(f"{level[key]:,}" if isinstance(level[key], int) else level[key] for key in level))
    console.print(levels)
    console.print(f"parameters         {description['parameters']:,}")
    if "evaluation" in description:
        console.print(f"the stage          makes level {description['level']}, {description['condition']}")
        shapes = f"{description['batch_size']} shapes"
    else:
        console.print(f"latent of a shape  {description['latent_floats']:,} floats")
        shapes = (
            f"{description['batch_size']} shapes of {description['num_surface_points']:,} points and "
            f"{description['num_queries']:,} queries"
        )
    console.print(f"one training step  {shapes}, {description['precision']}, on one device")
    console.print(f"  operations       {description['operations'] / 1e9:,.1f} GFLOP")
    console.print(f"  activations kept {description['saved_bytes'] / 2**20:,.0f} MiB")
    if "evaluation" in description:
        console.print(f"one evaluation     {description['evaluation'] / 1e9:,.2f} GFLOP a sample")


def _stage(model: Any, data: Any, levels: Sequence[LevelSpec], bfloat16: bool) -> dict[str, Any]:
    make_backbone = partial(
        Backbone,
        levels=levels,
        level=model.level,
        width=model.width,
        depth=model.depth,
        num_categories=model.num_categories,
        condition_dim=model.condition_dim,
        conditioning_augmentation=model.max_coarser_sigma > 0,
    )
    cost = stage_cost(make_backbone, batch_size=data.batch_size, bfloat16=bfloat16)
    condition = "unconditional"
    if model.num_categories is not None:
        condition = f"given one of {model.num_categories} categories"
    elif model.condition_dim is not None:
        condition = f"given an embedding of {model.condition_dim} channels"
    return {"level": model.level, "condition": condition, **asdict(cost)}
