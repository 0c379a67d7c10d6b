"""Save and load a stage of the cascade: the network that generates one level, and the spec needed to use it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from lagem.levels import LevelSpec, levels_from_plain
from lagem.models.denoiser import Backbone
from lagem.storage.checked.description import Description
from lagem.weights.errors import WeightsError, differences
from lagem.weights.file import read_weights, write_weights
from lagem.weights.named import stage_file

FORMAT = "lagem-stage-1"


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """Everything about a stage except its weights.

    Args:
        levels: Levels of the autoencoder, fine to coarse.
        level: The level that this stage generates, counted from 1, the finest.
        width: C, the number of feature channels of its backbone.
        depth: Number of blocks of its backbone.
        num_categories: Number of categories if the condition is the category, else None.
        condition_dim: Number of channels of the condition if it is an embedding, else None.
        drop_condition: Fraction of the training samples whose condition was dropped; guidance needs more than 0.
        max_coarser_sigma: Largest standard deviation of the noise on the coarser latents in training; 0 without
            conditioning augmentation.
        category_names: Names of the categories, in the order of their indices; empty without a condition on categories.
        autoencoder: Fingerprint of the autoencoder whose latents the stage learned; empty before training.
        encoder: Model that made the embeddings, as `lagem embed` records it, if the condition is an embedding; empty
            for another condition, or if another program made the embeddings.
        up: The axis that points up in the shapes whose latents the stage learned; None if the data do not state it.
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
    encoder: str = ""
    up: Literal["y", "z"] | None = None

    @property
    def is_conditional(self) -> bool:
        """Whether the stage takes a condition."""
        return self.num_categories is not None or self.condition_dim is not None

    def backbone(self) -> Backbone:
        """Return an untrained network of this spec."""
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
        """Return the spec in plain types, as files store it."""
        plain = {"format": FORMAT, **asdict(self)}
        if not self.encoder:
            del plain["encoder"]
        if self.up is None:
            del plain["up"]
        return {**plain, "levels": list(plain["levels"]), "category_names": list(self.category_names)}

    def differences_from(self, stored: Mapping[str, Any]) -> str:
        """Return how the plain types in a checkpoint differ from this spec; empty if they do not.

        Checkpoints of earlier versions do not state `up`, which then is no difference.
        """
        ours = self.as_plain()
        if "up" not in stored:
            ours.pop("up", None)
        return differences(stored, ours)

    @classmethod
    def from_plain(cls, about: Description) -> "StageSpec":
        """Return the spec from the plain types that `as_plain` made.

        Raises:
            ValueError: If a field is missing or wrong; the message names the file and the field.
        """
        try:
            levels = levels_from_plain(about.values.get("levels"))
        except ValueError as error:
            raise about.damaged(str(error).removesuffix(".")) from None
        if not 0 <= (drop := about.number("drop_condition")) <= 1:
            about.refuse("drop_condition", "a number from 0 to 1")
        if (sigma := about.number("max_coarser_sigma")) < 0:
            about.refuse("max_coarser_sigma", "a number of at least 0")
        num_categories = about.optional(partial(about.integer, at_least=1), "num_categories")
        names = about.texts("category_names", length=num_categories or 0)
        if len(set(names)) < len(names):
            about.refuse("category_names", "a list without duplicates")
        return cls(
            levels=levels,
            level=about.integer("level", at_least=1, at_most=len(levels)),
            width=about.integer("width", at_least=1),
            depth=about.integer("depth", at_least=0),
            num_categories=num_categories,
            condition_dim=about.optional(partial(about.integer, at_least=1), "condition_dim"),
            drop_condition=drop,
            max_coarser_sigma=sigma,
            category_names=tuple(names),
            autoencoder=about.text("autoencoder"),
            encoder=about.text("encoder") if "encoder" in about else "",
            up=cast(Literal["y", "z"], about.text("up", choices=("y", "z"))) if "up" in about else None,
        )


def save_stage(backbone: Backbone, spec: StageSpec, path: str | Path, *, half: bool = False) -> None:
    """Write a stage to one safetensors file, whole or not at all.

    Args:
        backbone: The network.
        spec: Spec of the network.
        path: File to write.
        half: Whether to store the weights as float16.
    """
    write_weights(backbone, path, kind="stage", description=spec.as_plain(), half=half)


def load_stage(name: str | Path) -> tuple[Backbone, StageSpec]:
    """Read a stage. From a checkpoint of a run with weight averaging, the averaged weights are read.

    Args:
        name: Path of the weights, as `stage_file` takes it.

    Returns:
        The network in evaluation mode, and its spec.

    Raises:
        WeightsError: If the file is absent, unreadable or of another kind.
    """
    path = stage_file(name)
    file = read_weights(path, kind="stage", format=FORMAT)
    try:
        about = Description(str(path), file.description, remedy="fetch the file again, or give another")
        spec = StageSpec.from_plain(about)
        embedded = (spec.num_categories or 0) + (spec.condition_dim or 0)
        channels = sum(level.latent_dim for level in spec.levels[spec.level - 1 :])
        file.check_holds(spec.width * (spec.depth * spec.width + embedded + channels))
        backbone = spec.backbone()
    except ValueError as error:
        named = "" if str(path) in str(error) else f"{path}: its description of the stage is damaged: "
        raise WeightsError(f"{named}{error}") from error
    file.load_into(backbone)
    return backbone.eval(), spec
