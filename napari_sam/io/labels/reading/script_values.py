"""Values of a journal as Python source: only literals, and only under names that the program knows.

A journal may come from somebody else. What stands in it must never become code of a script made from it.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from napari_sam.engine.automatic.grid_settings import GridSettings
from src_models.watershed_settings import WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTINGS = (
    "border", "branches", "category", "coarser", "diameter_px", "grid", "level", "method", "min_iou", "min_region_px",
    "min_stability", "overlap", "region", "side", "stage", "watershed",
)  # fmt: skip
"""Keywords of `segment_everything` that a run's record holds."""
_NESTED = {"grid": GridSettings, "watershed": WatershedSettings}


def literal(value: object) -> str:
    r"""Return a JSON value as a Python literal.

    Raises
    ------
    ValueError
        If it is something else, or a number that is not finite.

    Examples
    --------
    >>> literal({"points": [[1.5, None]], "word": "it's"})
    '{\'points\': [[1.5, None]], \'word\': "it\'s"}'
    """
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return repr(value)
    if isinstance(value, tuple | list):
        items = ", ".join(literal(item) for item in value)
        if isinstance(value, list):
            return f"[{items}]"
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return f"{{{', '.join(f'{key!r}: {literal(item)}' for key, item in value.items())}}}"
    raise ValueError(f"{value!r} has no literal")


def known_arguments(values: Mapping[str, object], settings: Any) -> list[str]:
    """Return keyword arguments for a dataclass.

    Parameters
    ----------
    values : mapping
        Values by name.
    settings : type
        The dataclass.

    Raises
    ------
    ValueError
        If a name is not one of its fields, or a value has no literal.
    """
    return _arguments(values, [field.name for field in fields(settings)])


def settings_arguments(values: Mapping[str, object]) -> list[str]:
    """Return keyword arguments for `segment_everything`, by name; errors as `known_arguments`."""
    given = {name: value for name, value in sorted(values.items()) if value is not None}
    arguments = []
    for name, value in given.items():
        if name in _NESTED and isinstance(value, dict):
            arguments.append(f"{name}={_NESTED[name].__name__}({', '.join(known_arguments(value, _NESTED[name]))})")
        else:
            plain = tuple(value) if isinstance(value, list) else value
            arguments += _arguments({name: plain}, _SETTINGS)
    return arguments


def _arguments(values: Mapping[str, object], known: list[str] | tuple[str, ...]) -> list[str]:
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return [f"{name}={literal(value)}" for name, value in values.items()]
