"""The planes of a stack along one axis, each as an image with all its scale levels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.errors import ImageError
from napari_sam.io.geo.axis_placement import in_one_unit
from napari_sam.io.images.address import swapped_axes
from napari_sam.io.images.open_image import completed
from src_models.lru import LRU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.normalisation import Normalisation
    from napari_sam.io.images.lazy_image import Image

_TIME = "t"
_MOST_SPACING = 50.0  # pixels between planes: more, or its inverse, is taken for a wrong unit
_SAMPLED_PLANES = 5
_SAMPLE_PX = 1 << 21  # of each
_OPEN_PLANES = 16
_PREFERRED = "zt"


class ImageStack:
    """A stack along one of the leading axes of an image; a `PlaneSource`.

    Parameters
    ----------
    image : Image
        The image; its plane says where the stack lies along the other leading axes.
    axis : str, optional
        Name of the axis, such as "z" or "t"; by default the only one with several planes, or z.

    Raises
    ------
    ImageError
        If the image has no such axis, or several of which none is called z.
    """

    def __init__(self, image: Image, axis: str | None = None) -> None:
        self.image = image
        self.axis = _choose_axis(image, axis)
        self.position = list(image.plane_axes).index(self.axis)
        self._planes: LRU[int, Image] = LRU(limit_count=_OPEN_PLANES)

    @property
    def count(self) -> int:
        """Number of planes along the axis."""
        return self.image.plane_axes[self.axis]

    @property
    def current(self) -> int:
        """Index of the plane that the image shows."""
        return self.image.plane[self.position]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a plane, level-0 pixels."""
        return self.image.shape

    @property
    def spacing(self) -> float | None:
        """Distance of planes over the size of a pixel; None along time, or where it is missing or absurd."""
        if self.axis == _TIME:
            return None
        placements = in_one_unit({a: self.image.placement(a) for a in (self.axis, "y", "x")})
        if len(placements) < 3:
            return None
        z, y, x = (placements[a] for a in (self.axis, "y", "x"))
        if z.unit != x.unit:
            return None
        ratio = z.scale / math.sqrt(y.scale * x.scale)
        return ratio if 1 / _MOST_SPACING <= ratio <= _MOST_SPACING else None

    def leading(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along all leading axes."""
        index = list(self.image.plane)
        index[self.position] = plane
        return tuple(index)

    def plane(self, index: int) -> Image:
        """Return the image of a plane, with all its scale levels.

        Raises
        ------
        ImageError
            If there is no such plane.
        """
        if not 0 <= index < self.count:
            raise ImageError(
                f"plane {index}: {self.image.name} has planes 0 to {self.count - 1} along {self.axis}",
                parameter="plane",
                remedy="choose one of them",
            )
        if index == self.current:
            return self.image
        known = self._planes.get(index)
        if known is None:
            known = completed(self.image.with_plane(self.leading(index), self.image.selected))
            self._planes.put(index, known)
        return known

    def normalisation(self) -> Normalisation:
        """Choose one normalisation for all planes: from samples of some of them, where it depends on the pixels."""
        planes = sorted({round(i) for i in np.linspace(0, self.count - 1, _SAMPLED_PLANES)} | {self.current})

        def sample() -> NDArray[np.generic]:
            samples, problem = [], None
            for plane in planes:
                try:
                    samples.append(self.plane(plane).sample(_SAMPLE_PX))
                except ImageError as error:
                    problem = error
            if not samples and problem is not None:
                raise problem
            return np.concatenate(samples)

        return choose_normalisation(self.image, sample)


def _choose_axis(image: Image, axis: str | None) -> str:
    """Return the axis to follow."""
    sizes = image.plane_axes
    has = " x ".join(f"{n} planes along {a}" for a, n in sizes.items()) or "one plane only"
    if axis is not None:
        if axis not in sizes:
            swapped = swapped_axes(image.array_axes)
            rename = f"; or, if the file names its axes wrongly, give {{axes={swapped}}}" if axis in swapped else ""
            choose = f"follow them along {{axis={'}} or {{axis='.join(sizes)}}}{rename}"
            raise ImageError(
                f"axis is {axis!r}; {image.name} has {has}",
                parameter="axis",
                remedy=choose if sizes else "give a stack or a movie",
            )
        return axis
    long = [a for a, n in sizes.items() if n > 1] or list(sizes)
    if len(long) == 1:
        return long[0]
    preferred = next((a for a in _PREFERRED if a in long), None)
    if preferred is None:
        raise ImageError(
            f"{image.name} has {has}",
            remedy="choose with {axis}" if long else "give a stack or a movie, with its axes as {axes}, such as zyx",
        )
    return preferred
