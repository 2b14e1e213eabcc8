"""Write outlines as GeoParquet, in pixels."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.exports.outlines import Outlines
    from napari_sam.io.pixel_runs import PixelRuns

_COLUMN = "geometry"
_GEO = {  # https://geoparquet.org: pixels lie in no CRS
    "version": "1.0.0",
    "primary_column": _COLUMN,
    "columns": {_COLUMN: {"encoding": "WKB", "geometry_types": ["MultiPolygon"], "crs": None}},
}


def import_parquet(job: ExportJob) -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet.

    Raises
    ------
    LabelsError
        If it is not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise LabelsError(
            f"{job.path}: polygons in a SpatialData store need pyarrow",
            parameter="polygons",
            remedy="run: pip install pyarrow; or leave out {polygons}",
        ) from error


def write_geoparquet(
    path: Path, job: ExportJob, objects: Iterable[tuple[ExportedObject, PixelRuns]], *, index: str
) -> None:
    """Write a multipolygon for each object, batch by batch; `index` names the column of ids."""
    import pandas as pd  # noqa: PLC0415 - slow to import

    pa, parquet = import_parquet(job)
    writer = None
    try:
        for batch, outlines in job.outlined(objects):
            frame = pd.DataFrame(
                {_COLUMN: pd.Series(_well_known_binary(outlines), dtype=object)},
            ).set_index(pd.Index([obj.label for obj, _ in batch], name=index))
            table = pa.Table.from_pandas(frame, preserve_index=True)
            if writer is None:
                schema = table.schema.with_metadata({**table.schema.metadata, b"geo": json.dumps(_GEO).encode()})
                writer = parquet.ParquetWriter(path, schema)
            writer.write_table(table.cast(schema))
    finally:
        if writer is not None:
            writer.close()


def _well_known_binary(outlines: Outlines) -> list[bytes]:
    import shapely  # noqa: PLC0415 - slow to import

    corners, rings = outlines.closed()
    shapes = shapely.from_ragged_array(
        shapely.GeometryType.MULTIPOLYGON, corners.astype(float), (rings, outlines.polygons, outlines.objects)
    )
    found: list[bytes] = shapely.to_wkb(shapes).tolist()
    return found
