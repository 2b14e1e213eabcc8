"""Values of objects for a plot, and which of them lie in an area of it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.engine_thread import IsCancelled

_FEWEST_BINS, _MOST_BINS = 8, 80


@dataclass(frozen=True)
class PlotValues:
    """One or two values of each object.

    Attributes
    ----------
    labels : ndarray of int64
        (n,) ids, ascending.
    columns : tuple of str
        Names of the values, with their units.
    values : ndarray of float64
        (k, n) values, k = 1 for a histogram and 2 for a scatter plot; all are finite.
    missing : int
        Number of objects that are left out because they lack a value.
    """

    labels: NDArray[np.int64]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    missing: int = 0

    @classmethod
    def of(cls, labels: Iterable[int], columns: Sequence[tuple[str, NDArray[np.float64]]]) -> PlotValues:
        """Keep the objects that have all values."""
        ids = np.fromiter(labels, np.int64)
        values = np.array([column for _, column in columns], float).reshape(len(columns), len(ids))
        kept = np.isfinite(values).all(axis=0)
        return cls(ids[kept], tuple(name for name, _ in columns), values[:, kept], int((~kept).sum()))

    def positive(self) -> PlotValues:
        """Return the objects whose values are all above zero, which logarithmic axes can show."""
        kept = (self.values > 0).all(axis=0)
        missing = self.missing + int((~kept).sum())
        return PlotValues(self.labels[kept], self.columns, self.values[:, kept], missing)

    def are_selected(self, labels: Iterable[int]) -> NDArray[np.bool_]:
        """Return which objects, (n,), are among some ids."""
        return np.isin(self.labels, np.fromiter(labels, np.int64))


def read_values(
    store: LabelStore, image: Image | None, names: tuple[str, ...], cancelled: IsCancelled
) -> PlotValues | NapariSamError:
    """Read and measure the values of all objects, in physical units where the image has a pixel size.

    An error is returned, so that the plot can show it.
    """
    from napari_sam.io.labels.selection.object_columns import ObjectColumns  # noqa: PLC0415 - slow to import

    try:
        import_matplotlib()
        columns = ObjectColumns(store, image, cancelled)
        return PlotValues.of(columns.labels, columns.in_units(names))
    except NapariSamError as error:
        return error


def import_matplotlib() -> None:
    """Import what draws plots, which is slow: in the engine's thread, so that the window stays usable meanwhile.

    Raises
    ------
    NapariSamError
        If matplotlib is not installed.
    """
    try:
        for module in ("figure", "backends.backend_qtagg"):  # the second does not import the first
            import_module(f"matplotlib.{module}")
        fonts = import_module("matplotlib.font_manager")
    except ImportError as error:
        remedy = "install it with: pip install 'matplotlib>=3.9'"
        raise NapariSamError(f"plots need matplotlib, which cannot be imported ({error})", remedy=remedy) from error
    fonts.findfont(fonts.FontProperties())  # reads the list of fonts


def bin_edges(values: NDArray[np.float64], *, is_log: bool) -> NDArray[np.float64]:
    """Return edges of the bars of a histogram: about as many as the square root of the number of values.

    >>> bin_edges(np.array([1.0, 100.0]), is_log=True)[[0, 4, 8]].round(6).tolist()
    [1.0, 10.0, 100.0]
    """
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = (low / 2, high * 2) if is_log else (low - 0.5, high + 0.5)
    count = int(np.clip(np.sqrt(len(values)), _FEWEST_BINS, _MOST_BINS))
    edges = np.geomspace(low, high, count + 1) if is_log else np.linspace(low, high, count + 1)
    edges[0], edges[-1] = low, high  # geomspace may round them inwards
    return edges


def describe(values: NDArray[np.float64]) -> str:
    """Return median, mean and standard deviation of values; empty without any.

    >>> describe(np.array([1.0, 2.0, 6.0]))
    'median 2, mean 3 ± 2.16'
    """
    if not len(values):
        return ""
    return f"median {np.median(values):.4g}, mean {values.mean():.4g} ± {values.std():.3g}"
