"""The commands ``transcode`` and ``overview``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.options import add_source_options, open_chosen
from napari_sam.cli.progress_line import ProgressLine

if TYPE_CHECKING:
    import argparse

_IMAGE_HELP = "path or URL of an image"


def _add_transcode_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", help=_IMAGE_HELP)
    command.add_argument("out", type=Path, metavar="OUT.ome.zarr", help="folder to write")
    command.add_argument(
        "--codec", choices=("zstd", "lz4"), default="zstd", help="lz4 is larger and faster (default: zstd)"
    )
    command.add_argument(
        "--ngff",
        choices=("0.5", "0.4"),
        default="0.5",
        help="version of OME-Zarr; 0.4 for older programs (default: 0.5)",
    )
    command.add_argument("--resume", action="store_true", help="continue a stopped run")
    add_source_options(command)


def _add_image(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", help=_IMAGE_HELP)
    add_source_options(command)


def _transcode(args: argparse.Namespace) -> Result:
    from napari_sam.io.images.transcode import transcode  # noqa: PLC0415 - the command line starts quickly

    line = ProgressLine("block")
    try:
        source = open_chosen(args.image, args.series, args.axes)
        image = transcode(source, args.out, codec=args.codec, ngff=args.ngff, resume=args.resume, progress=line)
    except KeyboardInterrupt:
        sys.stderr.write("\nthe finished part is kept; continue with the same command and --resume\n")
        raise
    return {"image": args.image, "output": str(args.out), "levels": [list(level) for level in image.levels]}


def _overview(args: argparse.Namespace) -> Result:
    from napari_sam.io.images.overview import build_overview, overview_path  # noqa: PLC0415 - starts quickly

    image = open_chosen(args.image, args.series, args.axes)
    missing = bool(image.coarse)
    image = build_overview(image, progress=ProgressLine("block"))
    return {
        "image": args.image,
        "overview": str(overview_path(image)) if missing else "not needed",
        "levels": [list(level) for level in image.levels],
    }


TRANSCODE = Command(
    "transcode",
    "convert an image to OME-Zarr with scale levels, which is fast to read",
    _transcode,
    _add_transcode_options,
    details="Ctrl+C stops; --resume continues.",
)
OVERVIEW = Command("overview", "compute the missing scale levels, kept in the cache folder", _overview, _add_image)
