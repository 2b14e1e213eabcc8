"""The object table with centroids, in pixels and in what the pixels measure, as CSV or Parquet."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import Job
    from napari_sam.io.labels.object_reader import Runs

_PAGE = 5000
_TEXT = ("plane", "category", "model")
_WHOLE = ("label", "area_px", "y0", "x0", "y1", "x1")


def write_csv(job: Job) -> None:
    """Write the table as CSV, by label."""
    with job.partial.open("w", encoding="utf-8", newline="") as file:
        for i, page in enumerate(_pages(job)):
            page.to_csv(file, header=i == 0, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")


def write_parquet(job: Job) -> None:
    """Write the table as Parquet, by label.

    Raises
    ------
    LabelsError
        If pyarrow is missing.
    """
    try:
        pa, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise LabelsError(f"{job.path}: Parquet needs pyarrow; run 'pip install pyarrow', or write .csv") from error
    writer = None
    try:
        for page in _pages(job):
            if writer is None:
                kinds = {**dict.fromkeys(_TEXT, pa.string()), **dict.fromkeys(_WHOLE, pa.int64())}
                kinds["created"] = pa.timestamp("us", tz="UTC")
                schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in page.columns])
                writer = parquet.ParquetWriter(job.partial, schema)
            writer.write_table(pa.Table.from_pandas(page, schema=schema, preserve_index=False))
    finally:
        if writer is not None:
            writer.close()


def centroid(runs: Runs) -> tuple[float, float]:
    """(y, x) of the middle of an object's pixels, whose centres are whole numbers.

    >>> from napari_sam.io.labels.object_reader import Runs
    >>> centroid(Runs(*np.array([[3, 4], [7, 7], [9, 9]])))
    (3.5, 7.5)
    """
    lengths = runs.stop - runs.start
    area = lengths.sum()
    return float((runs.line * lengths).sum() / area), float(((runs.start + runs.stop - 1) * lengths).sum() / area / 2)


def map_point(transform: tuple[float, ...], x: Any, y: Any) -> tuple[Any, Any]:
    """Map coordinates of (column, row), which count from the outer corner of the first pixel."""
    a, b, c, d, e, f = transform
    return a * x + b * y + c, d * x + e * y + f


def _pages(job: Job) -> Iterator[pd.DataFrame]:
    """The table, page by page, at least one; measured in the order of the pixels, given by label."""
    reader = job.reader()
    ids = reader.labels
    measured = np.zeros((len(ids), 7))  # area, y0, x0, y1, x1, centroid
    for row, runs in reader:
        at = np.searchsorted(ids, row["label"])
        measured[at] = [*(row[k] for k in _WHOLE[1:]), *centroid(runs)]
        job.meter.step()
    for start in range(0, max(len(ids), 1), _PAGE):
        yield _page(job, ids[start : start + _PAGE], measured[start : start + _PAGE])


def _page(job: Job, ids: NDArray[np.int64], measured: NDArray[np.float64]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - slow to import

    rows = job.journal.objects(ids.tolist())
    here = [i for i, label in enumerate(ids.tolist()) if label in rows and measured[i, 0] > 0]
    found = [rows[int(ids[i])] for i in here]
    measured = measured[here]
    columns: dict[str, Any] = {"label": ids[here]}
    if len(job.store.shape) > 2:
        columns["plane"] = [row["plane"] for row in found]
    columns["category"] = [row["category"] for row in found]
    columns |= {name: measured[:, i].astype(np.int64) for i, name in enumerate(_WHOLE[1:])}
    columns |= {"centroid_y_px": measured[:, 5], "centroid_x_px": measured[:, 6]}
    columns |= _physical(job, measured)
    for name in ("predicted_iou", "stability_score"):
        columns[name] = np.array([row[name] for row in found], float)
    columns["model"] = [row["model"] for row in found]
    created = np.array([1e6 * row["created"] for row in found]).astype(np.int64)
    columns["created"] = pd.to_datetime(created, unit="us", utc=True)
    return pd.DataFrame(columns)


def _physical(job: Job, measured: NDArray[np.float64]) -> dict[str, Any]:
    """Area and centroid in what the pixels measure."""
    area, y, x = measured[:, 0], measured[:, 5], measured[:, 6]
    if job.crs is not None and job.transform is not None:
        a, b, _, d, e, _ = job.transform
        map_x, map_y = map_point(job.transform, x + 0.5, y + 0.5)
        return {"area_map": area * abs(a * e - b * d), "centroid_x_map": map_x, "centroid_y_map": map_y}
    unit = job.unit
    if unit is None:
        return {}
    sy, sx = job.store.scale
    square = unit if unit == "world" else f"{unit}2"
    return {f"area_{square}": area * sy * sx, f"centroid_y_{unit}": y * sy, f"centroid_x_{unit}": x * sx}
