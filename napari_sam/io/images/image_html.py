"""An image as HTML, for notebooks: a picture from a coarse scale level, and its essential figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from napari_sam.engine.image_source import ImageSource
from napari_sam.engine.showing.html import as_html
from napari_sam.engine.showing.pictures import picture_of
from napari_sam.errors import NapariSamError
from napari_sam.io.geo.crs import crs_name
from napari_sam.io.geo.units import unit_suffix

if TYPE_CHECKING:
    from collections.abc import Mapping

PICTURE_EXACT_PX = 1 << 24
"""Pixels that are averaged at most for a scale level that the file lacks; a larger part is estimated."""


class ShownImage(ImageSource, Protocol):
    """What is shown of an image besides its pixels; `Image` has it."""

    @property
    def name(self) -> str:
        """Path, URL or identity."""
        ...

    @property
    def channel_count(self) -> int:
        """Number of channels in the file."""
        ...

    @property
    def file_levels(self) -> int:
        """Number of scale levels in the file."""
        ...

    @property
    def plane(self) -> tuple[int, ...]:
        """Index along the axes of a stack."""
        ...

    @property
    def plane_axes(self) -> Mapping[str, int]:
        """Number of planes along each axis of `plane`."""
        ...

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a pixel along y and x, in `unit`."""
        ...

    @property
    def unit(self) -> str | None:
        """Unit of `scale`."""
        ...

    @property
    def crs(self) -> str | None:
        """Coordinate reference system."""
        ...


def image_html(image: ShownImage) -> str:
    """Return an image as HTML; one that cannot be read is shown without a picture, and with the reason."""
    height, width = image.shape
    planes = " x ".join(f"{count} ({axis})" for axis, count in image.plane_axes.items())
    used = "" if image.channels == image.channel_count else f", {image.channels} of them used"
    facts = {
        "name": image.name,
        "size": f"{height} x {width} px, {image.dtype}",
        "channels": f"{image.channel_count}{used}",
        "planes": planes and f"{planes}, plane {image.plane} is shown",
        "scale levels": f"{len(image.levels)}, {image.file_levels} of them in the file",
        "pixel size": pixel_size_text(image.scale, image.unit),
        "CRS": image.crs and crs_name(image.crs),
    }
    try:
        picture = picture_of(image)
    except NapariSamError as error:
        return as_html("Image", facts | {"picture": f"cannot be shown: {error}"})
    return as_html("Image", facts, picture)


def pixel_size_text(scale: tuple[float, float], unit: str | None) -> str | None:
    """Return the size of a pixel in words; None if it is unknown.

    >>> pixel_size_text((0.5, 0.25), "micrometer"), pixel_size_text((1.0, 1.0), None)
    ('0.5 x 0.25 um', None)
    """
    if unit is None and scale == (1.0, 1.0):
        return None
    y, x = (f"{size:.4g}" for size in scale)
    return f"{y if y == x else f'{y} x {x}'} {'map units' if unit is None else unit_suffix(unit)}"
