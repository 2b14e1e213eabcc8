"""The command ``precompute``: encode an image, or a part of it, before anybody clicks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine, add_image_options, add_model_options, open_chosen, region
from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    import argparse

_progress = ProgressLine("window")


def add_precompute(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add this command to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    what = "encode an image before anybody clicks"
    about = f"{what.capitalize()}. Ctrl+C stops, nothing is lost: the same command goes on from there."
    command = commands.add_parser("precompute", parents=[common], help=what, description=about)
    command.add_argument("image", help="TIFF, OME-Zarr, PNG, JPEG …")
    command.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where embeddings are kept; else where napari looks"
    )
    command.add_argument("--region", type=region, metavar="Y0,X0,Y1,X1", help="level-0 pixels; the whole image if not")
    command.add_argument("--diameter", type=float, metavar="PX", help="typical object diameter, as clicks are given it")
    add_image_options(command)
    add_model_options(command)
    command.add_argument("--limit", type=float, default=32.0, metavar="GIB", help="size of the folder at most (32)")
    command.set_defaults(run=_precompute)


def _precompute(args: argparse.Namespace) -> Any:
    from napari_sam.engine.embeddings.precompute import precompute  # noqa: PLC0415 - torch comes with the engine
    from napari_sam.io.embedding_store import ZarrEmbeddingStore, default_folder  # noqa: PLC0415
    from napari_sam.predictor import Predictor  # noqa: PLC0415

    if not args.limit > 0:
        raise SettingsError(f"--limit {args.limit}: give a positive number of GiB")
    image = open_chosen(args.image, args.channels, args.plane)
    store = ZarrEmbeddingStore(args.cache or default_folder(), int(args.limit * (1 << 30)))
    predictor = Predictor(args.model, args.device, args.precision, store)
    predictor.set_image(image)
    try:
        report = precompute(predictor, args.region, diameter_px=args.diameter, progress=_progress)
    except KeyboardInterrupt:
        sys.stderr.write("\nwhat was encoded is kept; the same command goes on from here\n")
        raise
    return {
        "image": args.image,
        "cache": str(store.folder),
        "model": args.model,
        "precision": str(predictor.runner.dtype).removeprefix("torch."),
        "windows": report.windows,
        "encoded": report.encoded,
        "window sides": list(report.sides_px),
        "cache bytes": store.size_bytes,
    }
