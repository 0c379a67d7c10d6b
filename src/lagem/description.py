"""Description of an experiment file: sizes and cost of the model it configures."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lagem.levels import LevelSpec
from lagem.models.cost import training_cost


def describe_experiment(config: Path) -> dict[str, Any]:
    """Parameters, latents by level, operations and activations of a step on one device, in plain types.

    Args:
        config: Experiment file of an autoencoder.

    Raises:
        ValueError: Where the file is not a valid experiment, or not one of an autoencoder.
    """
    from lagem.training_cli import parse_experiment

    settings = parse_experiment(config)
    if not settings.model.class_path.endswith(".AutoencoderModule"):
        raise ValueError(f"{config}: only autoencoders can be described, but its model is {settings.model.class_path}.")
    model, data = settings.model.init_args, settings.data.init_args
    levels = [level if isinstance(level, LevelSpec) else LevelSpec(**vars(level)) for level in model.levels]
    num_queries = data.num_volume_queries + data.num_near_queries
    cost = training_cost(
        levels=levels,
        width=model.width,
        batch_size=data.batch_size,
        num_surface_points=data.num_surface_points,
        num_queries=num_queries,
        bfloat16=str(settings.trainer.precision).startswith("bf16"),
        checkpoint_activations=model.checkpoint_activations,
    )
    return {
        "config": str(config),
        "batch_size": data.batch_size,
        "num_surface_points": data.num_surface_points,
        "num_queries": num_queries,
        "precision": str(settings.trainer.precision),
        "levels": [
            {"level": number, **asdict(level), "floats": level.num_latents * level.latent_dim}
            for number, level in enumerate(levels, start=1)
        ],
        "latent_floats": sum(level.num_latents * level.latent_dim for level in levels),
        **asdict(cost),
    }


def print_description(description: dict[str, Any]) -> None:
    """Print a description as tables."""
    console = Console()
    levels = Table(title=description["config"], title_justify="left")
    for column in ("level", "num_latents", "latent_dim", "depth", "bottleneck", "floats"):
        levels.add_column(column, justify="right")
    for level in description["levels"]:
        levels.add_row(*(f"{level[key]:,}" if isinstance(level[key], int) else level[key] for key in level))
    console.print(levels)
    shapes = (
        f"{description['batch_size']} shapes of {description['num_surface_points']:,} points and "
        f"{description['num_queries']:,} queries, {description['precision']}"
    )
    console.print(f"parameters         {description['parameters']:,}")
    console.print(f"latent of a shape  {description['latent_floats']:,} floats")
    console.print(f"one training step  {shapes}, on one device")
    console.print(f"  operations       {description['operations'] / 1e9:,.1f} GFLOP")
    console.print(f"  activations kept {description['saved_bytes'] / 2**20:,.0f} MiB")
