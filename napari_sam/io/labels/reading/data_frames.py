"""Rows of the journal as pandas tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from napari_sam.io.labels.journal.rows import TableRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.io.labels.journal.rows import JournaledChange


def object_frame(rows: Sequence[TableRow], with_plane: bool) -> pd.DataFrame:
    """Return the object table; with ``plane`` only for stores with leading axes."""
    table = pd.DataFrame(rows, columns=list(TableRow._fields))
    table["created"] = pd.to_datetime(table["created"].astype(float), unit="s", utc=True)
    return table if with_plane else table.drop(columns="plane")


def change_frame(changes: Sequence[JournaledChange]) -> pd.DataFrame:
    """Return the history, one row for each change."""
    columns = ["op", "kind", "state", "time", "record"]
    rows = [(change.op, change.kind, change.state, change.time, change.record) for change in changes]
    table = pd.DataFrame(rows, columns=columns)
    table["time"] = pd.to_datetime(table["time"].astype(float), unit="s", utc=True)
    return table
