"""Rows of the journal as pandas tables; pandas is slow to import, so only these functions import it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.rows import PLANE_COLUMNS, TableRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd

    from napari_sam.io.labels.journal.rows import JournaledChange, ObjectPlane, Plane


def object_frame(rows: Sequence[TableRow], with_plane: bool) -> pd.DataFrame:
    """Return the object table; with ``plane``, ``n_planes`` and ``parent`` only for stores with leading axes."""
    import pandas as pd  # noqa: PLC0415

    table = pd.DataFrame(rows, columns=list(TableRow._fields))
    table["created"] = pd.to_datetime(table["created"].astype(float), unit="s", utc=True)
    if not with_plane:
        return table.drop(columns=["plane", "n_planes", "parent"])
    return table.astype({"parent": "Int64"})


def plane_frame(parts: Sequence[ObjectPlane], propagated: Collection[Plane]) -> pd.DataFrame:
    """Return the planes of one object, one row for each: plane, area, box, score, and whether it was followed there."""
    import pandas as pd  # noqa: PLC0415

    rows = [(part.plane, part.area_px, *part.box, part.predicted_iou, part.plane in propagated) for part in parts]
    return pd.DataFrame(rows, columns=[*PLANE_COLUMNS[1:], "propagated"]).astype({"predicted_iou": float})


def change_frame(changes: Sequence[JournaledChange]) -> pd.DataFrame:
    """Return the history, one row for each change."""
    import pandas as pd  # noqa: PLC0415

    columns = ["op", "kind", "state", "time", "record"]
    rows = [(change.op, change.kind, change.state, change.time, change.record) for change in changes]
    table = pd.DataFrame(rows, columns=columns)
    table["time"] = pd.to_datetime(table["time"].astype(float), unit="s", utc=True)
    return table
