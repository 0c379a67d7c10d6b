"""The spec of an autoencoder, and functions that save and load the spec with the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from lagem.levels import LevelSpec, check_levels, levels_from_plain
from lagem.models.attention import Step
from lagem.models.autoencoder import Autoencoder, Skip
from lagem.models.embedding import OCTAVES
from lagem.models.furthest_points import FPSBackend
from lagem.weights.errors import WeightsError as WeightsError
from lagem.weights.file import read_weights, write_weights
from lagem.weights.folder import WeightsFolder
from lagem.weights.named import located_autoencoder

FORMAT = "lagem-autoencoder-1"
MOST_OCTAVES = 1_000  # the frequency 2^1024 exceeds float64
MOST_SURFACE_POINTS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class AutoencoderSpec:
    """Everything about an autoencoder except its weights.

    Args:
        levels: Sizes of the levels, fine to coarse.
        width: C, the number of feature channels of every block.
        skip: Skip connections of the decoder, as in `Autoencoder`.
        octaves: Number of frequencies of the point embedding.
        single_head_cross: Whether cross attention has a single head, as in the published weights of VecSet.
        num_surface_points: N, the number of points that the encoder was trained with; 0 before training.
    """

    levels: tuple[LevelSpec, ...]
    width: int = 512
    skip: Skip = "double"
    octaves: int = OCTAVES
    single_head_cross: bool = False
    num_surface_points: int = 0

    def __post_init__(self) -> None:
        check_levels(self.levels)
        if self.skip not in get_args(Skip):
            raise ValueError(f"skip must be one of {', '.join(get_args(Skip))}, but {self.skip!r} was given.")
        if type(self.single_head_cross) is not bool:
            raise ValueError(f"single_head_cross must be true or false, but {self.single_head_cross!r} was given.")
        for name, least in (("width", 1), ("octaves", 1), ("num_surface_points", 0)):
            number = getattr(self, name)
            if type(number) is not int or number < least:
                raise ValueError(f"{name} must be an integer of at least {least}, but {number!r} was given.")
        for name, most in (("octaves", MOST_OCTAVES), ("num_surface_points", MOST_SURFACE_POINTS)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}; lower it, or fetch the file again.")

    @classmethod
    def of(cls, autoencoder: Autoencoder, *, num_surface_points: int) -> "AutoencoderSpec":
        """Return the spec of a network that was trained with `num_surface_points` points per shape."""
        return cls(
            levels=autoencoder.levels,
            width=autoencoder.width,
            skip=autoencoder.skip,
            octaves=autoencoder.octaves,
            single_head_cross=autoencoder.single_head_cross,
            num_surface_points=num_surface_points,
        )

    @property
    def has_kl_levels(self) -> bool:
        """Whether any level has a KL bottleneck."""
        return any(level.bottleneck == "kl" for level in self.levels)

    def autoencoder(
        self, *, fps: FPSBackend = "auto", step: Step = "lean", checkpoint_activations: bool = False
    ) -> Autoencoder:
        """Return an untrained network of this spec.

        The arguments are those of `Autoencoder`. They change the cost of the network, but not what it computes.
        """
        return Autoencoder(
            levels=self.levels,
            width=self.width,
            skip=self.skip,
            octaves=self.octaves,
            single_head_cross=self.single_head_cross,
            fps=fps,
            step=step,
            checkpoint_activations=checkpoint_activations,
        )

    def as_plain(self) -> dict[str, Any]:
        """Return the spec in plain types, as files store it."""
        plain = {"format": FORMAT, **asdict(self), "levels": [asdict(level) for level in self.levels]}
        if not self.single_head_cross:
            del plain["single_head_cross"]  # earlier versions do not know it
        return plain

    @classmethod
    def from_plain(cls, plain: Any) -> "AutoencoderSpec":
        """Return the spec from the plain types that `as_plain` made.

        Raises:
            ValueError: If a field is missing or wrong; the message names it.
        """
        if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
            found = plain.get("format") if isinstance(plain, Mapping) else plain
            raise ValueError(f"format must be {FORMAT!r}, but {found!r} was found.")
        if missing := [name for name in ("levels", "width", "skip", "num_surface_points") if name not in plain]:
            raise ValueError(f"the field {missing[0]} is missing.")
        return cls(
            levels=levels_from_plain(plain["levels"]),
            width=plain["width"],
            skip=plain["skip"],
            octaves=plain.get("octaves", OCTAVES),  # older files lack this field
            single_head_cross=plain.get("single_head_cross", False),
            num_surface_points=plain["num_surface_points"],
        )

    def hashed(self) -> dict[str, Any]:
        """Return the part of the spec that a fingerprint covers, in plain types.

        It has all fields except the number of surface points. The octaves are left out if they are the published ones,
        so that fingerprints made before octaves could be chosen stay valid.
        """
        plain = replace(self, num_surface_points=0).as_plain()
        if self.octaves == OCTAVES:
            del plain["octaves"]
        return plain


def save_autoencoder(
    autoencoder: Autoencoder, path: str | Path, *, num_surface_points: int, half: bool = False
) -> None:
    """Write weights and spec to one safetensors file, atomically.

    Args:
        autoencoder: The network.
        path: File to write.
        num_surface_points: Number of points per shape in training, which is also the default number to encode.
        half: Whether to store the weights as float16.
    """
    spec = AutoencoderSpec.of(autoencoder, num_surface_points=num_surface_points)
    write_weights(autoencoder, path, kind="autoencoder", description=spec.as_plain(), half=half)


def load_autoencoder(name: str | Path | WeightsFolder) -> tuple[Autoencoder, AutoencoderSpec]:
    """Read an autoencoder. From a checkpoint of a run with weight averaging, the averaged weights are read.

    Args:
        name: Name or path of the weights, as `located_autoencoder` takes it; or a folder of weights.

    Returns:
        The network in evaluation mode, and its spec.

    Raises:
        WeightsError: If the file is absent, unreadable or of another kind.
        ValueError: If `name` is a folder of weights, and its autoencoder is not the one that its config.json records.
    """
    from lagem.weights.fingerprint import check_recorded_autoencoder, fingerprint_of  # imports this module

    path, folder = (name.autoencoder(), name) if isinstance(name, WeightsFolder) else located_autoencoder(name)
    file = read_weights(path, kind="autoencoder", format=FORMAT)
    try:
        spec = AutoencoderSpec.from_plain(file.description)
        blocks = sum(level.depth for level in spec.levels)
        file.check_holds(spec.width * (blocks * spec.width + sum(level.latent_dim for level in spec.levels)))
        autoencoder = spec.autoencoder()
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"{path}: its description of the autoencoder is damaged: {error}") from error
    file.load_into(autoencoder)
    if folder is not None:
        check_recorded_autoencoder(fingerprint_of(autoencoder), folder)
    return autoencoder.eval(), spec
