"""Prompts that name the plane of a stack: only those on the image's own plane are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.prompts.prompt_rows import PromptRows

Plane = tuple[int, ...]
_LISTED = 5


def rows_on_plane(rows: PromptRows, image: Image) -> tuple[PromptRows, int]:
    """Return the rows on an image's plane, and how many lie on others.

    Parameters
    ----------
    rows : PromptRows
        Rows whose frame may have a column "plane": text such as "2" or "0,3", with one index for each axis of planes,
        or a mapping such as ``{"z": 2, "t": 0}``. Rows without a plane belong to every plane.
    image : Image
        The image at the plane to segment.

    Raises
    ------
    PromptError
        If a plane cannot be read, the rows lie on several planes but the image has only one, or none is on its plane.
    """
    if "plane" not in rows.frame:
        return rows, 0
    axes = list(image.plane_axes)
    where = [f"{rows.name}: {rows.word} {number}" for number in rows.numbers]
    planes = [_plane(value, axes, row) for value, row in zip(rows.frame["plane"], where, strict=True)]
    named = sorted({plane for plane in planes if plane is not None})
    if not axes:
        if len(named) > 1:
            raise PromptError(
                f"{rows.name}: its prompts lie on {len(named)} planes ({_listed(named)}), but the image has one",
                remedy="give the stack itself as the image, or the prompts of one plane",
            )
        return rows, 0
    wrong = next((plane for plane in named if len(plane) != len(axes)), None)
    if wrong is not None:
        raise PromptError(
            f"{rows.name}: plane {_text(wrong)}, but the image has {len(axes)} axes of planes ({', '.join(axes)})",
            remedy="give one index for each",
        )
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


def _plane(value: object, axes: list[str], where: str) -> Plane | None:
    """Return the plane of a row; None if it names none."""
    if isinstance(value, Mapping):
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
