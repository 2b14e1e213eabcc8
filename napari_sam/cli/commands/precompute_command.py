"""The command ``precompute``: encode an image, or a region of it, in advance."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.options import IMAGE_HELP, add_image_options, add_model_options, add_region_option, open_plane
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", help=IMAGE_HELP)
    command.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="folder for embeddings (default: the folder that napari uses)"
    )
    add_region_option(command)
    command.add_argument(
        "--diameter",
        type=float,
        dest="diameter_px",
        metavar="PX",
        help="typical object diameter, as for clicks",
    )
    add_image_options(command)
    add_model_options(command)
    command.add_argument(
        "--limit", type=float, default=32.0, metavar="GIB", help="largest size of the folder (default: 32)"
    )


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.engine.embeddings.embedding_cache import CacheWarning  # noqa: PLC0415 - imports torch
    from napari_sam.engine.embeddings.precompute import precompute  # noqa: PLC0415 - imports torch
    from napari_sam.io.embedding_store import ZarrEmbeddingStore, default_folder  # noqa: PLC0415
    from napari_sam.predictor import Predictor  # noqa: PLC0415

    if not args.limit > 0:
        raise SettingsError(f"limit {args.limit} GiB", parameter="limit", remedy="give a positive number of GiB")
    image = open_plane(args.image, args.channels, args.plane, series=args.series, axes=args.axes)
    store = ZarrEmbeddingStore(args.cache or default_folder(), int(args.limit * (1 << 30)))
    predictor = Predictor(args.model, args.device, args.precision, store)
    predictor.set_image(image)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CacheWarning)  # what cannot be kept is the error of this command
            report = precompute(predictor, args.region, diameter_px=args.diameter_px, progress=ProgressLine("window"))
    except KeyboardInterrupt:
        sys.stderr.write("\nfinished embeddings are kept; continue with the same command\n")
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


PRECOMPUTE = Command(
    "precompute",
    "encode an image before you click",
    _run,
    _add_options,
    details="Ctrl+C stops and keeps all finished embeddings; continue with the same command.",
)
