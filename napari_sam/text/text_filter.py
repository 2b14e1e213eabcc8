"""Conditions that a phrase names, such as "larger than 50 µm", as filter expressions and applied to masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.geo.ground_area import ground_area
from napari_sam.io.geo.units import conversion, normal_unit, unit_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

AREA, DIAMETER, BORDER = "area", "equivalent_diameter", "touches_border"
_SIGNIFICANT = ".12g"
_TEST = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


class _PlacedImage(Protocol):
    """The part of an image that knows the size of its pixels."""

    @property
    def shape(self) -> tuple[int, int]: ...


@dataclass(frozen=True)
class PixelSize:
    """Size of the pixels of an image.

    Attributes
    ----------
    unit : str or None
        Name of the unit, such as "micrometer"; None if the size is unknown.
    area : float or None
        Area of a pixel, in the square of `unit`; None if it differs from place to place, as in degrees.
    shape : (int, int)
        Height and width of the image.
    """

    unit: str | None = None
    area: float | None = 1.0
    shape: tuple[int, int] = (0, 0)

    @classmethod
    def of_image(cls, image: _PlacedImage) -> PixelSize:
        """Return the size of an image's pixels, on the ground if the image lies on a map."""
        transform = getattr(image, "transform", None)
        if transform is not None:
            ground = ground_area(getattr(image, "crs", None), transform, image.shape)
            return cls(None, 1.0, image.shape) if ground is None else cls("meter", ground.pixel_area, image.shape)
        unit = normal_unit(getattr(image, "unit", None))
        scale = getattr(image, "scale", (1.0, 1.0))
        return cls(unit, float(scale[0] * scale[1]) if unit is not None else 1.0, image.shape)


@dataclass(frozen=True)
class SizeFilter:
    """A condition on the size of an object.

    Attributes
    ----------
    quantity : {"area", "equivalent_diameter"}
        What is compared.
    operator : {">", ">=", "<", "<="}
        How.
    value : float
        With what, in `unit` or its square.
    unit : str or None
        Name of a unit of length, such as "micrometer"; None for pixels.
    """

    quantity: str
    operator: str
    value: float
    unit: str | None = None

    def expression(self, pixel: PixelSize) -> str:
        """Return the condition as a filter expression of `LabelStore.select`.

        >>> SizeFilter("area", ">", 2.0, "millimeter").expression(PixelSize("micrometer", 0.25))
        'area_um2 > 2000000'
        """
        if self.unit is None:
            return f"{self.quantity}_px {self.operator} {self.value:{_SIGNIFICANT}}"
        suffix = unit_suffix(str(pixel.unit))
        name = f"area_{suffix}2" if self.quantity == AREA else f"{self.quantity}_{suffix}"
        return f"{name} {self.operator} {self._in_unit_of(pixel):{_SIGNIFICANT}}"

    def keep(self, boxes: NDArray[np.int64], areas_px: NDArray[np.float64], pixel: PixelSize) -> NDArray[np.bool_]:
        """Return for each object (n,) whether it meets the condition.

        Parameters
        ----------
        boxes : ndarray of int
            (n, 4), level-0 pixels.
        areas_px : ndarray of float
            (n,) numbers of level-0 pixels.
        pixel : PixelSize
            Size of a pixel.
        """
        areas = areas_px.astype(np.float64)
        value = self.value
        if self.unit is not None:
            value = self._in_unit_of(pixel)
            if pixel.area is None:
                raise PromptError(
                    f"text: sizes in {self.unit} need pixels of one size, and those of this image are in degrees",
                    parameter="text",
                    remedy="leave the size out, and select objects by it afterwards",
                )
            areas = areas * pixel.area
        values = areas if self.quantity == AREA else np.sqrt(4 * areas / math.pi)
        kept: NDArray[np.bool_] = _TEST[self.operator](values, value)
        return kept

    def _in_unit_of(self, pixel: PixelSize) -> float:
        """Return the value in the unit of the image.

        Raises
        ------
        PromptError
            If the image has no pixel size, or one in a unit that cannot be compared.
        """
        factor = None if pixel.unit is None else conversion(self.unit, pixel.unit)
        if factor is None:
            known = "has no pixel size" if pixel.unit is None else f"has a pixel size in {pixel.unit}"
            raise PromptError(
                f"text: a size of {self.value:g} {self.unit}, but the image {known}",
                parameter="text",
                remedy="give the size in px",
            )
        return self.value * (factor**2 if self.quantity == AREA else factor)


@dataclass(frozen=True)
class BorderFilter:
    """The condition that an object touches the border of the image, or does not."""

    touches: bool

    def expression(self, pixel: PixelSize) -> str:
        """Return the condition as a filter expression of `LabelStore.select`."""
        return BORDER if self.touches else f"not {BORDER}"

    def keep(self, boxes: NDArray[np.int64], areas_px: NDArray[np.float64], pixel: PixelSize) -> NDArray[np.bool_]:
        """Return for each object (n,) whether it meets the condition; parameters as in `SizeFilter.keep`."""
        beyond = np.concatenate([boxes[:, :2] <= 0, boxes[:, 2:] >= np.array(pixel.shape)], axis=1)
        at_border: NDArray[np.bool_] = np.any(beyond, axis=1)
        return at_border if self.touches else ~at_border


TextFilter = SizeFilter | BorderFilter


def expression_of(filters: Sequence[TextFilter], pixel: PixelSize) -> str | None:
    """Return all conditions as one filter expression; None without any."""
    return " and ".join(condition.expression(pixel) for condition in filters) or None


def kept_by(
    filters: Sequence[TextFilter], boxes: NDArray[np.int64], areas_px: NDArray[np.float64], pixel: PixelSize
) -> NDArray[np.bool_]:
    """Return for each object (n,) whether it meets all conditions; parameters as in `SizeFilter.keep`."""
    kept = np.ones(len(boxes), bool)
    for condition in filters:
        kept &= condition.keep(boxes, areas_px, pixel)
    return kept
