"""Properties that can be measured, and the sizes of the pieces that are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPE = ("area", "bbox", "centroid", "perimeter", "eccentricity", "orientation", "solidity", "equivalent_diameter")
INTENSITY = ("intensity_mean", "intensity_min", "intensity_max", "intensity_std")
PROPERTIES = (*SHAPE, *INTENSITY)
"""The properties that are measured by default."""
PIXEL_COLUMNS = {"area": "area_px", "perimeter": "perimeter_px", "equivalent_diameter_area": "equivalent_diameter_px"}
"""Column of each property of scikit-image that has a unit in its name."""


@dataclass(frozen=True)
class PieceSizes:
    """Sizes of the pieces that are read together.

    Attributes
    ----------
    exact_px : int
        Objects whose box has more pixels are read in pieces; their perimeter and solidity on a coarser level.
    cell_px : int
        Objects that begin in one cell of this side, and are not larger, are measured together.
    piece_px : int
        Side of the pieces of a large object.
    """

    exact_px: int = 1 << 24
    cell_px: int = 1024
    piece_px: int = 2048


def checked_properties(properties: Sequence[str], with_image: bool) -> list[str]:
    """Return the properties to measure, each once; intensities only with an image.

    Raises
    ------
    SettingsError
        If one does not exist, or there is none.
    """
    names = [properties] if isinstance(properties, str) else list(dict.fromkeys(properties))
    unknown = [name for name in names if name not in PROPERTIES]
    if unknown or not names:
        raise SettingsError(
            f"properties: {unknown[0] if unknown else ''!r} is unknown",
            parameter="properties",
            remedy=f"choose from {', '.join(PROPERTIES)}",
        )
    return [name for name in names if with_image or name not in INTENSITY]
