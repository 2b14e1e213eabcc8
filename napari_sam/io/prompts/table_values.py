"""Numbers and names in the cells of a table, whatever a user's file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

_LARGEST = 1 << 1000  # largest whole number that is converted to float


def column_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Return a column (rows,) as numbers; NaN where it holds none, infinity where no float can hold the number."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    finite = column.map(_finite_cell) if column.dtype == object or column.dtype.kind == "c" else column
    numbers: NDArray[np.float64] = pd.to_numeric(finite, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return numbers


def numbers_of(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Return columns as numbers, (rows, names)."""
    return np.stack([column_numbers(frame[name]) for name in names], axis=1)


def invalid_names(column: pd.Series) -> NDArray[np.bool_]:
    """Return for each cell (rows,) whether it cannot be a name, because it is a list or the like."""
    if column.dtype != object:
        return np.zeros(len(column), bool)
    return np.array([not _is_hashable(value) for value in column], bool)


def group_numbers(column: pd.Series) -> NDArray[np.int64]:
    """Return the group (rows,) of each cell, numbered by first appearance; an empty cell is a group of its own."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    codes = pd.factorize(column, use_na_sentinel=True)[0].astype(np.int64)
    empty = codes < 0
    codes[empty] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(empty))
    groups: NDArray[np.int64] = pd.factorize(codes)[0].astype(np.int64)
    return groups


def texts_of(column: pd.Series, rows: NDArray[np.int64]) -> list[str | None]:
    """Return the cells of some rows as texts; None for empty ones."""
    known = column.notna().to_numpy()[rows].tolist()
    values = column.astype(object).to_numpy()[rows].tolist()
    return [str(value) if present else None for value, present in zip(values, known, strict=True)]


def _finite_cell(value: object) -> object:
    """Return infinity for a number that no float can hold, other cells unchanged."""
    beyond = isinstance(value, complex | np.complexfloating) or (isinstance(value, int) and abs(value) > _LARGEST)
    return np.inf if beyond else value


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
