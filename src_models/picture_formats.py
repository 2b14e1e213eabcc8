"""The picture formats that are given to Pillow: never those that it passes on to other programs."""

from __future__ import annotations

from PIL import Image

_NAMES = (
    "AVIF BMP DDS DIB FITS FLI GIF ICNS ICO IM JPEG JPEG2000 MSP PCX PNG PPM PSD QOI SGI SPIDER SUN TGA TIFF WEBP "
    "XBM XPM".split()
)


def picture_formats() -> list[str]:
    """Return the names of formats for `PIL.Image.open`: those that the installed Pillow has, without PostScript."""
    Image.init()
    return [name for name in _NAMES if name in Image.OPEN]
