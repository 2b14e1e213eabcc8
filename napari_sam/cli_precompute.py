"""The command ``precompute``: encode an image, or a part of it, before anybody clicks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from napari_sam.errors import SettingsError


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
    command.add_argument("--region", type=_region, metavar="Y0,X0,Y1,X1", help="level-0 pixels; the whole image if not")
    command.add_argument("--diameter", type=float, metavar="PX", help="typical object diameter, as clicks are given it")
    command.add_argument("--channels", type=_ints, metavar="R,G,B", help="channels to look at")
    command.add_argument("--model", default="default", help="name (see 'models list') or checkpoint file")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    command.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16; that of the clicks")
    command.add_argument("--limit", type=float, default=32.0, metavar="GIB", help="size of the folder at most (32)")
    command.set_defaults(run=_precompute)


def _precompute(args: argparse.Namespace) -> Any:
    from napari_sam.engine.precompute import precompute  # noqa: PLC0415 - torch comes with the engine
    from napari_sam.io.embedding_store import ZarrEmbeddingStore, default_folder  # noqa: PLC0415
    from napari_sam.io.image import open_image  # noqa: PLC0415
    from napari_sam.predictor import Predictor  # noqa: PLC0415

    if not args.limit > 0:
        raise SettingsError(f"--limit {args.limit}: give a positive number of GiB")
    image = open_image(args.image, channels=args.channels)
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


def _progress(done: int, total: int) -> None:
    sys.stderr.write(f"\rwindow {done}/{total}" + ("\n" if done == total else ""))
    sys.stderr.flush()


def _region(text: str) -> tuple[int, ...]:
    values = _ints(text)
    if len(values) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four whole numbers separated by commas")
    return values


def _ints(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers separated by commas") from None
