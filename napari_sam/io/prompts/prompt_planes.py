"""Prompts that name the plane of a stack: those on the image's own plane, or those of all planes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.prompts.table_values import numbers_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.prompts.prompt_rows import PromptRows

Plane = tuple[int, ...]
_LISTED = 5
_AXIS_COLUMNS = {"slice": "z", "frame": "t", "z": "z", "t": "t"}


def rows_on_plane(rows: PromptRows, image: Image) -> tuple[PromptRows, int]:
    """Return the rows on an image's plane, and how many lie on others.

    Parameters
    ----------
    rows : PromptRows
        Rows whose frame may have a column "plane": text such as "2" or "0,3", with one index for each axis of planes,
        or a mapping such as ``{"z": 2, "t": 0}``; or columns "z" and "t", from 0, or ImageJ's "Slice" and "Frame", from
        1. Rows without a plane belong to every plane.
    image : Image
        The image at the plane to segment.

    Raises
    ------
    PromptError
        If a plane cannot be read, the rows lie on several planes but the image has only one, or none is on its plane.
    """
    planes = _planes_of(rows, image)
    if planes is None or not image.plane_axes:
        return rows, 0
    kept = np.array([i for i, plane in enumerate(planes) if plane is None or plane == image.plane], np.int64)
    if not len(kept) and len(planes):
        raise PromptError(
            f"{rows.name}: no prompt lies on plane {_text(image.plane)}; they lie on {_listed(_named(planes))}",
            parameter="plane",
            remedy="choose one of these with {plane}",
        )
    return _chosen(rows, kept), len(planes) - len(kept)


def rows_by_plane(rows: PromptRows, image: Image) -> dict[Plane, PromptRows]:
    """Return the rows of each plane of a stack, in the order of the planes.

    Parameters
    ----------
    rows : PromptRows
        As for `rows_on_plane`; every row names its plane, unless the stack has a single one.
    image : Image
        The stack.

    Raises
    ------
    PromptError
        If a plane cannot be read or does not exist, or a row names none.
    """
    sizes = tuple(image.plane_axes.values())
    only = (0,) * len(sizes) if math.prod(sizes) == 1 else None
    planes = [plane or only for plane in _planes_of(rows, image) or [None] * len(rows.frame)]
    by_plane: dict[Plane, list[int]] = {}
    for i, plane in enumerate(planes):
        if plane is None:
            raise PromptError(
                f"{rows.name}: {rows.word} {rows.numbers[i]} names no plane of the stack",
                parameter="plane",
                remedy="say with {plane} on which plane the objects lie",
            )
        if any(index >= size for index, size in zip(plane, sizes, strict=True)):
            raise PromptError(
                f"{rows.name}: {rows.word} {rows.numbers[i]} lies on plane {_text(plane)}, and the stack has "
                f"{' x '.join(f'{n} ({axis})' for axis, n in image.plane_axes.items())}",
                remedy="check that it belongs to this stack, and that no axes are swapped",
            )
        by_plane.setdefault(plane, []).append(i)
    return {plane: _chosen(rows, np.array(kept, np.int64)) for plane, kept in sorted(by_plane.items())}


def names_planes(rows: PromptRows, image: Image) -> bool:
    """Return whether the rows say on which planes of a stack they lie.

    Raises
    ------
    PromptError
        If a plane cannot be read.
    """
    return any(plane is not None for plane in _planes_of(rows, image) or [])


def _planes_of(rows: PromptRows, image: Image) -> list[Plane | None] | None:
    """Return the plane of each row, None for one that names none; None if no row has a plane."""
    axes = list(image.plane_axes)
    values = rows.frame["plane"] if "plane" in rows.frame else _by_columns(rows.frame, image)
    if values is None:
        return None
    where = [f"{rows.name}: {rows.word} {number}" for number in rows.numbers]
    planes = [_plane(value, axes, row) for value, row in zip(values, where, strict=True)]
    _check_axes(rows.name, _named(planes), axes)
    return planes


def _named(planes: list[Plane | None]) -> list[Plane]:
    return sorted({plane for plane in planes if plane is not None})


def _chosen(rows: PromptRows, kept: NDArray[np.int64]) -> PromptRows:
    """Return some of the rows."""
    if len(kept) == len(rows.frame):
        return rows
    mask = rows.mask
    return replace(
        rows,
        frame=rows.frame.iloc[kept].reset_index(drop=True),
        numbers=rows.numbers[kept],
        mask=None if mask is None else lambda i: mask(int(kept[i])),
    )


def _check_axes(name: str, planes: list[Plane], axes: list[str]) -> None:
    """Refuse planes that an image with these axes of planes does not have.

    Raises
    ------
    PromptError
        If there are several but the image has one, or their number of indices is another.
    """
    if not axes and len(planes) > 1:
        raise PromptError(
            f"{name}: its prompts lie on {len(planes)} planes ({_listed(planes)}), but the image has one",
            remedy="give the stack itself as the image, or the prompts of one plane",
        )
    wrong = next((plane for plane in planes if axes and len(plane) != len(axes)), None)
    if wrong is not None:
        raise PromptError(
            f"{name}: plane {_text(wrong)}, but the image has {len(axes)} axes of planes ({', '.join(axes)})",
            remedy="give one index for each",
        )


def _by_columns(frame: pd.DataFrame, image: Image) -> list[dict[str, float] | None] | None:
    """Return the plane of every row by the columns of its axes; None without such columns of whole numbers."""
    columns = {str(name).strip().lower(): name for name in frame.columns}
    found = {axis: name for name, axis in _AXIS_COLUMNS.items() if name in columns}
    if not found or not image.plane_axes:
        return None
    numbers = numbers_of(frame, [columns[name] for name in found.values()])
    if "slice" in columns:  # ImageJ counts from 1
        numbers = numbers - [name in ("slice", "frame") for name in found.values()]
    missing = np.asarray(np.isnan(numbers).any(axis=1))
    if missing.all() or not ((numbers[~missing] >= 0) & (numbers[~missing] % 1 == 0)).all():
        return None
    other = dict(zip(image.plane_axes, map(float, image.plane), strict=True))  # of axes that have no column
    rows: list[list[float]] = numbers.tolist()
    planes = [{**other, **dict(zip(found, row, strict=True))} for row in rows]
    return [None if missing[i] else plane for i, plane in enumerate(planes)]


def _plane(value: object, axes: list[str], where: str) -> Plane | None:
    """Return the plane of a row; None if it names none."""
    if isinstance(value, Mapping):
        if len(axes) == 1:  # of which one of the two files may not say along what, or call it otherwise
            return (_index(value.get(axes[0]) or value.get("z") or value.get("t") or 0, where),)
        return tuple(_index(value.get(axis, 0), where) for axis in axes or ("t", "z"))
    if isinstance(value, list | tuple):
        return tuple(_index(v, where) for v in value)
    if value is None or value != value or str(value).strip() == "":  # NaN is not equal to itself
        return None
    if isinstance(value, int | float | np.number):
        return (_index(value, where),)
    return tuple(_index(part, where) for part in str(value).split(","))


def _index(value: object, where: str) -> int:
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if number < 0 or not number.is_integer():
        raise PromptError(f"{where}: plane {value!r} is not a whole number from 0", remedy="correct or remove it")
    return int(number)


def _text(plane: Plane) -> str:
    return ",".join(map(str, plane))


def _listed(planes: list[Plane]) -> str:
    more = " …" if len(planes) > _LISTED else ""
    return ", ".join(map(_text, planes[:_LISTED])) + more
