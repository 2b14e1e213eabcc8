"""Option types and options that several commands share, and the image that they select."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.io.images.lazy_image import Image

IMAGE_HELP = "TIFF, OME-Zarr, PNG, JPEG …"
_NUMBERS = re.compile(r"-[\d.][\d.,eE+-]*")


def join_negative_numbers(argv: Sequence[str]) -> list[str]:
    """Turn ``--point -5,3`` into ``--point=-5,3``, since argparse takes a leading minus for an option.

    >>> join_negative_numbers(["segment", "--point", "-5,3", "--crop"])
    ['segment', '--point=-5,3', '--crop']
    """
    joined: list[str] = []
    for argument in argv:
        previous = joined[-1] if joined else ""
        if _NUMBERS.fullmatch(argument) and previous.startswith("--") and "=" not in previous and previous != "--":
            joined[-1] = f"{previous}={argument}"
        else:
            joined.append(argument)
    return joined


def floats(count: int) -> Callable[[str], tuple[float, ...]]:
    """Return a parser for `count` numbers separated by commas."""

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(v) for v in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count:
            raise argparse.ArgumentTypeError(f"{text!r} is not {count} numbers separated by commas")
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


def add_image_options(command: argparse.ArgumentParser) -> None:
    """Add ``--channels`` and ``--plane``, which select part of an image."""
    command.add_argument("--channels", type=ints, default=None, metavar="R,G,B", help="channels to use")
    command.add_argument(
        "--plane", type=ints, default=None, metavar="T,Z", help="plane of a stack, one index for each such axis"
    )


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


def open_plane(path: str, channels: Sequence[int] | None, plane: Sequence[int] | None) -> Image:
    """Open an image at the plane that the command line selects.

    Parameters
    ----------
    path : str
        Path or URL.
    channels : sequence of int, optional
        Channels to use.
    plane : sequence of int, optional
        Index along each axis other than rows, columns and channels.

    Raises
    ------
    ImageError
        If it cannot be opened, or has no such plane.
    """
    from napari_sam.io.images.open_image import completed, open_image  # noqa: PLC0415 - the command line starts quickly

    image = open_image(path, channels=channels)
    if plane is None:
        return image
    sizes = list(image.plane_axes.values())
    if len(plane) != len(sizes) or not all(0 <= p < n for p, n in zip(plane, sizes, strict=True)):
        has = f"axes of {' x '.join(map(str, sizes))} planes" if sizes else "one plane only"
        raise ImageError(
            f"plane {','.join(map(str, plane))}: {path} has {has}",
            parameter="plane",
            remedy="give an index for each, from 0" if sizes else "leave {plane} out",
        )
    return completed(image.with_plane(plane, image.selected))
