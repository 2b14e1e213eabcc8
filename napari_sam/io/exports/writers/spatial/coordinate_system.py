"""SpatialData's coordinate system "global": where pixels lie in units or on the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_source import ExportSource
    from napari_sam.io.json_types import JsonObject

_NAME, _NO_UNIT = "global", "unit"


@dataclass(frozen=True)
class CoordinateSystem:
    """An affine from pixels to the coordinate system.

    SpatialData counts pixels from their corners: the centre of the first one is at 0.5.

    Attributes
    ----------
    axes : str
        Names of the axes, as the labels have them.
    matrix : ndarray of float64
        (n, n + 1) rows of the affine, in the order of the axes.
    unit : str or None
        Unit of the coordinates, such as "micrometer".
    """

    axes: str
    matrix: NDArray[np.float64]
    unit: str | None

    @classmethod
    def of(cls, source: ExportSource) -> CoordinateSystem:
        """Return map coordinates where the image has them, else its pixel size and position."""
        axes = source.axes
        placements = [source.placement(axis) for axis in axes]
        matrix = np.column_stack(
            [np.diag([p.scale for p in placements]), np.array([p.translation for p in placements], float)]
        )
        if source.transform is None:
            return cls(axes, matrix, placements[-1].unit)
        a, b, c, d, e, f = source.transform
        matrix[-2:] = 0
        matrix[-2:, -3:] = [[e, d, f], [b, a, c]]  # rows and columns in the order y, x
        return cls(axes, matrix, None)

    def transformation(self, axes: str) -> JsonObject:
        """Return the affine as SpatialData keeps it, for an element with these axes in their order."""
        order = [self.axes.index(axis) for axis in axes]
        matrix = self.matrix[np.ix_(order, [*order, len(self.axes)])]
        return {
            "type": "affine",
            "affine": matrix.tolist(),
            "input": {"name": axes, "axes": _described(axes, None)},
            "output": {"name": _NAME, "axes": _described(axes, self.unit)},
        }

    def positions(self, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, k) positions, in the order x, y, z, of (n, k) centroids; pixel centres are whole numbers there."""
        located = (centroids + 0.5) @ self.matrix[:, :-1].T + self.matrix[:, -1]
        return np.ascontiguousarray(located[:, ::-1])


def _described(axes: str, unit: str | None) -> list[JsonObject]:
    return [{"name": axis, "type": "space", "unit": unit or _NO_UNIT} for axis in axes]
