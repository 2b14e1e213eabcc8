"""Where the pixels of an axis lie in the world: pixel size, position of the first pixel, and unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_sam.io.geo.units import conversion, unit_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.io.json_types import JsonObject

_TYPES = {"t": "time", "c": "channel"}


@dataclass(frozen=True)
class AxisPlacement:
    """Placement of an axis; the centre of pixel i lies at ``translation + scale * i``.

    Attributes
    ----------
    scale : float
        Size of a pixel.
    translation : float
        Position of the centre of the first pixel.
    unit : str or None
        Unit of both, such as "micrometer".
    """

    scale: float = 1.0
    translation: float = 0.0
    unit: str | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the scale is positive and both numbers are finite."""
        return 0 < self.scale < math.inf and math.isfinite(self.translation)

    def in_unit(self, unit: str | None) -> AxisPlacement | None:
        """Return the same placement in another unit; None if the units cannot be compared."""
        factor = conversion(self.unit, unit)
        return None if factor is None else AxisPlacement(self.scale * factor, self.translation * factor, unit)


def plane_placements(y: AxisPlacement, x: AxisPlacement) -> tuple[AxisPlacement, AxisPlacement]:
    """Return the placements of y and x in the same unit, that of x; in none if their units cannot be compared.

    >>> plane_placements(AxisPlacement(500, 0, "nanometer"), AxisPlacement(0.25, 0, "micrometer"))[0]
    AxisPlacement(scale=0.5, translation=0.0, unit='micrometer')
    """
    if not (y.is_valid and x.is_valid):
        return AxisPlacement(), AxisPlacement()
    converted = y.in_unit(x.unit)
    return (converted, x) if converted is not None else (replace(y, unit=None), replace(x, unit=None))


def in_one_unit(placements: Mapping[str, AxisPlacement]) -> dict[str, AxisPlacement]:
    """Return valid placements, all in the unit of x as far as they can be compared with it.

    >>> stack = {"z": AxisPlacement(2000, 0, "nanometer"), **dict.fromkeys("yx", AxisPlacement(0.5, 0, "micrometer"))}
    >>> in_one_unit(stack)["z"]
    AxisPlacement(scale=2.0, translation=0.0, unit='micrometer')
    """
    found = dict(placements)
    if "y" in found and "x" in found:
        found["y"], found["x"] = plane_placements(found["y"], found["x"])
        found = {axis: placement.in_unit(found["x"].unit) or placement for axis, placement in found.items()}
    return {axis: placement for axis, placement in found.items() if placement.is_valid}


def ngff_axes(axes: str, placements: Mapping[str, AxisPlacement]) -> list[dict[str, str]]:
    """Return NGFF's description of axes."""
    described = []
    for name in axes:
        kind, unit = _TYPES.get(name, "space"), placements[name].unit
        axis = {"name": name, "type": kind}
        described.append(axis | ({"unit": unit} if unit is not None and unit_kind(unit) == kind else {}))
    return described


def ngff_transformations(placements: Sequence[AxisPlacement]) -> list[JsonObject]:
    """Return NGFF's scale and, unless it is zero, translation of a scale level."""
    transformations: list[JsonObject] = [{"type": "scale", "scale": [float(p.scale) for p in placements]}]
    shift = [float(p.translation) for p in placements]
    return [*transformations, {"type": "translation", "translation": shift}] if any(shift) else transformations


def ngff_datasets(placements: Sequence[AxisPlacement], count: int) -> list[JsonObject]:
    """Return NGFF's description of the scale levels of labels, of which each has every second pixel of the last one.

    Parameters
    ----------
    placements : sequence of AxisPlacement
        Of the axes of level 0, y and x last.
    count : int
        Number of levels.
    """
    leading, plane = placements[:-2], placements[-2:]
    return [
        {
            "path": str(k),
            "coordinateTransformations": ngff_transformations(
                [*leading, *(replace(p, scale=p.scale * 2**k) for p in plane)]  # every 2**k-th pixel: no shift
            ),
        }
        for k in range(count)
    ]


def placements_as_json(placements: Sequence[AxisPlacement]) -> list[JsonObject]:
    """Return placements as the journal of a label store keeps them."""
    return [{"scale": p.scale, "translation": p.translation, "unit": p.unit} for p in placements]


def placements_from_json(listed: Sequence[Mapping[str, Any]]) -> tuple[AxisPlacement, ...]:
    """Return the placements that `placements_as_json` made."""
    return tuple(
        AxisPlacement(float(p["scale"]), float(p["translation"]), None if p["unit"] is None else str(p["unit"]))
        for p in listed
    )
