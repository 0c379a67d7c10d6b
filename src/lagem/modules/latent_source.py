"""What a stage of the cascade needs to know about the latents on which it is trained."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol

from lagem.levels import LevelSpec
from lagem.weights.stage import StageSpec


class LatentSource(Protocol):
    """Attributes that a data module of latents has after its setup; `FrozenAutoencoder` has them too."""

    levels: Sequence[LevelSpec]
    fingerprint: str
    category_names: Sequence[str]
    num_categories: int | None
    condition_dim: int | None
    encoder: str
    up: Literal["y", "z"] | None


def spec_for(spec: StageSpec, source: LatentSource) -> StageSpec:
    """Return the spec of a stage, completed with what it stores about the latents on which it is trained.

    Raises:
        ValueError: If levels or condition of the latents differ from those of the stage.
    """
    if tuple(source.levels) != spec.levels:
        raise ValueError(
            f"the latents have levels {list(source.levels)}, but the stage is configured for {list(spec.levels)}. "
            "Leave model.init_args.levels out, and the stage takes those of the latents."
        )
    for name in ("num_categories", "condition_dim"):
        wanted, found = getattr(spec, name), getattr(source, name)
        if wanted is not None and wanted != found:
            raise ValueError(
                f"model.init_args.{name} is {wanted}, but that of the data is {found}. Set it to {found}, or choose "
                "other data (with `condition: category`, LatentDataModule uses the categories as condition)."
            )
    return replace(
        spec,
        autoencoder=source.fingerprint,
        category_names=tuple(source.category_names) if spec.num_categories is not None else (),
        encoder=source.encoder if spec.condition_dim is not None else "",
        up=source.up,
    )
