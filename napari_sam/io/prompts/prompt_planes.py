"""Prompts that name the plane of a stack: only those on the image's own plane are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.prompts.table_values import numbers_of

if TYPE_CHECKING:
    import pandas as pd

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
    axes = list(image.plane_axes)
    values = rows.frame["plane"] if "plane" in rows.frame else _by_columns(rows.frame, image)
    if values is None:
        return rows, 0
    where = [f"{rows.name}: {rows.word} {number}" for number in rows.numbers]
    planes = [_plane(value, axes, row) for value, row in zip(values, where, strict=True)]
    named = sorted({plane for plane in planes if plane is not None})
    _check_axes(rows.name, named, axes)
    if not axes:
        return rows, 0
    kept = np.array([i for i, plane in enumerate(planes) if plane is None or plane == image.plane], np.int64)
    if not len(kept) and len(planes):
        raise PromptError(
            f"{rows.name}: no prompt lies on plane {_text(image.plane)}; they lie on {_listed(named)}",
            parameter="plane",
            remedy="choose one of these with {plane}",
        )
    if len(kept) == len(planes):
        return rows, 0
    mask = rows.mask
    chosen = replace(
        rows,
        frame=rows.frame.iloc[kept].reset_index(drop=True),
        numbers=rows.numbers[kept],
        mask=None if mask is None else lambda i: mask(int(kept[i])),
    )
    return chosen, len(planes) - len(kept)


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
        if len(axes) == 1 and axes[0] not in value:  # a stack whose file does not say along what
            return (_index(value.get("z") or value.get("t") or 0, where),)
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
