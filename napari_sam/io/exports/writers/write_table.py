"""Write the object table with centroids, in pixels and in physical or map units, as CSV or Parquet."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_source import plane_text
from napari_sam.io.exports.object_measurements import WHOLE_COLUMNS, ObjectMeasurements
from napari_sam.io.table_cells import plain_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob

    Column = NDArray[Any] | list[str] | list[str | None]

_PAGE = 5000
_TEXT = ("plane", "category", "category_parent", "category_colour", "model")
_INTEGER = ("label", *WHOLE_COLUMNS)


def write_csv(job: ExportJob) -> None:
    """Write the table as CSV, ordered by label."""
    with job.partial.open("w", encoding="utf-8", newline="") as file:
        for i, page in enumerate(_pages(job)):
            plain_cells(page).to_csv(file, header=i == 0, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")


def write_parquet(job: ExportJob) -> None:
    """Write the table as Parquet, ordered by label.

    Raises
    ------
    LabelsError
        If pyarrow is not installed.
    """
    try:
        pa, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise LabelsError(
            f"{job.path}: Parquet needs pyarrow", remedy="run 'pip install pyarrow', or write .csv"
        ) from error
    writer = None
    try:
        for page in _pages(job):
            if writer is None:
                types = {**dict.fromkeys(_TEXT, pa.string()), **dict.fromkeys(_INTEGER, pa.int64())}
                types["created"] = pa.timestamp("us", tz="UTC")
                schema = pa.schema([(name, types.get(name, pa.float64())) for name in page.columns])
                writer = parquet.ParquetWriter(job.partial, schema)
            writer.write_table(pa.Table.from_pandas(page, schema=schema, preserve_index=False))
    finally:
        if writer is not None:
            writer.close()


def _pages(job: ExportJob) -> Iterator[pd.DataFrame]:
    """Return the table page by page, at least one; objects are measured in storage order and listed by label."""
    objects = job.sequence()
    measurements = ObjectMeasurements(job)
    measured = np.zeros((len(objects), len(measurements.names)))
    keys = np.zeros((len(objects), 2), np.int64)  # label, and number of the plane
    count = 0
    for obj, runs in objects:
        values = measurements.of(obj, runs)
        measured[count] = [values[name] for name in measurements.names]
        keys[count] = obj.label, _plane_number(job, obj.plane)
        count += 1
        job.step()
    order = np.lexsort([keys[:count, 1], keys[:count, 0]])
    for start in range(0, max(count, 1), _PAGE):
        page = order[start : start + _PAGE]
        yield _page(job, keys[page], dict(zip(measurements.names, measured[page].T, strict=True)))


def _plane_number(job: ExportJob, plane: tuple[int, ...]) -> int:
    """Return the number of a plane among all planes of a stack, in order."""
    return int(np.ravel_multi_index(plane, job.source.shape[:-2])) if plane else 0


def _page(job: ExportJob, keys: NDArray[np.int64], measured: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - slow to import

    ids = keys[:, 0]
    read = job.source.rows(np.unique(ids).tolist()) if len(ids) else ()
    rows = {(obj.label, _plane_number(job, obj.plane)): obj for obj in read}
    present = [i for i, key in enumerate(map(tuple, keys.tolist())) if key in rows]
    objects = [rows[int(keys[i, 0]), int(keys[i, 1])] for i in present]
    columns: dict[str, Column] = {"label": ids[present]}
    if len(job.source.shape) > 2:
        columns["plane"] = [plane_text(obj.plane) for obj in objects]
    columns["category"] = [obj.category for obj in objects]
    if job.classes:
        styles = [None if obj.category is None else job.classes[obj.category] for obj in objects]
        columns["category_parent"] = [None if style is None else style.parent for style in styles]
        columns["category_colour"] = [None if style is None else style.colour for style in styles]
    for name, values in measured.items():
        columns[name] = values[present].astype(np.int64) if name in WHOLE_COLUMNS else values[present]
    columns["predicted_iou"] = np.array([obj.predicted_iou for obj in objects], float)
    columns["stability_score"] = np.array([obj.stability_score for obj in objects], float)
    columns["model"] = [obj.model for obj in objects]
    created = np.array([1e6 * obj.created for obj in objects]).astype(np.int64)
    frame = pd.DataFrame(columns)
    frame["created"] = pd.to_datetime(created, unit="us", utc=True)
    return frame
