"""Colours of objects by their class or by a measured value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import ensure_colormap

from napari_sam.layers.objects.lookup_colormap import LookupColormap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

VALUE_COLORMAP = "viridis"
_VALUE_STEPS = 200
_MOST_CLASSES = 250  # classes beyond share the colours of the first ones
_PERCENTILES = (1.0, 99.0)
UNKNOWN = (0.55, 0.55, 0.55, 1.0)
"""Grey of objects without a class or value."""


def class_colormap(labels: ArrayLike, classes: Sequence[str | None], colours: Mapping[str, str]) -> LookupColormap:
    """Return the colormap that shows each object in the colour of its class.

    Parameters
    ----------
    labels : array of int
        (n,), the ids of the objects.
    classes : sequence of str or None
        Class of each; objects without one are grey.
    colours : mapping
        Colour of each class, "#rrggbb", by name.
    """
    # Many classes have fewer colours than a label image can be drawn with.
    distinct = list(dict.fromkeys(colours.values()))[:_MOST_CLASSES]
    number = {colour: index for index, colour in enumerate(distinct)}
    index = {
        name: number.get(colour, position % _MOST_CLASSES) for position, (name, colour) in enumerate(colours.items())
    }
    indices = np.fromiter((index.get(name, -1) if name is not None else -1 for name in classes), np.int64)
    return LookupColormap.of(labels, indices, np.array([_rgba(c) for c in distinct]), UNKNOWN)


def value_colormap(labels: ArrayLike, values: ArrayLike) -> tuple[LookupColormap, tuple[float, float] | None]:
    """Return the colormap that shows each object by a measured value, and the values of the first and last colour.

    The colours span the values from the 1st to the 99th percentile, so that one outlier does not make all others
    alike; the range is None if no object has a value.

    Parameters
    ----------
    labels : array of int
        (n,), the ids of the objects.
    values : array of float
        (n,), their values; NaN for unknown, which is shown in grey.
    """
    numbers = np.asarray(values, dtype=float)
    known = np.isfinite(numbers)
    colours = ensure_colormap(VALUE_COLORMAP).map(np.linspace(0, 1, _VALUE_STEPS))
    indices = np.full(len(numbers), -1, np.int64)
    if not known.any():
        return LookupColormap.of(labels, indices, colours, UNKNOWN), None
    low, high = (float(v) for v in np.percentile(numbers[known], _PERCENTILES))
    share = (numbers[known] - low) / (high - low) if high > low else np.full(int(known.sum()), 0.5)
    indices[known] = np.round(np.clip(share, 0, 1) * (_VALUE_STEPS - 1)).astype(np.int64)
    return LookupColormap.of(labels, indices, colours, UNKNOWN), (low, high)


def _rgba(colour: str) -> NDArray[np.float64]:
    """Return RGBA in 0..1 of a colour "#rrggbb"."""
    return np.array([*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0])
