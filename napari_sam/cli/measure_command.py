"""The command ``measure``: shape and intensity of every object as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine, ints, open_chosen

if TYPE_CHECKING:
    import argparse


def add_measure(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    what = "measure shape and intensity of all objects"
    command = commands.add_parser("measure", parents=[common], help=what, description=f"{what.capitalize()}.")
    command.add_argument("labels", metavar="LABELS", help="label store, such as cells.ome.zarr")
    command.add_argument("image", metavar="IMAGE", nargs="?", help="the image; without it only shapes are measured")
    command.add_argument("--out", type=Path, required=True, metavar="TABLE", help="table to write, .csv or .parquet")
    command.add_argument(
        "--properties", type=lambda text: text.split(","), metavar="NAME,NAME", help="area, centroid … (all if not)"
    )
    command.add_argument("--channels", type=ints, metavar="C,C", help="channels to measure; all if not")
    command.add_argument("--plane", type=ints, metavar="T,Z", help="which plane of a stack the labels are of")
    command.set_defaults(run=_measure)


def _measure(args: argparse.Namespace) -> Any:
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.labels.measure import PROPERTIES, check_table_path, measure, write_table  # noqa: PLC0415

    check_table_path(args.out)
    image = None if args.image is None else open_chosen(args.image, None, args.plane)
    with LabelStore.open(args.labels, "r") as store:
        names = PROPERTIES if args.properties is None else args.properties
        table = measure(store, image, names, args.channels, progress=ProgressLine("object"))
    path = write_table(table, args.out)
    return {"labels": str(args.labels), "image": args.image, "output": str(path), "count": len(table)}
