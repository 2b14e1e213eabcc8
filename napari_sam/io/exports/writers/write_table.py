"""Write the object table with centroids, in pixels and in physical or map units, as CSV or Parquet."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.export_source import plane_text
from napari_sam.io.geo.map_coordinates import to_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.pixel_runs import PixelRuns

    Column = NDArray[Any] | list[str] | list[str | None]

_PAGE = 5000
_TEXT = ("plane", "category", "model")
_INTEGER = ("label", "area_px", "y0", "x0", "y1", "x1")


def write_csv(job: ExportJob) -> None:
    """Write the table as CSV, ordered by label."""
    with job.partial.open("w", encoding="utf-8", newline="") as file:
        for i, page in enumerate(_pages(job)):
            page.to_csv(file, header=i == 0, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")


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


def centroid(runs: PixelRuns) -> tuple[float, float]:
    """Return the mean (y, x) of an object's pixels; pixel centres are whole numbers.

    >>> from napari_sam.io.pixel_runs import PixelRuns
    >>> centroid(PixelRuns(*np.array([[3, 4], [7, 7], [9, 9]])))
    (3.5, 7.5)
    """
    lengths = runs.stop - runs.start
    area = lengths.sum()
    return float((runs.line * lengths).sum() / area), float(((runs.start + runs.stop - 1) * lengths).sum() / area / 2)


def _pages(job: ExportJob) -> Iterator[pd.DataFrame]:
    """Return the table page by page, at least one; objects are measured in storage order and listed by label."""
    objects = job.sequence()
    ids = objects.labels
    measured = np.zeros((len(ids), 7))  # area, y0, x0, y1, x1, centroid y, centroid x
    for obj, runs in objects:
        measured[np.searchsorted(ids, obj.label)] = [obj.area_px, *obj.box, *centroid(runs)]
        job.step()
    for start in range(0, max(len(ids), 1), _PAGE):
        yield _page(job, ids[start : start + _PAGE], measured[start : start + _PAGE])


def _page(job: ExportJob, ids: NDArray[np.int64], measured: NDArray[np.float64]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - slow to import

    rows = {obj.label: obj for obj in job.source.rows(ids.tolist())}
    present = [i for i, label in enumerate(ids.tolist()) if label in rows and measured[i, 0] > 0]
    objects = [rows[int(ids[i])] for i in present]
    measured = measured[present]
    columns: dict[str, Column] = {"label": ids[present]}
    if len(job.source.shape) > 2:
        columns["plane"] = [plane_text(obj.plane) for obj in objects]
    columns["category"] = [obj.category for obj in objects]
    columns |= {name: measured[:, i].astype(np.int64) for i, name in enumerate(_INTEGER[1:])}
    columns |= {"centroid_y_px": measured[:, 5], "centroid_x_px": measured[:, 6]}
    columns |= _physical_columns(job, measured)
    columns["predicted_iou"] = np.array([obj.predicted_iou for obj in objects], float)
    columns["stability_score"] = np.array([obj.stability_score for obj in objects], float)
    columns["model"] = [obj.model for obj in objects]
    created = np.array([1e6 * obj.created for obj in objects]).astype(np.int64)
    frame = pd.DataFrame(columns)
    frame["created"] = pd.to_datetime(created, unit="us", utc=True)
    return frame


def _physical_columns(job: ExportJob, measured: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return area and centroid in map or physical units, where the image has some."""
    area, y, x = measured[:, 0], measured[:, 5], measured[:, 6]
    transform = job.source.transform
    if job.crs is not None and transform is not None:
        a, b, _, d, e, _ = transform
        map_x, map_y = to_map(transform, x + 0.5, y + 0.5)
        return {"area_map": area * abs(a * e - b * d), "centroid_x_map": map_x, "centroid_y_map": map_y}
    unit = job.unit
    if unit is None:
        return {}
    sy, sx = job.source.scale
    square = unit if unit == "world" else f"{unit}2"
    return {f"area_{square}": area * sy * sx, f"centroid_y_{unit}": y * sy, f"centroid_x_{unit}": x * sx}
