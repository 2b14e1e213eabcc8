"""The command ``info``: describe an image."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.options import IMAGE_HELP, add_source_options
from src_models.model_errors import named_arguments

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", help=IMAGE_HELP)
    add_source_options(command)


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.engine.normalisation import choose_normalisation  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415

    image = open_image(args.image, series=args.series, axes=args.axes)
    normalisation = choose_normalisation(image)
    return {
        "image": args.image,
        "shape": list(image.shape),
        "dtype": str(image.dtype),
        "file axes": image.array_axes,
        "channels": list(image.selected),
        "levels": [list(level) for level in image.levels],
        "levels of the file": len(image.arrays),
        "chunk": list(image.chunk),
        "pixel size": list(image.scale),
        "unit": image.unit,
        "position of the first pixel": list(image.translation),
        "planes": {a: asdict(image.placement(a)) for a in image.stack_axes} or None,
        "crs": image.crs,
        "transform": None if image.transform is None else list(image.transform),
        "control points without affine": image.control_points,
        "black": list(normalisation.low) or [0],
        "white": list(normalisation.high) or [255],
        "nodata": image.nodata,
        "bits": image.bits,
        "min is white": image.inverted or None,
        "chosen": [named_arguments(note, "--{}".format) for note in image.choices] or None,
        "advice": image.advice,
    }


INFO = Command("info", "describe an image", _run, _add_options)
