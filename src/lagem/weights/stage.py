"""Save and load a stage of the cascade: the network that makes one level, and the spec needed to use it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lagem.levels import LevelSpec, levels_from_plain
from lagem.models.denoiser import Backbone
from lagem.weights.file import WeightsError, read_weights, write_weights

FORMAT = "lagem-stage-1"


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """Everything about a stage except its weights.

    Args:
        levels: Levels of the autoencoder, fine to coarse.
        level: Number of the level this stage makes.
        width: C of its backbone.
        depth: Blocks of its backbone.
        num_categories: Number of categories, if the condition is a category.
        condition_dim: Channels of the condition, if it is an embedding.
        drop_condition: Fraction of the samples that trained without their condition; guidance needs more than 0.
        max_coarser_sigma: Largest standard deviation of the noise on the coarser latents in training; 0 without
            conditioning augmentation.
        category_names: Names of the categories, in the order of their numbers; empty if the condition is none.
        autoencoder: Fingerprint of the autoencoder whose latents it learned; empty before training.
    """

    levels: tuple[LevelSpec, ...]
    level: int
    width: int
    depth: int
    num_categories: int | None
    condition_dim: int | None
    drop_condition: float
    max_coarser_sigma: float
    category_names: tuple[str, ...] = ()
    autoencoder: str = ""

    @property
    def is_conditional(self) -> bool:
        """Whether the stage takes a condition."""
        return self.num_categories is not None or self.condition_dim is not None

    def backbone(self) -> Backbone:
        """An untrained network of this spec."""
        return Backbone(
            levels=self.levels,
            level=self.level,
            width=self.width,
            depth=self.depth,
            num_categories=self.num_categories,
            condition_dim=self.condition_dim,
            conditioning_augmentation=self.max_coarser_sigma > 0,
        )

    def as_plain(self) -> dict[str, Any]:
        """The spec in plain types, for files."""
        plain = {"format": FORMAT, **asdict(self)}
        return {**plain, "levels": list(plain["levels"]), "category_names": list(self.category_names)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "StageSpec":
        """The spec that `as_plain` gave."""
        given = {field.name: plain[field.name] for field in fields(cls)}
        return cls(
            **{**given, "levels": levels_from_plain(plain["levels"]), "category_names": tuple(plain["category_names"])}
        )


def save_stage(backbone: Backbone, spec: StageSpec, path: str | Path, *, half: bool = False) -> None:
    """Write a stage to one safetensors file, whole or not at all.

    Args:
        backbone: The network.
        spec: Spec of the network.
        path: File to write.
        half: Store float16.
    """
    write_weights(backbone, path, kind="stage", description=spec.as_plain(), half=half)


def load_stage(path: str | Path) -> tuple[Backbone, StageSpec]:
    """Read a stage from a checkpoint of `lagem fit` (averaged weights, if it has them) or from a safetensors file.

    Returns:
        The network in evaluation mode, and its spec.

    Raises:
        WeightsError: If the file is absent, unreadable or of another kind.
    """
    file = read_weights(path, kind="stage", format=FORMAT)
    try:
        spec = StageSpec.from_plain(file.description)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: its description of the stage is damaged: {error}.") from error
    file.check_holds(spec.width * (spec.depth * spec.width + (spec.num_categories or 0) + (spec.condition_dim or 0)))
    backbone = spec.backbone()
    file.load_into(backbone)
    return backbone.eval(), spec
