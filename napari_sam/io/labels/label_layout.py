"""Shape and placement of a label image, and its NGFF metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.errors import StoreError
from napari_sam.io.geo.axis_placement import (
    AxisPlacement,
    ngff_axes,
    ngff_datasets,
    placements_as_json,
    placements_from_json,
)
from napari_sam.io.labels.level_checks import coarser_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.io.json_types import JsonObject

_COARSEST_PX = 1024  # longest side of the coarsest level
_NGFF = "0.5"


@dataclass(frozen=True)
class LabelLayout:
    """Shape of a label image and where its pixels lie.

    Attributes
    ----------
    shape : tuple of int
        Shape of level 0, (..., y, x).
    axes : str
        Names of the axes.
    placements : tuple of AxisPlacement
        Pixel size, position and unit along each axis.
    uri : str or None
        Path or URL of the image that the labels belong to.
    level_count : int or None
        Number of scale levels: as many as the image has, if the labels lie inside it, as NGFF requires. None for as
        many as a viewer needs.
    """

    shape: tuple[int, ...]
    axes: str
    placements: tuple[AxisPlacement, ...]
    uri: str | None = None
    level_count: int | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a pixel along y and x."""
        y, x = self.placements[-2:]
        return y.scale, x.scale

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the scale levels."""
        return level_shapes(self.shape, self.level_count)

    @classmethod
    def from_meta(cls, meta: Callable[[str], Any]) -> LabelLayout:
        """Return the layout that a journal keeps; version 0.1 kept the pixel size and unit of y and x only.

        Parameters
        ----------
        meta : callable
            Returns a fact of the journal by name, None if it is missing.
        """
        shape = tuple(int(n) for n in meta("shape"))
        listed = meta("placements")
        if listed is None:
            unit = meta("unit")
            plane = [AxisPlacement(float(s), 0.0, None if unit is None else str(unit)) for s in meta("scale")]
            placements = (*(AxisPlacement() for _ in shape[:-2]), *plane)
        else:
            placements = placements_from_json(listed)
            if len(placements) != len(shape):
                raise StoreError(
                    f"the journal is damaged: it has {len(placements)} placements for {len(shape)} axes",
                    remedy="restore it from a backup",
                )
        uri, count = (meta("image") or {}).get("uri"), meta("levels")
        uri = None if uri is None else str(uri)
        return cls(shape, str(meta("axes")), placements, uri, None if count is None else int(count))

    def meta(self) -> JsonObject:
        """Return the facts that a journal keeps of it."""
        return {
            "shape": list(self.shape),
            "scale": list(self.scale),
            "axes": self.axes,
            "placements": placements_as_json(self.placements),
            "levels": self.level_count,
        }

    def group_metadata(self, source: str | None) -> JsonObject:
        """Return the NGFF metadata of the zarr group.

        Parameters
        ----------
        source : str or None
            Path of the image, relative to the group.
        """
        by_axis: Mapping[str, AxisPlacement] = dict(zip(self.axes, self.placements, strict=True))
        multiscale = {
            "name": "labels",
            "axes": ngff_axes(self.axes, by_axis),
            "datasets": ngff_datasets(self.placements, len(self.level_shapes)),
            "type": "nearest",
        }
        ome = {
            "version": _NGFF,
            "multiscales": [multiscale],
            # Without colours, viewers choose them; ome-zarr-models does not accept that the list is missing.
            "image-label": {"colors": [], **({"source": {"image": source}} if source else {})},
        }
        return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}


def level_shapes(shape: tuple[int, ...], count: int | None = None) -> list[tuple[int, ...]]:
    """Return the shapes of the scale levels, of which y and x halve, rounded up.

    Parameters
    ----------
    shape : tuple of int
        Shape of level 0.
    count : int, optional
        Number of levels; by default as many as make the long side at most 1024 pixels.

    Examples
    --------
    >>> level_shapes((5000, 3001))
    [(5000, 3001), (2500, 1501), (1250, 751), (625, 376)]
    >>> level_shapes((5000, 3001), 2)
    [(5000, 3001), (2500, 1501)]
    """
    shapes = [shape]
    while max(shapes[-1][-2:]) > _COARSEST_PX if count is None else len(shapes) < count:
        shapes.append(coarser_shape(shapes[-1]))
    return shapes
