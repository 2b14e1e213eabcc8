"""Queries of how objects came: who made each, in which stage, and how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_sam.io.labels.journal.row_values import number, optional_number, optional_text, text, whole
from napari_sam.io.labels.journal.schema import VERDICT_LABEL
from napari_sam.io.labels.journal.stage_names import ASSISTED, AUTOMATIC, EDITED, IMPORTED, MANUAL

if TYPE_CHECKING:
    from napari_sam.io.labels.journal._database import Database

_STAGES = {"commit": ASSISTED, "everything": AUTOMATIC, "split": EDITED, "relabel": EDITED, "recovered": EDITED}
STAGE = (
    "coalesce(json_extract(record, '$.stage'), CASE kind "
    + " ".join(f"WHEN '{kind}' THEN '{stage}'" for kind, stage in _STAGES.items())
    + f" WHEN 'commits' THEN CASE WHEN run_id IS NULL THEN '{IMPORTED}' ELSE '{AUTOMATIC}' END ELSE '{MANUAL}' END)"
)
"""SQL of the stage of an object, from the change that made it: columns of ``ops``."""
_PROMPTS = "coalesce(json_array_length(record, '$.prompt.points'), 0) + (json_type(record, '$.prompt.box') IS NOT NULL)"


class ObjectSource(NamedTuple):
    """How an object came.

    Attributes
    ----------
    label : int
        Id of the object.
    plane : str
        Index along the leading axes of its first plane.
    stage : str
        "manual", "assisted", "semi-automatic", "automatic", "imported" or "edited".
    by : str or None
        Who made it, or began the run that did.
    created : float
        Seconds since 1970.
    model : str or None
        Model that segmented it.
    predicted_iou : float or None
        Score of the model.
    prompts : int
        Points and boxes that a person gave.
    """

    label: int
    plane: str
    stage: str
    by: str | None
    created: float
    model: str | None
    predicted_iou: float | None
    prompts: int


class Verdict(NamedTuple):
    """A person accepted an object in a review."""

    by: str | None
    time: float


class ProvenanceQueries:
    """Queries of how objects came; a part of `Journal`.

    Parameters
    ----------
    database : Database
        The file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def sources(self) -> list[ObjectSource]:
        """Return how each object came, by label."""
        sql = (
            f"SELECT label, plane, {STAGE}, json_extract(record, '$.by'), created, model, predicted_iou, {_PROMPTS} "  # noqa: S608
            "FROM objects JOIN ops ON ops.id = objects.op ORDER BY label"
        )
        return self._database.read(_source, sql)

    def seconds(self) -> dict[int, float]:
        """Return the seconds that people took for objects that they prompted, with corrections, by label."""
        sql = (
            f"SELECT {VERDICT_LABEL} AS committed, sum(json_extract(record, '$.seconds')) FROM ops "  # noqa: S608
            "WHERE kind = 'commit' AND state = 'done' AND json_extract(record, '$.seconds') IS NOT NULL "
            "AND committed IN (SELECT label FROM objects) GROUP BY committed"
        )
        return dict(self._database.read(lambda label, seconds: (whole(label), number(seconds)), sql))

    def accepted(self) -> dict[int, Verdict]:
        """Return who accepted objects in a review last, and when, by label."""
        sql = (
            f"SELECT label, json_extract(record, '$.by'), time FROM ops JOIN objects ON label = {VERDICT_LABEL} "  # noqa: S608
            "WHERE state = 'done' AND kind = 'review' AND ops.id >= objects.op ORDER BY ops.id"
        )
        return dict(
            self._database.read(lambda label, by, time: (whole(label), Verdict(optional_text(by), number(time))), sql)
        )


def _source(*row: object) -> ObjectSource:
    label, plane, stage, by, created, model, score, prompts = row
    return ObjectSource(
        whole(label),
        text(plane),
        text(stage),
        optional_text(by),
        number(created),
        optional_text(model),
        optional_number(score),
        whole(prompts),
    )
