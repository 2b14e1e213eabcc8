"""Names of the values of objects, as the user sees them."""

from __future__ import annotations

VALUES = {
    "area_px": "Area",
    "predicted_iou": "Score",
    "perimeter_px": "Perimeter",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "orientation": "Orientation",
}
"""Columns that are offered without asking for a name, and what they are called."""
TABLE_VALUES = ("area_px", "predicted_iou", "stability_score")
"""Columns that need no measuring."""
_MORE = {"stability_score": "Stability", "intensity_mean": "Mean intensity"}
_LENGTHS = {"nm": "nm", "um": "µm", "mm": "mm", "m": "m"}
_UNITS = {"px": "px", **_LENGTHS, **{f"{name}2": f"{unit}²" for name, unit in _LENGTHS.items()}}

PLOTTED = VALUES | _MORE
"""Columns that a plot offers; it can show all at once, so it also has those that are of little use as colours."""


def axis_title(column: str) -> str:
    """Return the title of a column of the object table, with its unit.

    >>> axis_title("area_um2"), axis_title("predicted_iou"), axis_title("intensity_mean_0")
    ('Area (µm²)', 'Score', 'intensity_mean_0')
    """
    stem, _, unit = column.rpartition("_")
    name = next((text for known, text in PLOTTED.items() if known in (column, f"{stem}_px")), column)
    return f"{name} ({_UNITS[unit]})" if unit in _UNITS and name != column else name
