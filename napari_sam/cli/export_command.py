"""The command ``export``: labels into a file that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine, ints
from napari_sam.errors import StoreError

if TYPE_CHECKING:
    import argparse


def add_export(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    what = "write the objects of a label store to a file"
    command = commands.add_parser(
        "export",
        parents=[common],
        help=what,
        description=f"{what.capitalize()}. The ending says how: .geojson, .gpkg, .json (COCO), .csv, .parquet, .tif, "
        ".ome.tif, .png, .zip (ImageJ ROIs), .zarr, .py (a script that makes the same "
        "objects again). A file that is there is replaced once the new one is whole.",
    )
    command.add_argument("labels", metavar="LABELS", help="label store, such as cells.ome.zarr")
    command.add_argument("out", type=Path, metavar="OUT", help="file to write")
    command.add_argument("--format", default=None, help="geojson-pixels and the like, where the ending does not say it")
    command.add_argument("--objects", type=ints, default=None, metavar="ID,ID", help="some objects only")
    command.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> Any:
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415

    try:
        store = LabelStore.open(args.labels)  # draws what a crash left undrawn
    except StoreError:  # another writer has it, or it may not be written
        store = LabelStore.open(args.labels, "r")
    with store:
        count = len(store) if args.objects is None else len(set(args.objects))
        path = store.export(args.out, format=args.format, labels=args.objects, progress=ProgressLine("step"))
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return {"output": str(path), "count": count, "bytes": sum(f.stat().st_size for f in files)}
