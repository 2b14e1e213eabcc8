"""Write labels as a SpatialData store: labels, the table that describes them, and on request their outlines.

The store follows SpatialData's published format 0.2 (zarr 3), so that its library is needed to read it but not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError
from napari_sam.io.exports.writers.spatial.coordinate_system import CoordinateSystem
from napari_sam.io.exports.writers.spatial.object_rows import read_object_rows
from napari_sam.io.exports.writers.spatial.write_anndata import AnnDataTable, Categories, write_anndata
from napari_sam.io.exports.writers.spatial.write_geoparquet import import_parquet, write_geoparquet
from napari_sam.io.exports.writers.write_raster import map_position, write_levels
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject, WritableLevel
    from napari_sam.io.exports.writers.spatial.object_rows import ObjectRows
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.pixel_runs import PixelRuns

LABELS, OUTLINES, TABLE = "objects", "outlines", "table"
"""Names of the elements."""
_REGION_KEY, _INSTANCE_KEY = "region", "instance_id"
_STORE, _RASTER, _SHAPES, _TABLES = "0.2", "0.3", "0.3", "0.2"  # SpatialData's versions of the formats
_NGFF = "0.5-dev-spatialdata"
_AXES = ("yx", "zyx")


def write_spatialdata(job: ExportJob) -> None:
    """Write the labels with all scale levels piece by piece, and a row of the table for each object.

    Raises
    ------
    LabelsError
        If the labels have other axes than z, y and x, or outlines are asked for and cannot be written.
    """
    source, settings = job.source, job.settings
    polygons = settings.polygons or settings.simplify_px is not None or settings.regularise_px is not None
    if source.axes not in _AXES:
        raise LabelsError(f"{job.path}: SpatialData cannot hold axes {source.axes}", remedy="write .zarr or .csv")
    if polygons and len(source.shape) > 2:
        raise LabelsError(
            f"{job.path}: SpatialData has no polygons of objects through planes",
            parameter="polygons",
            remedy="leave out {polygons}",
        )
    if polygons:
        import_parquet(job)  # before the long work
    job.partial.mkdir(parents=True)
    system = CoordinateSystem.of(source)
    _write_group(job.partial, _root_attributes(job))
    count = len(source.objects(job.labels))
    levels = _create_labels(job, system)
    write_levels(job, levels, further_steps=count * (2 if polygons else 1))
    if not count:
        return  # the library refuses a table that describes nothing
    rows = read_object_rows(job, _counted(job), system)
    _write_group(job.partial / "tables", {})
    write_anndata(job.partial / "tables" / TABLE, _table(job, rows), attributes=_region_attributes())
    if polygons:
        folder = job.partial / "shapes" / OUTLINES
        _write_group(folder.parent, {})
        _write_group(folder, _shapes_attributes(system))
        write_geoparquet(folder / "shapes.parquet", job, _counted(job), index=_INSTANCE_KEY)


def _counted(job: ExportJob) -> Iterator[tuple[ExportedObject, PixelRuns]]:
    """Iterate over the objects, each as a step of the steps that were begun."""
    for pair in job.source.objects(job.labels):
        yield pair
        job.step()


def _write_group(folder: Path, attributes: JsonObject) -> None:
    folder.mkdir(exist_ok=True)
    write_json(folder / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _root_attributes(job: ExportJob) -> JsonObject:
    about = {"image": job.source.image_uri, **map_position(job.source)}
    return {"spatialdata_attrs": {"version": _STORE}, "napari_sam": about}


def _create_labels(job: ExportJob, system: CoordinateSystem) -> list[WritableLevel]:
    """Create the empty element; returns its scale levels."""
    _write_group(job.partial / "labels", {"ome": {"labels": [LABELS]}})
    folder = job.partial / "labels" / LABELS
    folder.mkdir()
    levels = job.source.create_copy(folder)
    leading = [1.0] * (len(job.source.axes) - 2)
    multiscale: JsonObject = {
        "name": LABELS,
        "axes": [{"name": name, "type": "space"} for name in job.source.axes],
        "datasets": [
            {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [*leading, 2.0**k, 2.0**k]}]}
            for k in range(len(levels))
        ],
        "coordinateTransformations": [system.transformation(job.source.axes)],
    }
    attributes: JsonObject = {"ome": {"version": _NGFF, "multiscales": [multiscale]}}
    _write_group(folder, {**attributes, "spatialdata_attrs": {"version": _RASTER}})
    return levels


def _shapes_attributes(system: CoordinateSystem) -> JsonObject:
    return {
        "encoding-type": "ngff:shapes",
        "axes": ["x", "y"],
        "coordinateTransformations": [system.transformation("xy")],
        "spatialdata_attrs": {"version": _SHAPES},
    }


def _region_attributes() -> JsonObject:
    """Return which element a table describes, as SpatialData's attributes of the table."""
    return {
        "spatialdata-encoding-type": "ngff:regions_table",
        "region": LABELS,
        "region_key": _REGION_KEY,
        "instance_key": _INSTANCE_KEY,
        "version": _TABLES,
    }


def _table(job: ExportJob, rows: ObjectRows) -> AnnDataTable:
    """Return measurements as the matrix, and what else is known of the objects as its rows' columns."""
    count = len(rows.labels)
    colours = {style.name: style.colour or "#808080" for style in job.classes.values()}
    categories = Categories.of(rows.categories)
    return AnnDataTable(
        names=[str(label) for label in rows.labels.tolist()],
        columns={
            _REGION_KEY: Categories.of([LABELS] * count),
            _INSTANCE_KEY: rows.labels,
            "category": categories,
            "predicted_iou": rows.predicted_iou,
            "stability_score": rows.stability_score,
            "model": Categories.of(rows.models),
            "created": rows.created,
        },
        variables=list(rows.names),
        values=rows.values,
        positions={"spatial": rows.positions},
        notes={
            "spatialdata_attrs": {"region": LABELS, "region_key": _REGION_KEY, "instance_key": _INSTANCE_KEY},
            "category_colors": [colours.get(name, "#808080") for name in categories.names],  # scanpy reads these
        },
    )
