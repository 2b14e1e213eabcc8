"""Which picture of a file is meant, as part of its address: ``scan.tif#series=1`` or ``stack.zarr#axes=zyx``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import ImageError
from napari_sam.io.geo.units import unit_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PART = r"(?:series=\d{1,9}|axes=[a-z]{2,12})"
_CHOICE = re.compile(rf"#({_PART}(?:&{_PART})*)$")
_FEW = 4
_SPECTRUM = 4  # channels per row and column from which the last axis cannot be columns
_SMALLER = 2  # an axis of planes or channels is at most one part in this of the picture's sides


@dataclass(frozen=True)
class Choice:
    """What the user chose of a file.

    Attributes
    ----------
    series : int or None
        Number of the picture in a file with several; None for the largest that is not a label, macro or thumbnail.
    axes : str or None
        One letter for each axis, such as "zyx" or "cyx"; None for those that the file declares.
    """

    series: int | None = None
    axes: str | None = None

    def address(self, location: str) -> str:
        """Return an address that `open_image` opens in the same way.

        >>> Choice(series=1).address("a.tif"), Choice().address("a.tif")
        ('a.tif#series=1', 'a.tif')
        """
        parts = [f"{name}={value}" for name, value in vars(self).items() if value is not None]
        return f"{location}#{'&'.join(parts)}" if parts else location

    def or_else(self, other: Choice) -> Choice:
        """Return this choice, completed by another one."""
        return Choice(
            other.series if self.series is None else self.series, other.axes if self.axes is None else self.axes
        )


def split_address(address: str) -> tuple[str, Choice]:
    """Separate a path or URL from the choice at its end; a file whose own name ends like that has precedence.

    >>> split_address("a.tif#series=2&axes=zyx")
    ('a.tif', Choice(series=2, axes='zyx'))
    """
    match = _CHOICE.search(address)
    if match is None or _exists(address):
        return address, Choice()
    values = dict(part.split("=") for part in match[1].split("&"))
    series = values.get("series")
    return address[: match.start()], Choice(None if series is None else int(series), values.get("axes"))


def check_axes(axes: str, shape: Sequence[int], name: str) -> str:
    """Return axes in lower case, if they fit an array.

    Raises
    ------
    ImageError
        If their number differs from the array's, one occurs twice, or y or x is missing.
    """
    lowered = axes.lower()
    if len(lowered) != len(shape) or len(set(lowered)) != len(lowered) or not {"y", "x"} <= set(lowered):
        raise ImageError(
            f"axes is {axes!r}, but {name} has the shape {tuple(shape)}",
            parameter="axes",
            remedy=f"give {len(shape)} different letters with y and x: c for channels, z and t for planes",
        )
    return lowered


def axes_by_shape(shape: Sequence[int]) -> str | None:
    """Return the axes of an array that declares none; None if its shape does not tell.

    Up to four values along the first or last axis are channels. A stack is recognised by its planes, and a picture of
    many channels by its channels, if they are at most half as many as the rows and columns; or, for a small picture
    of whole spectra, at least four times as many.

    >>> [axes_by_shape(s) for s in ((9, 9), (99, 99, 3), (3, 99, 99), (30, 99, 99), (99, 99, 30), (64, 64, 64))]
    ['yx', 'yxc', 'cyx', 'zyx', 'yxc', None]
    """
    if len(shape) == 3:
        return _three_axes(*shape)
    if len(shape) == 4:
        if shape[3] <= _FEW < min(shape[1:3]):
            return "zyxc"
        return "czyx" if shape[0] <= _FEW else "zcyx" if shape[1] <= _FEW else "tzyx"
    return {2: "yx", 5: "tczyx"}.get(len(shape))


def swapped_axes(axes: str) -> str:
    """Return the axes of an array of which depth and time are the other way round.

    >>> swapped_axes("zcyx"), swapped_axes("tzyx")
    ('tcyx', 'ztyx')
    """
    return axes.translate(str.maketrans("zt", "tz"))


def axis_notes(axes: str, units: Mapping[str, str | None]) -> list[str]:
    """Return a note on each axis whose unit tells that depth and time are swapped, and on an order that labels lack.

    >>> axis_notes("zyx", {"z": "second"})
    ['its axis z has the unit second: if depth and time are swapped, name the axes with {axes=tyx}']
    >>> axis_notes("ztyx", {})
    ["its depth comes before time, and label stores have time first: run 'napari-sam transcode' once"]
    """
    wrong = {"z": "time", "t": "space"}
    notes = [
        f"its axis {axis} has the unit {unit}: if depth and time are swapped, name the axes with "
        f"{{axes={swapped_axes(axes)}}}"
        for axis, unit in units.items()
        if unit is not None and axis in wrong and unit_kind(unit) == wrong[axis]
    ]
    if 0 <= axes.find("z") < axes.find("t"):  # OME-Zarr requires time first
        notes.append("its depth comes before time, and label stores have time first: run 'napari-sam transcode' once")
    return notes


def _three_axes(first: int, middle: int, last: int) -> str | None:
    if last <= _FEW:
        return "yxc"
    if first <= _FEW:
        return "cyx"
    if first * _SMALLER <= min(middle, last):
        return "zyx"
    many_channels = last * _SMALLER <= min(first, middle) or last >= _SPECTRUM * max(first, middle)
    return "yxc" if many_channels else None


def _exists(address: str) -> bool:
    try:
        return Path(address).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
