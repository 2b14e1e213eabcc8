"""The command ``export``: labels into a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.options import ints
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.errors import StoreError

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("labels", metavar="LABELS", help="label store, such as cells.ome.zarr")
    command.add_argument("out", type=Path, metavar="OUT", help="file to write")
    command.add_argument("--format", default=None, help="such as geojson-pixels (default: by the file's suffix)")
    command.add_argument("--objects", type=ints, default=None, metavar="ID,ID", help="objects to export (default: all)")


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    try:
        store = LabelStore.open(args.labels)  # repairs the pixels after a crash
    except StoreError:  # open in another process, or read-only
        store = LabelStore.open(args.labels, "r")
    with store:
        count = len(store) if args.objects is None else len(set(args.objects))
        path = store.export(args.out, format=args.format, labels=args.objects, progress=ProgressLine("step"))
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return {"output": str(path), "count": count, "bytes": sum(f.stat().st_size for f in files)}


EXPORT = Command(
    "export",
    "write the objects of a label store to a file",
    _run,
    _add_options,
    details="The suffix selects the format: .geojson, .gpkg, .json (COCO), .csv, .parquet, .tif, .ome.tif, .png, "
    ".zip (ImageJ ROIs), .zarr, .py (a script that makes the same objects again). An existing file is replaced once "
    "the new one is complete.",
    words={"labels": "--objects"},
)
