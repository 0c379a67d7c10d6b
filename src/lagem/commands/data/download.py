"""`lagem download`: download a public collection of meshes."""

import argparse
from pathlib import Path

SUMMARY = "download meshes of Objaverse or Thingi10K, with their licences"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "collection",
        choices=["objaverse", "thingi10k"],
        help="collection to download; the PyPI package of the same name must be installed",
    )
    add(
        "--ids",
        type=Path,
        metavar="FILE",
        help="list written by `lagem select-ids`; only its meshes are downloaded (default: all meshes)",
    )
    add("--list", action="store_true", help="download no meshes; write a table of all ids, for `lagem select-ids`")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="manifest to write, for `lagem prepare`: a .csv table of files, with their licences and authors",
    )


def run(args: argparse.Namespace) -> None:
    """Download the meshes and write the manifest; with --list, write only the table of all ids."""
    from lagem.downloads.run import download, list_ids

    if args.list:
        list_ids(args.collection, args.output)
    else:
        download(args.collection, args.output, ids=args.ids)
