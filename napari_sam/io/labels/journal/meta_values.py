"""Check the facts about a store that a journal keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.row_values import LARGEST_AXIS_PX, number, optional_text, text, whole
from napari_sam.io.labels.journal.rows import LARGEST_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LARGEST_COUNT = 1 << 62
_MOST_LEVELS = 40
_AFFINE = 6  # numbers of an affine


def check_fact(key: str, value: object) -> None:
    """Raise ValueError or TypeError if a fact has not the form that the program gives it.

    Parameters
    ----------
    key : str
        Name of the fact; others than those of the program are not checked.
    value : object
        The fact, from JSON.
    """
    check = _CHECKS.get(key)
    if check is not None:
        check(value)


def _shape(value: object) -> None:
    sizes = [whole(n) for n in _items(value)]
    if not 2 <= len(sizes) <= 5 or not all(0 < n < LARGEST_AXIS_PX for n in sizes):
        raise ValueError(f"shape {value!r}")


def _scale(value: object) -> None:
    sizes = [number(n) for n in _items(value)]
    if len(sizes) != 2 or not all(0 < n < math.inf for n in sizes):
        raise ValueError(f"scale {value!r}")


def _transform(value: object) -> None:
    numbers = None if value is None else [number(n) for n in _items(value, least=_AFFINE)]
    if numbers is not None and not (len(numbers) == _AFFINE and all(map(math.isfinite, numbers))):
        raise ValueError(f"transform {value!r}")


def _axes(value: object) -> None:
    names = text(value)
    if not names.isalpha() or not 2 <= len(names) <= 5 or names[-2:] != "yx" or len(set(names)) < len(names):
        raise ValueError(f"axes {value!r}")


def _image(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise ValueError(f"image {value!r}")
    optional_text(value.get("identity"))
    optional_text(value.get("uri"))
    for name in ("plane", "channels"):
        if any(whole(index) < 0 for index in _items(value.get(name) or [])):
            raise ValueError(f"{name} {value[name]!r}")


def _placements(value: object) -> None:
    for placement in [] if value is None else _items(value, least=2):
        if not isinstance(placement, dict):
            raise ValueError(f"placement {placement!r}")
        optional_text(placement["unit"])
        if not all(math.isfinite(number(placement[name])) for name in ("scale", "translation")):
            raise ValueError(f"placement {placement!r}")


def _count(value: object) -> None:
    if not 0 <= whole(value) <= _LARGEST_COUNT:
        raise ValueError(f"count {value!r}")


def _levels(value: object) -> None:
    if value is not None and not 1 <= whole(value) <= _MOST_LEVELS:
        raise ValueError(f"{value!r} levels")


def _next_label(value: object) -> None:
    if not 0 < whole(value) <= LARGEST_LABEL + 1:
        raise ValueError(f"next label {value!r}")


def _items(value: object, least: int = 0) -> list[object]:
    if not isinstance(value, list) or len(value) < least:
        raise ValueError(f"{value!r} is not a list of at least {least}")
    return value


_CHECKS: Mapping[str, Callable[[object], object]] = {
    "shape": _shape,
    "scale": _scale,
    "transform": _transform,
    "axes": _axes,
    "image": _image,
    "placements": _placements,
    "levels": _levels,
    "unit": optional_text,
    "rendered": _count,
    "objects": _count,
    "next_label": _next_label,
    "control_points": _count,
}
