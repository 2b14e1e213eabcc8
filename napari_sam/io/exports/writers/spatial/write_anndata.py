"""Write a table in AnnData's published format for zarr: a matrix, and columns of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.json_types import JsonObject

    Notes = Mapping[str, "str | list[str] | Notes"]

_CHUNK_ROWS = 1 << 16
_LARGEST_CODES = ((np.iinfo(np.int8).max, np.int8), (np.iinfo(np.int16).max, np.int16))


@dataclass(frozen=True)
class Categories:
    """A column of texts that repeat.

    Attributes
    ----------
    names : list of str
        The texts, sorted.
    codes : ndarray of int
        (n,) index of each row's text; -1 without one.
    """

    names: list[str]
    codes: NDArray[np.signedinteger[Any]]

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> Categories:
        """Return the texts of all rows, None where there is none.

        >>> Categories.of(["b", None, "a"]).codes.tolist()
        [1, -1, 0]
        """
        names = sorted({text for text in texts if text is not None})
        numbers: dict[str | None, int] = {None: -1, **{name: k for k, name in enumerate(names)}}
        kind = next((kind for most, kind in _LARGEST_CODES if len(names) <= most), np.int32)
        return cls(names, np.array([numbers[text] for text in texts], kind))


@dataclass(frozen=True)
class AnnDataTable:
    """A table of n rows, an AnnData object.

    Attributes
    ----------
    names : list of str
        Names of the rows.
    columns : dict
        Columns of the rows by name: (n,) numbers, a list of texts, or `Categories`.
    variables : list of str
        Names of the k columns of the matrix.
    values : ndarray of float64
        (n, k) matrix.
    positions : dict of str to ndarray
        (n, m) arrays that belong to the rows.
    notes : dict
        Texts, lists of texts, and further dictionaries of them.
    """

    names: list[str]
    columns: dict[str, NDArray[Any] | list[str] | Categories]
    variables: list[str]
    values: NDArray[np.float64]
    positions: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)


def write_anndata(folder: Path, table: AnnDataTable, attributes: JsonObject) -> None:
    """Write a table as a zarr group with further attributes."""
    root = zarr.create_group(folder, zarr_format=3, attributes={**_encoding("anndata", "0.1.0"), **attributes})
    _write_array(root, "X", table.values)
    _write_frame(root, "obs", table.names, table.columns)
    _write_frame(root, "var", table.variables, {})
    obsm = _write_notes(root, "obsm", {})
    for name, values in table.positions.items():
        _write_array(obsm, name, values)
    for name in ("varm", "obsp", "varp", "layers"):
        _write_notes(root, name, {})
    _write_notes(root, "uns", table.notes)


def _write_frame(
    parent: zarr.Group, name: str, index: list[str], columns: Mapping[str, NDArray[Any] | list[str] | Categories]
) -> None:
    encoding = {**_encoding("dataframe", "0.2.0"), "_index": "_index", "column-order": list(columns)}
    group = parent.create_group(name, attributes=encoding)
    _write_texts(group, "_index", index)
    for column, values in columns.items():
        if isinstance(values, Categories):
            coded = group.create_group(column, attributes={**_encoding("categorical", "0.2.0"), "ordered": False})
            _write_texts(coded, "categories", values.names)
            _write_array(coded, "codes", values.codes)
        elif isinstance(values, list):
            _write_texts(group, column, values)
        else:
            _write_array(group, column, values)


def _write_notes(parent: zarr.Group, name: str, notes: Notes) -> zarr.Group:
    group = parent.create_group(name, attributes=_encoding("dict", "0.1.0"))
    for key, value in notes.items():
        if isinstance(value, str):
            text = group.create_array(key, shape=(), dtype=str, attributes=_encoding("string", "0.2.0"))
            text[...] = value
        elif isinstance(value, list):
            _write_texts(group, key, value)
        else:
            _write_notes(group, key, value)
    return group


def _write_array(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    _create(group, name, values, values.dtype, "array")


def _write_texts(group: zarr.Group, name: str, texts: list[str]) -> None:
    _create(group, name, np.array(texts, np.dtypes.StringDType()), str, "string-array")


def _create(group: zarr.Group, name: str, values: NDArray[Any], dtype: Any, kind: str) -> None:
    chunks = tuple(max(1, n) for n in (min(_CHUNK_ROWS, values.shape[0]), *values.shape[1:]))
    array = group.create_array(
        name, shape=values.shape, dtype=dtype, chunks=chunks, attributes=_encoding(kind, "0.2.0")
    )
    if values.size:
        array[...] = values


def _encoding(kind: str, version: str) -> JsonObject:
    return {"encoding-type": kind, "encoding-version": version}
