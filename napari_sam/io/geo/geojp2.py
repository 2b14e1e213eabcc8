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
_ID_BYTES = 16
_LARGEST_BYTES = 1 << 20
_MOST_BOXES = 1000


def read_jp2_position(path: Path) -> MapPosition:
    """Return the map position that a JPEG 2000 file holds; an empty one for any other file.

    Parameters
    ----------
    path : Path
        A picture.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return MapPosition()
            content = next((content for kind, content in _uuid_boxes(file) if kind == _GEOTIFF_ID), None)
    except OSError:
        return MapPosition()
    return MapPosition() if content is None else _position_in(content)


def _position_in(geotiff: bytes) -> MapPosition:
    """Return the map position of a GeoTIFF in memory; an empty one if it is damaged."""
    import tifffile  # noqa: PLC0415 - slow to import

    try:
        with tifffile.TiffFile(io.BytesIO(geotiff)) as tiff:
            return read_geo_tags(tiff.pages.first)
    except (OSError, ValueError, IndexError, tifffile.TiffFileError):
        return MapPosition()


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
        if kind == b"uuid" and start + _ID_BYTES <= length <= _LARGEST_BYTES:
            yield file.read(_ID_BYTES), file.read(length - start - _ID_BYTES)
        position += length
