"""`lagem embed`: compute the embeddings on which the stages of a cascade are conditioned."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "embed captions, images or partial views of shapes, as the condition of a cascade"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="with --model: a .csv table with the columns id and caption; a folder of images, ID.png or ID/*.png; or "
        "meshes, of which views are rendered. With --partial: a folder of `lagem prepare`, or `procedural:TRAIN+VAL`",
    )
    by = parser.add_mutually_exclusive_group(required=True)
    by.add_argument(
        "--model", type=Path, metavar="FOLDER", help="folder of a CLIP or DINOv2 model (extra `embed`), already on disk"
    )
    by.add_argument(
        "--partial",
        metavar="CKPT",
        help="autoencoder, as for `lagem encode`; it embeds the third of each surface that is seen from a random "
        "direction",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="safetensors file of the embeddings, for `--data.init_args.condition FILE`",
    )
    add(
        "--views",
        type=int,
        default=4,
        metavar="V",
        help="views of each shape; in each epoch, training picks one of them at random (default: %(default)s)",
    )
    add(
        "--all-tokens",
        action="store_true",
        help="with --model: keep all tokens of the last layer, not one embedding for each text or image",
    )
    options.add_surface_points(parser)
    options.add_device(parser)
    options.add_seed(parser)


def run(args: argparse.Namespace) -> None:
    """Compute the embeddings, and write them to a file."""
    from lagem.commands import checks

    checks.check_output(args.output.parent)
    if args.model is not None:
        checks.check_there([args.model], "give the folder of a CLIP or DINOv2 model")
        checks.check_there([Path(args.source)], "give a table of captions, images or meshes")
    else:
        checks.check_data(args.source, "prepared", "procedural")
        checks.check_autoencoder(args.partial)
    from lagem.embeddings.run import embed_clouds, embed_known

    if args.model is not None:
        count = embed_known(
            args.model,
            Path(args.source),
            args.output,
            all_tokens=args.all_tokens,
            views=args.views,
            device=args.device,
        )
    else:
        count = embed_clouds(
            args.partial,
            args.source,
            args.output,
            views=args.views,
            num_surface_points=args.surface_points,
            device=args.device,
            seed=args.seed,
        )
    print(f"embeddings of {count} shapes are in {args.output}")
