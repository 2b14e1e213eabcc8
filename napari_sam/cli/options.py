"""Option types and options that several commands share, and the image that they select."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING

from src_models.model_errors import named_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.predictor import Predictor

IMAGE_HELP = "TIFF, OME-Zarr, PNG, JPEG …"
_NUMBERS = re.compile(r"-[\d.][\d.,:eE+-]*")


def join_negative_numbers(argv: Sequence[str]) -> list[str]:
    """Turn ``--point -5,3`` into ``--point=-5,3``, since argparse takes a leading minus for an option.

    A file that exists under a name like ``-x.tif`` becomes ``./-x.tif`` for the same reason.

    >>> join_negative_numbers(["segment", "--point", "-5,3", "--crop"])
    ['segment', '--point=-5,3', '--crop']
    """
    joined: list[str] = []
    for argument in argv:
        previous = joined[-1] if joined else ""
        if _NUMBERS.fullmatch(argument) and previous.startswith("--") and "=" not in previous and previous != "--":
            joined[-1] = f"{previous}={argument}"
        elif argument.startswith("-") and "." in argument and os.path.lexists(argument):
            joined.append(f"./{argument}")
        else:
            joined.append(argument)
    return joined


def floats(*counts: int) -> Callable[[str], tuple[float, ...]]:
    """Return a parser for as many numbers separated by commas as one of `counts`."""

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in text.split(","))
        except ValueError:
            values = ()
        if len(values) not in counts:
            number = " or ".join(map(str, counts))
            raise argparse.ArgumentTypeError(f"{text!r} is not {number} numbers separated by commas")
        return values

    return parse


def ints(text: str) -> tuple[int, ...]:
    """Parse whole numbers separated by commas."""
    try:
        return tuple(int(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers separated by commas") from None


def region(text: str) -> tuple[int, ...]:
    """Parse the four whole numbers of a region, (y0, x0, y1, x1)."""
    values = ints(text)
    if len(values) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four whole numbers separated by commas")
    return values


def add_region_option(command: argparse.ArgumentParser) -> None:
    """Add ``--region``."""
    command.add_argument(
        "--region", type=region, metavar="Y0,X0,Y1,X1", help="region in level-0 pixels (default: the whole image)"
    )


def add_source_options(command: argparse.ArgumentParser) -> None:
    """Add ``--series`` and ``--axes``, which tell what a file holds."""
    command.add_argument(
        "--series", type=int, metavar="N", help="picture of a file with several (default: the largest, no thumbnail)"
    )
    command.add_argument(
        "--axes", metavar="ZYX", help="one letter per axis, c for channels (default: as the file declares)"
    )


def add_image_options(command: argparse.ArgumentParser) -> None:
    """Add ``--channels``, ``--plane``, ``--series`` and ``--axes``, which select part of an image."""
    command.add_argument("--channels", type=ints, default=None, metavar="R,G,B", help="channels to use")
    command.add_argument(
        "--plane", type=ints, default=None, metavar="T,Z", help="plane of a stack, one index for each such axis"
    )
    add_source_options(command)


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--device`` and ``--precision``."""
    command.add_argument(
        "--model", default="default", help="name (see 'models list') or checkpoint file (default: default)"
    )
    add_device_option(command)
    add_precision_option(command)


def add_device_option(command: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def add_precision_option(command: argparse.ArgumentParser) -> None:
    """Add ``--precision``."""
    command.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16 (default: auto)")


class CommandModel:
    """The model of a command, loaded when the first image needs it."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None

    def predictor(self, args: argparse.Namespace) -> Predictor:
        """Return the predictor."""
        from napari_sam.predictor import Predictor  # noqa: PLC0415 - imports torch

        if self._predictor is None:
            self._predictor = Predictor(args.model, args.device, args.precision)
        return self._predictor


def open_chosen(path: str, series: int | None = None, axes: str | None = None) -> Image:
    """Open a whole image, all of its channels and planes, and report which picture of the file it is.

    Raises
    ------
    ImageError
        As `open_image`.
    """
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - the command line starts quickly

    image = open_image(path, series=series, axes=axes)
    _report(image, image.notes, {"axes": axes})
    return image


def _report(image: Image, notes: Sequence[str], given: Mapping[str, object]) -> None:
    """Write to standard error what is used of an image, except what the given arguments chose."""
    for note in notes:
        if not any(value is not None and f"{{{name}}}" in note for name, value in given.items()):
            sys.stderr.write(f"napari-sam: {image.name}: {named_arguments(note, '--{}'.format)}\n")


def open_plane(
    path: str,
    channels: Sequence[int] | None,
    plane: Sequence[int] | None,
    *,
    series: int | None = None,
    axes: str | None = None,
    along: str = "",
) -> Image:
    """Open an image at the plane that the command line selects, and report what was chosen without being asked.

    Parameters
    ----------
    path : str
        Path or URL.
    channels : sequence of int, optional
        Channels to use.
    plane : sequence of int, optional
        Index along each axis other than rows, columns and channels.
    series, axes : optional
        As for `open_image`.
    along : str
        Names of axes of which all planes are used.

    Raises
    ------
    ImageError
        If it cannot be opened, or has no such plane.
    """
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - the command line starts quickly

    image = open_image(path, channels, series=series, axes=axes)
    _report(image, image.choices_along(along), {"channels": channels, "plane": plane, "axes": axes})
    return image if plane is None else at_plane(image, plane)


def at_plane(image: Image, plane: Sequence[int]) -> Image:
    """Return an image at another plane.

    Raises
    ------
    ImageError
        If it has no such plane.
    """
    from napari_sam.io.images.open_image import completed  # noqa: PLC0415 - the command line starts quickly

    return completed(image.with_plane(plane, image.selected))
