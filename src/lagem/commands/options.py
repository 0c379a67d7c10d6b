"""The command-line options that several verbs share, each defined once."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lagem.pretrained import AUTOENCODERS, CASCADES
from lagem.storage.parts import Part

if TYPE_CHECKING:
    from lagem.generation.settings import SamplerSettings, SurfaceSettings
    from lagem.importing.settings import ImportSettings
    from lagem.preparation.settings import Settings

WEIGHTS = (
    "checkpoint of `lagem fit`, a safetensors file, the folder of a run or of `lagem bundle`, hf://OWNER/NAME on the "
    f"Hugging Face Hub, or weights in the package: {', '.join(AUTOENCODERS)}, or the autoencoder of "
    f"{' or '.join(CASCADES)}"
)
UP_OF_PREPARED, UP_OF_CASCADE = "that of `lagem prepare --up`", "that of the shapes that the cascade was trained on"
UP_OF_FILES = (
    "axis that points up in files that do not state it (glTF is always y-up), so that pictures and glb files show "
    "shapes upright"
)


def add_weights(parser: argparse.ArgumentParser, name: str = "weights", *, default: str | None = None) -> None:
    """Add the argument that names the autoencoder to use.

    Args:
        parser: Parser of the verb.
        name: Name of a positional argument or, with dashes, of an option.
        default: Default of an option; None for a positional argument.
    """
    if default is None:
        action = parser.add_argument(name, metavar="CKPT", help=WEIGHTS)
    else:
        text = f"{WEIGHTS} (default: {default})"
        action = parser.add_argument(name, default=default, metavar="CKPT", help=text)
    complete_names(action, *AUTOENCODERS, *CASCADES)


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the cascade to use."""
    action = parser.add_argument(
        "bundle",
        nargs="?",
        default=CASCADES[0],
        metavar="BUNDLE",
        help=f"folder of `lagem bundle`, hf://OWNER/NAME on the Hugging Face Hub, or a cascade in the package: "
        f"{', '.join(CASCADES)} "
        "(default: %(default)s)",
    )
    complete_names(action, *CASCADES)


def add_experiment(parser: argparse.ArgumentParser, usage: str) -> None:
    """Add the argument that names an experiment, and let the options of `lagem fit` override its settings.

    Args:
        parser: Parser of the verb. What it does not know becomes the list `settings` of the arguments.
        usage: The usage of the verb and its own options.
    """
    parser.set_defaults(settings=[])
    parser.usage = f"{usage} CONFIG [options as for `lagem fit`]"
    text = (
        "experiment file, as for `lagem fit --config`; options of `lagem fit` after it override its settings, such as "
        "`--model.init_args.width 256`, or `--config LAYER` for the settings of a second file"
    )
    parser.add_argument("config", type=Path, metavar="CONFIG", help=text)


def complete_names(action: argparse.Action, *names: str) -> None:
    """Let the shell offer these names, and names of files, as completions of an argument."""

    def names_and_files(prefix: str, **_: object) -> list[str]:
        from argcomplete.completers import FilesCompleter

        return [*names, *FilesCompleter()(prefix)]

    action.completer = names_and_files  # type: ignore[attr-defined]


