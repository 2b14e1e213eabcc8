"""Parts of a zarr image that its metadata names, or leaves to be guessed: attributes, series and axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import ImageError
from napari_sam.io.images.address import axes_by_shape

if TYPE_CHECKING:
    from napari_sam.io.images.formats.zarr.zarr_store import ZarrStore
    from napari_sam.io.json_types import JsonObject

_AXIS_LETTERS = {
    "c": ("band", "bands", "ch", "channel", "channels", "color", "colour", "rgb", "sample", "spectral", "wavelength"),
    "y": ("lat", "latitude", "northing", "row", "rows", "height"),
    "x": ("lon", "long", "longitude", "easting", "col", "cols", "column", "columns", "width"),
}
_MOST_SERIES = 64


def ome_attributes(attributes: JsonObject) -> JsonObject:
    """Return NGFF's attributes: under "ome" from version 0.5 on, at the top before."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) else attributes


def checked_series(store: ZarrStore, number: int | None, count: int) -> int:
    """Return the number of a series, 0 if none is chosen.

    Raises
    ------
    ImageError
        If there is no such series.
    """
    if number is not None and not 0 <= number < count:
        raise ImageError(
            f"series is {number}; {store.location} has series 0 to {count - 1}",
            parameter="series",
            remedy="choose one of them",
        )
    return number or 0


def series_names(store: ZarrStore) -> list[str]:
    """Return the paths of the images that bioformats2raw wrote: as listed, or numbered from 0."""
    try:
        listed = ome_attributes(store.node("OME")["attributes"]).get("series")
    except ImageError:
        listed = None
    if isinstance(listed, list) and listed and all(isinstance(name, str) for name in listed):
        return listed[:_MOST_SERIES]
    names: list[str] = []
    while len(names) < _MOST_SERIES:
        try:
            store.node(str(len(names)))
        except ImageError:
            break
        names.append(str(len(names)))
    return names or ["0"]


def axis_letter(name: object) -> str:
    """Return the letter of an axis by its name: that of channels, y or x, or its first one.

    >>> [axis_letter(n) for n in ("band", "latitude", "x", "time")]
    ['c', 'y', 'x', 't']
    """
    lowered = str(name).strip().lower()
    return next((letter for letter, names in _AXIS_LETTERS.items() if lowered in names), lowered[:1] or "?")


def undeclared_axes(name: str, shape: tuple[int, ...]) -> tuple[str, tuple[str, ...]]:
    """Return axes for an array that declares none, and what to tell the user about them.

    Raises
    ------
    ImageError
        If its shape does not tell.
    """
    axes = axes_by_shape(shape)
    if axes is None:
        raise ImageError(
            f"{name}: axes of an array of shape {shape} are not declared",
            parameter="axes",
            remedy="give them with {axes}, one letter each, such as zyx for a stack or yxc for channels",
        )
    if axes in ("yx", "yxc"):
        return axes, ()
    return axes, (f"axes of the array of shape {shape} are taken as {axes}: choose others with {{axes}}",)
