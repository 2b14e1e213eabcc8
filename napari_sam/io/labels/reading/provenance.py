"""Table of how the objects of a label store came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.provenance_queries import ObjectSource

if TYPE_CHECKING:
    import pandas as pd

    from napari_sam.io.labels.journal.provenance_queries import ProvenanceQueries


def provenance_frame(provenance: ProvenanceQueries, with_plane: bool) -> pd.DataFrame:
    """Return how each object came, one row for each.

    Parameters
    ----------
    provenance : ProvenanceQueries
        Queries of a journal.
    with_plane : bool
        Whether the store has leading axes: with the column ``plane``.

    Returns
    -------
    pandas.DataFrame
        Columns of `ObjectSource`; ``seconds`` that people took, with corrections; ``accepted_by`` and ``accepted``,
        the last review. What is not known is missing.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    seconds, verdicts = provenance.seconds(), provenance.accepted()
    rows = []
    for source in provenance.sources():
        verdict = verdicts.get(source.label)
        rows.append((*source, seconds.get(source.label), *(verdict or (None, None))))
    table = pd.DataFrame(rows, columns=[*ObjectSource._fields, "seconds", "accepted_by", "accepted"])
    for column in ("created", "accepted"):
        table[column] = pd.to_datetime(table[column].astype(float), unit="s", utc=True)
    table = table.astype({"predicted_iou": float, "seconds": float})
    return table if with_plane else table.drop(columns="plane")
