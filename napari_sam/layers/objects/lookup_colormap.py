"""A colormap that gives each label one of a few colours, whatever the largest label.

napari's direct colormap takes a dictionary with an entry for each label, which takes seconds for many objects, and
without numba it refuses labels above 65536.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from pydantic import PrivateAttr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_COLOURS = 255
_LARGEST_TABLE = 1 << 24  # of larger labels only those that exist are kept, and searched for


class LookupColormap(CyclicLabelColormap):
    """Colour labels by a table of colour numbers; make one with `of`.

    Examples
    --------
    >>> colours = LookupColormap.of([3, 70_000], [1, 0], [[1, 0, 0, 1], [0, 1, 0, 1]], other=(0.5, 0.5, 0.5, 1))
    >>> colours.map(np.array([0, 3, 4, 70_000]))[:, 1].tolist()
    [0.0, 1.0, 0.5, 0.0]
    """

    _labels: NDArray[np.int64] = PrivateAttr()
    _numbers: NDArray[np.uint8] = PrivateAttr()

    @classmethod
    def of(
        cls, labels: ArrayLike, indices: ArrayLike, colours: ArrayLike, other: tuple[float, float, float, float]
    ) -> Self:
        """Return the colormap that shows each label in a colour.

        Parameters
        ----------
        labels : array of int
            (n,), the objects, in any order.
        indices : array of int
            (n,), index of the colour of each; a negative one stands for `other`.
        colours : array of float
            (k, 4), RGBA in 0..1, with at most `MOST_COLOURS` - 1 rows.
        other : tuple of float
            RGBA of all other objects.
        """
        rows = np.asarray(colours, dtype=float).reshape(-1, 4)
        if len(rows) >= MOST_COLOURS:
            raise ValueError(f"{len(rows)} colours, but a label image is drawn with {MOST_COLOURS - 1} at most")
        made = cls(colors=np.vstack([np.zeros(4), other, rows]))
        known = np.asarray(labels, dtype=np.int64)
        order = np.argsort(known)
        # Number 0 is the background, 1 `other`, and the colours follow.
        numbers = np.maximum(np.asarray(indices, dtype=np.int64) + 2, 1).astype(np.uint8)[order]
        known = known[order]
        if len(known) and known[-1] < _LARGEST_TABLE:
            table = np.ones(int(known[-1]) + 2, np.uint8)
            table[known] = numbers
            table[0] = 0
            known, numbers = np.zeros(0, np.int64), table
        made._labels, made._numbers = known, numbers
        return made

    def colour_numbers(self, values: ArrayLike) -> NDArray[np.uint8]:
        """Return the number of the colour of each label, of the same shape; 0 for the background."""
        labels = np.asarray(values)
        numbers: NDArray[np.uint8]
        if not len(self._numbers):
            numbers = np.asarray(labels != 0, dtype=np.uint8)
            return numbers
        if not len(self._labels):
            numbers = self._numbers[np.minimum(labels, len(self._numbers) - 1)]
            return numbers
        position = np.minimum(np.searchsorted(self._labels, labels), len(self._labels) - 1)
        known = np.where(self._labels[position] == labels, self._numbers[position], 1)
        numbers = np.asarray(np.where(labels == 0, 0, known), dtype=np.uint8)
        return numbers

    def _data_to_texture(self, values: NDArray[np.integer] | np.integer) -> NDArray[np.uint8] | np.integer:
        """Return what napari sends to the graphics card in place of the labels."""
        numbers = self.colour_numbers(values)
        return numbers if numbers.ndim else numbers[()]

    def map(self, values: ArrayLike) -> NDArray[np.float32]:
        """Return the RGBA colours of labels, (..., 4); of the selected label only, if napari shows just that one."""
        labels = np.asarray(values)
        mapped: NDArray[np.float32] = np.asarray(self.colors, dtype=np.float32)[self.colour_numbers(labels)]
        if self.use_selection:
            mapped[labels != self.selection] = 0
        return mapped