def add_prepared_folder(
    parser: argparse.ArgumentParser, settings: "Settings | ImportSettings", counts: Mapping[str, str]
) -> None:
    """Add the options that are common to the verbs that write a prepared folder.

    Args:
        parser: Parser of the verb.
        settings: The defaults.
        counts: Help texts of --surface, --volume, --near and --inside, by name without dashes.
    """
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="prepared folder; an unfinished one is resumed")
    add("--workers", type=int, default=1, metavar="N", help="number of child processes (default: 1)")
    for name, text in {**counts, "shapes_per_shard": "shapes per shard file"}.items():
        flag, text = f"--{name.replace('_', '-')}", f"{text} (default: %(default)s)"
        add(flag, type=int, default=getattr(settings, name), metavar="N", help=text)
    add(
        "--val-share",
        type=float,
        default=settings.val_share,
        metavar="SHARE",
        help="fraction of the shapes without a given split that is used for validation (default: %(default)s)",
    )
    add_seed(parser)
    add_retry_refused(parser)
    add_verify(parser)
    add_part(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    text = "torch device; auto takes a GPU if there is one (default: cpu)"
    parser.add_argument("--device", default="cpu", metavar="NAME", help=text)


def add_resolution(parser: argparse.ArgumentParser, default: int = 128) -> None:
    """Add `--resolution`."""
    text = "cells along a side of the grid from which meshes are extracted (default: %(default)s)"
    parser.add_argument("--resolution", type=int, default=default, metavar="R", help=text)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add `--seed`."""
    text = "seed of all random draws (default: 0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=text)


def add_up(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--up`, which is z by default; `text` is its help text without the default."""
    parser.add_argument("--up", choices=["y", "z"], default="z", help=f"{text} (default: z)")


def add_up_of_data(
    parser: argparse.ArgumentParser, source: str, text: str = "axis that points up in the pictures"
) -> None:
    """Add `--up`, which is None by default: the axis that the source states or, if it states none, z.

    Args:
        parser: Parser of the verb.
        source: The source of the axis, for the help text.
        text: Help text without the default.
    """
    parser.add_argument("--up", choices=["y", "z"], help=f"{text} (default: {source}, or z)")


def add_posterior(parser: argparse.ArgumentParser) -> None:
    """Add `--posterior`."""
    text = (
        "which latents to use for KL levels, such as that of VecSet: the mean of the posterior or, as the authors of "
        "VecSet do, a sample of it (default: mean)"
    )
    parser.add_argument("--posterior", choices=["mean", "sample"], default="mean", help=text)


def add_points(parser: argparse.ArgumentParser, default: int = 100_000) -> None:
    """Add `--points`."""
    text = "number of points drawn on each surface to compare shapes (default: %(default)s)"
    parser.add_argument("--points", type=int, default=default, metavar="N", help=text)


def add_surface_points(parser: argparse.ArgumentParser) -> None:
    """Add `--surface-points`."""
    text = "number of surface points of each shape to encode (default: as in training)"
    parser.add_argument("--surface-points", type=int, metavar="N", help=text)


def add_batch_size(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--batch-size`."""
    text = "number of shapes that pass through the network at once; more are faster on a GPU (default: %(default)s)"
    parser.add_argument("--batch-size", type=int, default=default, metavar="B", help=text)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add `--format`."""
    text = "file format of the meshes (default: ply)"
    parser.add_argument("--format", choices=["ply", "glb", "obj", "stl"], default="ply", help=text)


def add_part(parser: argparse.ArgumentParser) -> None:
    """Add `--part`."""
    text = (
        "process only part I of N, so that N processes can share the work; when all parts are done, run the command "
        "without --part to finish"
    )
    parser.add_argument("--part", type=_part, metavar="I/N", help=text)


def _part(text: str) -> Part:
    """Parse I/N; raises ArgumentTypeError, because argparse would not print the message of a ValueError."""
    try:
        return Part.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from error


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add `--status`."""
    text = "only print how many shapes are done, refused and missing; give the same settings as for the work itself"
    parser.add_argument("--status", action="store_true", help=text)


def add_retry_refused(parser: argparse.ArgumentParser) -> None:
    """Add `--retry-refused`."""
    parser.add_argument("--retry-refused", action="store_true", help="retry the shapes that an earlier call refused")


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add `--verify`."""
    text = "verify every byte of existing shards, and make damaged ones again (default: verify only their headers)"
    parser.add_argument("--verify", action="store_true", help=text)


def add_sampler(parser: argparse.ArgumentParser) -> None:
    """Add `--steps`, `--guidance`, `--churn`, `--coarser-sigma`, `--standardise` and `--bfloat16`."""
    from lagem.generation.settings import SamplerSettings

    default, add = SamplerSettings(), parser.add_argument
    each = "one number, or one for each level, fine to coarse"
    add(
        "--steps",
        type=int,
        nargs="+",
        default=list(default.steps),
        metavar="N",
        help=f"sampling steps: {each} (default: {default.steps[0]})",
    )
    add(
        "--guidance",
        type=float,
        nargs="+",
        default=list(default.guidance),
        metavar="W",
        help=f"weight of classifier-free guidance, 1 for none: {each} (default: 1)",
    )
    add(
        "--churn",
        type=float,
        default=default.churn,
        metavar="S",
        help="S_churn of EDM, the amount of noise added between steps (default: 0)",
    )
    add(
        "--coarser-sigma",
        type=float,
        default=default.coarser_sigma,
        metavar="S",
        help="standard deviation of noise added to the coarser latents, for stages trained with conditioning "
        "augmentation (default: 0)",
    )
    add("--standardise", action="store_true", help="standardise sampled latents, as encoded latents are")
    add("--bfloat16", action="store_true", help="run the stages in bfloat16, for GPUs and CPUs with AMX")


def sampler_of(args: argparse.Namespace) -> "SamplerSettings":
    """Return the settings of the sampler, from the options that `add_sampler` added."""
    from lagem.generation.settings import SamplerSettings

    return SamplerSettings(
        steps=args.steps,
        guidance=args.guidance,
        churn=args.churn,
        coarser_sigma=args.coarser_sigma,
        standardise=args.standardise,
        bfloat16=args.bfloat16,
    )


def add_surface(parser: argparse.ArgumentParser) -> None:
    """Add `--resolution`, `--largest-component` and `--faces`."""
    add_resolution(parser)
    add = parser.add_argument
    add("--largest-component", action="store_true", help="keep only the largest connected component of each mesh")
    add("--faces", type=int, metavar="N", help="maximum number of faces of a mesh (default: all)")


def surface_of(args: argparse.Namespace) -> "SurfaceSettings":
    """Return the settings by which fields become meshes, from the options that `add_surface` added."""
    from lagem.generation.settings import SurfaceSettings

    return SurfaceSettings(resolution=args.resolution, only_largest=args.largest_component, faces=args.faces)
