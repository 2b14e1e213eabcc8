"""The map position of a JPEG 2000 file: a small GeoTIFF in one of its boxes (GeoJP2)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from napari_sam.io.geo.geotiff import MapPosition, read_geo_tags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_GEOTIFF_ID = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
_LONG, _TO_THE_END = 1, 0  # lengths of a box with another meaning
_LARGEST_BYTES = 1 << 20
_MOST_BOXES = 1000


def read_jp2_position(path: Path) -> MapPosition:
    """Return the map position that a JPEG 2000 file holds; an empty one for any other file.

    Parameters
    ----------
    path : Path
        A picture.
    """
    import tifffile  # noqa: PLC0415 - slow to import

    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return MapPosition()
            content = next((content for kind, content in _uuid_boxes(file) if kind == _GEOTIFF_ID), None)
        if content is None:
            return MapPosition()
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            return read_geo_tags(tiff.pages.first)
    except (OSError, ValueError, IndexError, tifffile.TiffFileError):
        return MapPosition()  # a damaged box must not prevent reading the pixels


def _uuid_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over identifier and content of the UUID boxes at the top of a file, beyond its signature."""
    position = len(_SIGNATURE)
    for _ in range(_MOST_BOXES):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind, start = int.from_bytes(head[:4], "big"), head[4:], 8
        if length == _LONG:
            length, start = int.from_bytes(file.read(8), "big"), 16
        if length == _TO_THE_END or length < start:
            return
        if kind == b"uuid" and length <= _LARGEST_BYTES:
            yield file.read(16), file.read(length - start - 16)
        position += length
