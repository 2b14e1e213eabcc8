"""The commands that make images quick to read: ``transcode`` and ``overview``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine

if TYPE_CHECKING:
    import argparse

report = ProgressLine("block")


def add_images(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add these commands to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    what = "write an image as OME-Zarr 0.5 with scale levels, quick to read"
    command = commands.add_parser(
        "transcode", parents=[common], help=what, description=f"{what.capitalize()}. Ctrl+C stops; --resume goes on."
    )
    command.add_argument("image", help="path or URL of an image")
    command.add_argument("out", type=Path, metavar="OUT.ome.zarr", help="folder to write")
    command.add_argument("--codec", choices=("zstd", "lz4"), default="zstd", help="lz4 is larger and quicker")
    command.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    command.set_defaults(run=_transcode)

    what = "compute the scale levels that an image lacks, kept in the cache folder"
    command = commands.add_parser("overview", parents=[common], help=what, description=f"{what.capitalize()}.")
    command.add_argument("image", help="path or URL of an image")
    command.set_defaults(run=_overview)


def _transcode(args: argparse.Namespace) -> Any:
    from napari_sam.io.images.transcode import transcode  # noqa: PLC0415

    try:
        image = transcode(args.image, args.out, codec=args.codec, resume=args.resume, progress=report)
    except KeyboardInterrupt:
        sys.stderr.write("\nwhat was written is kept; the same command with --resume goes on from here\n")
        raise
    return {"image": args.image, "output": str(args.out), "levels": [list(level) for level in image.levels]}


def _overview(args: argparse.Namespace) -> Any:
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415
    from napari_sam.io.images.overview import build_overview, overview_path  # noqa: PLC0415

    image = open_image(args.image)
    lacking = bool(image.coarse)
    image = build_overview(image, progress=report)
    return {
        "image": args.image,
        "overview": str(overview_path(image)) if lacking else "not needed",
        "levels": [list(level) for level in image.levels],
    }
