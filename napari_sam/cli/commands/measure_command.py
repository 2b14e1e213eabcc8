"""The command ``measure``: shape and intensity of every object as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.options import ints, open_plane
from napari_sam.cli.progress_line import ProgressLine

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("labels", metavar="LABELS", help="label store, such as cells.ome.zarr")
    command.add_argument("image", metavar="IMAGE", nargs="?", help="image (default: measure shapes only)")
    command.add_argument("--out", type=Path, required=True, metavar="TABLE", help="table to write, .csv or .parquet")
    command.add_argument(
        "--properties",
        type=lambda text: text.split(","),
        metavar="NAME,NAME",
        help="properties, such as area,centroid (default: all)",
    )
    command.add_argument("--channels", type=ints, metavar="C,C", help="channels to measure (default: all)")
    command.add_argument("--plane", type=ints, metavar="T,Z", help="plane of a stack that the labels belong to")


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.labels.measurement.measure import measure  # noqa: PLC0415
    from napari_sam.io.labels.measurement.measured_table import check_table_path, write_table  # noqa: PLC0415
    from napari_sam.io.labels.measurement.properties import PROPERTIES  # noqa: PLC0415

    check_table_path(args.out)
    image = None if args.image is None else open_plane(args.image, None, args.plane)
    with LabelStore.open(args.labels, "r") as store:
        names = PROPERTIES if args.properties is None else args.properties
        table = measure(store, image, names, args.channels, progress=ProgressLine("object"))
    path = write_table(table, args.out)
    return {"labels": str(args.labels), "image": args.image, "output": str(path), "count": len(table)}


MEASURE = Command("measure", "measure shape and intensity of all objects", _run, _add_options)
