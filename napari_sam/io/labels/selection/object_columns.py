"""Columns of the objects of a store that a filter can name; values are measured only if it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.rows import TableRow
from napari_sam.io.labels.measurement.measure import measure, open_fitting
from napari_sam.io.labels.measurement.measured_table import physical_columns
from napari_sam.io.labels.measurement.properties import INTENSITY, PROPERTIES
from napari_sam.io.labels.selection.expression import Expression, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.labels.reading.store_view import StoreView
    from napari_sam.io.labels.selection.expression import Column

_TEXT = ("category", "model", "plane")
_BASIC = ("label", "area_px", "y0", "x0", "y1", "x1", "predicted_iou", "stability_score", "n_planes", "parent")
_SUMMED = ("area",)
_EXTREMES = {"min": ("y0", "x0", "intensity_min"), "max": ("y1", "x1", "intensity_max")}


class ObjectColumns:
    """Columns of objects by name, computed when they are first asked for.

    An object on several planes of a stack has one value: areas are summed over its planes, boxes and extremes are of
    all of them, and other measured values are means over its planes, weighted by area.

    Parameters
    ----------
    store : LabelStore
        The objects.
    image : optional
        Whatever `open_image` opens, for intensities.
    cancelled : callable, optional
        Called while values are measured, which stops when it returns True.
    """

    def __init__(self, store: StoreView, image: Any = None, cancelled: Callable[[], bool] | None = None) -> None:
        self._store, self._image, self._cancelled = store, image, cancelled
        self._rows = pd.DataFrame(store.journal.objects.table(), columns=list(TableRow._fields))
        self._columns: dict[str, Column] = self._table_columns()

    @property
    def labels(self) -> list[int]:
        """Ids of the objects, ascending."""
        return [int(label) for label in self._rows["label"]]

    def of(self, expression: Expression) -> dict[str, Column]:
        """Return the columns that an expression names; raises LabelsError if one is unknown."""
        missing = expression.names - self._columns.keys()
        if missing and not self._measured_for(missing, expression.text):
            raise unknown_name(expression.text, min(missing), self._columns)
        return {name: self._columns[name] for name in expression.names}

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return the values of a column, one for each object; NaN where it has none.

        Raises
        ------
        LabelsError
            If there is no such column, or it holds text.
        """
        values = self.of(Expression(name)).get(name)
        if values is None or values.dtype == object:
            remedy = "give one, such as area_px"
            raise LabelsError(f"{name!r} is no column of numbers", parameter="name", remedy=remedy)
        return values.astype(np.float64)

    def in_units(self, names: Sequence[str]) -> list[tuple[str, NDArray[np.float64]]]:
        """Return columns of numbers, with those in pixels in the unit of the image where it has one.

        Parameters
        ----------
        names : sequence of str
            Columns; they are measured together.

        Returns
        -------
        list of (str, ndarray)
            For each name that of the column, such as "area_um2" for "area_px", and its values.

        Raises
        ------
        LabelsError
            If there is no such column, or it holds text.
        """
        missing = {name for name in names if name not in self._columns or name.endswith("_px")}
        if missing:
            self._measured_for(missing, ", ".join(names))
        columns = [self._in_unit(name) for name in names]
        return [(column, self.numbers(column)) for column in columns]

    def _in_unit(self, name: str) -> str:
        stem = name.removesuffix("_px")
        others = (other for other in self._columns if other.startswith(f"{stem}_") and other != name)
        return next(others, name) if stem != name else name

    def names(self) -> list[str]:
        """Return the names of the columns that need no measurement."""
        return list(self._columns)

    def _table_columns(self) -> dict[str, Column]:
        rows = self._rows
        columns: dict[str, Column] = {name: rows[name].to_numpy(np.float64, na_value=np.nan) for name in _BASIC}
        columns |= {name: _texts(rows[name]) for name in _TEXT}
        height, width = self._store.shape[-2:]
        box = {name: columns[name] for name in ("y0", "x0", "y1", "x1")}
        columns["height_px"] = np.subtract(box["y1"], box["y0"])
        columns["width_px"] = np.subtract(box["x1"], box["x0"])
        columns["touches_border"] = (box["y0"] == 0) | (box["x0"] == 0) | (box["y1"] == height) | (box["x1"] == width)
        reviewed = np.array(sorted(self._store.journal.reviews.reviewed()), np.float64)
        columns["reviewed"] = np.isin(columns["label"], reviewed)
        return columns

    def _measured_for(self, names: Iterable[str], text: str) -> bool:
        """Measure what the names need; returns whether all of them are columns then."""
        wanted = [prop for prop in PROPERTIES if any(_belongs(name, prop) for name in names)]
        needs_image = [prop for prop in wanted if prop in INTENSITY and self._image is None]
        if needs_image:
            name = min(name for name in names if name not in self._columns and _belongs(name, needs_image[0]))
            raise unknown_name(text, name, self._columns, "; intensities need the image as {image}")
        if not wanted:
            return False
        if wanted == ["area"]:
            table = self._areas()
        else:
            properties = list(dict.fromkeys(["area", *wanted]))
            table = measure(self._store, self._image, properties, cancelled=self._cancelled)
        self._columns |= {name: values for name, values in _per_object(table).items() if name not in self._columns}
        for prop in INTENSITY:  # of an image with one channel, that channel need not be named
            channels = [name for name in self._columns if name.startswith(f"{prop}_")]
            if len(channels) == 1:
                self._columns.setdefault(prop, self._columns[channels[0]])
        return set(names) <= self._columns.keys()

    def _areas(self) -> pd.DataFrame:
        """Return areas in all units, for which no pixel need be read."""
        rows = pd.DataFrame(self._store.journal.objects.table_of_planes(), columns=list(TableRow._fields))
        table = rows[["label", "plane", "area_px"]]
        image = None if self._image is None else open_fitting(self._image, self._store)
        table = table.assign(**physical_columns(table, self._store, image))
        return table if len(self._store.shape) > 2 else table.drop(columns="plane")


def _texts(column: pd.Series) -> Column:
    """Return text with None for missing values, which pandas may keep as NaN."""
    return np.array([value if isinstance(value, str) else None for value in column], object)


def _belongs(name: str, prop: str) -> bool:
    """Whether measuring a property gives a column of this name, whatever its unit or channel."""
    return name == prop or name.startswith(f"{prop}_")


def _per_object(table: pd.DataFrame) -> dict[str, Column]:
    """Return one value per object of each measured number, by name, from one row for each of its planes."""
    numbers = table.select_dtypes("number")
    if "plane" not in table:
        return {str(name): numbers[name].to_numpy(np.float64) for name in numbers}
    weights = numbers["area_px"].to_numpy(np.float64)
    groups = numbers.groupby("label", sort=True)
    weight = pd.Series(weights).groupby(numbers["label"], sort=True).sum().to_numpy()
    columns: dict[str, Column] = {}
    for name in map(str, numbers):
        if name.startswith(_SUMMED):
            values = groups[name].sum()
        elif any(name.startswith(prefix) for prefix in _EXTREMES["min"]):
            values = groups[name].min()
        elif any(name.startswith(prefix) for prefix in _EXTREMES["max"]):
            values = groups[name].max()
        elif name == "label":
            continue
        else:
            values = (numbers[name] * weights).groupby(numbers["label"], sort=True).sum() / weight
        columns[name] = values.to_numpy(np.float64)
    return columns
