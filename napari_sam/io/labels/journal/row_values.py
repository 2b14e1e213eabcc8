"""Checks of single values that are read from the journal."""

from __future__ import annotations

import json

from napari_sam.engine.geometry import Box

LARGEST_AXIS_PX = 1 << 31
"""Largest height or width of a label image."""

LATEST_S = 8e9
"""Latest time, in seconds since 1970, that tables can show."""


def checked_box(*sides: object) -> Box:
    """Return a box, which is not empty and lies in an image of at most 2 ** 31 pixels along each axis.

    Raises
    ------
    ValueError
        If it is something else.
    """
    y0, x0, y1, x1 = (whole(side) for side in sides)
    if not (0 <= y0 < y1 <= LARGEST_AXIS_PX and 0 <= x0 < x1 <= LARGEST_AXIS_PX):
        raise ValueError(f"box {(y0, x0, y1, x1)}")
    return Box(y0, x0, y1, x1)


def check_inside(shape: tuple[int, ...], plane: tuple[int, ...], box: Box) -> None:
    """Raise ValueError if a box of a plane does not lie in an image of a shape."""
    leading, (height, width) = shape[:-2], shape[-2:]
    is_plane = len(plane) == len(leading) and all(0 <= i < n for i, n in zip(plane, leading, strict=True))
    if not is_plane or box.y1 > height or box.x1 > width:
        raise ValueError(f"box {tuple(box)} of plane {plane} outside an image of shape {shape}")


def parse_plane(value: str) -> tuple[int, ...]:
    """Return a plane from its text in the object table.

    >>> parse_plane("0,3"), parse_plane("")
    ((0, 3), ())
    """
    return tuple(int(index) for index in value.split(",") if index)


def format_plane(plane: tuple[int, ...]) -> str:
    """Return a plane as text for the object table.

    >>> format_plane((0, 3))
    '0,3'
    """
    return ",".join(str(index) for index in plane) if plane else ""


def whole(value: object) -> int:
    """Return a whole number as an int.

    Raises
    ------
    ValueError
        If `value` is something else; the same holds for `number`, `text` and the others.
    """
    if type(value) is int:
        return value
    item = getattr(value, "item", None)  # of numpy
    if item is not None and isinstance(item(), int):
        return int(item())
    raise ValueError(f"{value!r} is not a whole number")


def optional_whole(value: object) -> int | None:
    """Return a whole number, or None."""
    return None if value is None else whole(value)


def number(value: object) -> float:
    """Return a number as a float."""
    if type(value) is float:
        return value
    item = getattr(value, "item", None)
    plain = value if item is None else item()
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        return float(plain)
    raise ValueError(f"{value!r} is not a number")


def moment(value: object) -> float:
    """Return a time in seconds since 1970, of a year with four digits."""
    seconds = number(value)
    if not abs(seconds) < LATEST_S:
        raise ValueError(f"time {value!r}")
    return seconds


def optional_number(value: object) -> float | None:
    """Return a number, or None."""
    return None if value is None else number(value)


def text(value: object) -> str:
    """Return text."""
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is not text")


def optional_text(value: object) -> str | None:
    """Return text, or None; numbers become text, as in SQLite."""
    if value is None or isinstance(value, str):
        return value
    return f"{number(value):g}" if isinstance(value, float) else str(whole(value))


def json_columns(content: object, count: int, what: str) -> list[object]:
    """Return the columns of a row that was written as a JSON list; a ValueError names `what` if it is damaged."""
    columns = json.loads(text(content))
    if not isinstance(columns, list) or len(columns) != count:
        raise ValueError(f"{what} is {columns!r}")
    return columns


def blob(value: object) -> bytes:
    """Return bytes."""
    if isinstance(value, bytes):
        return value
    raise ValueError(f"{value!r} is not binary data")


def to_plain(value: object) -> object:
    """Return a numpy number as Python's own; the ``default`` of `json.dumps`.

    Raises
    ------
    TypeError
        If JSON has no such value.
    """
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} cannot be kept in the journal")
    plain: object = item()
    return plain


def json_planes(value: object) -> set[tuple[int, ...]]:
    """Return planes from their list in the record of a change.

    >>> sorted(json_planes("[[0, 3], [1, 3]]"))
    [(0, 3), (1, 3)]
    """
    listed = json.loads(text(value))
    if not isinstance(listed, list) or not all(isinstance(plane, list) for plane in listed):
        raise ValueError(f"{listed!r} is no list of planes")
    return {tuple(whole(index) for index in plane) for plane in listed}
