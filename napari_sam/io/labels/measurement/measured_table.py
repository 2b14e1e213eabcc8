"""Join measurements with the object table and physical sizes, and write the table."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.geo.ground_area import ground_area
from napari_sam.io.geo.map_coordinates import to_map
from napari_sam.io.geo.units import unit_suffix
from napari_sam.io.labels.journal.row_values import format_plane
from napari_sam.io.labels.measurement.properties import PIXEL_COLUMNS
from napari_sam.io.labels.reading.object_reader import ObjectReader
from napari_sam.io.table_cells import plain_cells

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.geo.ground_area import GroundArea
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.reading.store_view import StoreView

    Columns = dict[str, NDArray[Any]]

_INTEGER_COLUMNS = ("label", "area_px", "y0", "x0", "y1", "x1")


def join_measurements(
    rows: pd.DataFrame, measured: pd.DataFrame, labels: StoreView, image: Image | None
) -> pd.DataFrame:
    """Return measured columns beside those of the object table and physical sizes, by label.

    Parameters
    ----------
    rows : DataFrame
        The object table, with one row for each plane of an object.
    measured : DataFrame
        Measured values, with ``label`` and ``plane``.
    labels : LabelStore
        Knows pixel size and map, if there is no image.
    image : Image or None
        Knows them otherwise.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    key = ["label", "plane"]
    order = pd.Series(np.arange(len(rows)), name="order")
    table = rows[[*key, "category"]].join(order).merge(measured, on=key, how="inner").sort_values("order")
    table = table.drop(columns="order").reset_index(drop=True)
    table = table.astype({name: np.int64 for name in _INTEGER_COLUMNS if name in table})
    with_unit = [i for i, c in enumerate(table) if c in PIXEL_COLUMNS.values() or str(c).startswith("centroid")]
    position = max(with_unit, default=-1)
    for offset, (name, values) in enumerate(physical_columns(table, labels, image).items(), start=1):
        table.insert(position + offset, name, values)
    scores = rows[[*key, "predicted_iou", "stability_score", "model"]]
    table = table.merge(scores.astype({"predicted_iou": float, "stability_score": float}), on=key, how="left")
    return table if len(labels.shape) > 2 else table.drop(columns="plane")


def physical_columns(table: pd.DataFrame, labels: StoreView, image: Image | None) -> Columns:
    """Return sizes and positions in map coordinates or physical units, if image or store know them.

    Parameters
    ----------
    table : DataFrame
        ``label`` and ``plane`` of objects, and measured columns whose names end in "_px".
    labels : LabelStore
        The objects.
    image : Image or None
        Knows pixel size and map rather than `labels`.
    """
    in_px = {str(name): table[name].to_numpy(np.float64) for name in table if str(name).endswith("_px")}
    transform = labels.meta("transform") if image is None else image.transform
    if transform is not None:
        crs = labels.meta("crs") if image is None else image.crs
        affine = tuple(float(v) for v in transform)
        return _map_columns(in_px, affine, ground_area(crs, affine, labels.shape), labels, table[["label", "plane"]])
    scale, unit = (labels.scale, labels.meta("unit")) if image is None else (image.scale, image.unit)
    if unit is None and tuple(scale) == (1.0, 1.0):
        return {}
    return _scaled_columns(in_px, scale, None if unit is None else str(unit))


def _map_columns(
    in_px: Columns, transform: tuple[float, ...], ground: GroundArea | None, labels: StoreView, parts: pd.DataFrame
) -> Columns:
    """Return areas and lengths in metres, or in map units if the map is unknown, and positions in map coordinates."""
    columns: Columns = {}
    a, b, _, d, e, _ = transform
    if ground is None and "area_px" in in_px:
        columns["area_map"] = in_px["area_px"] * abs(a * e - b * d)
    elif ground is not None and {"area_px", "equivalent_diameter_px"} & set(in_px):
        area_px = in_px.get("area_px", math.pi / 4 * in_px.get("equivalent_diameter_px", np.zeros(0)) ** 2)
        uniform = ground.pixel_area
        areas = _ground_areas(ground, labels, parts) if uniform is None else area_px * uniform
        columns |= {"area_m2": areas} if "area_px" in in_px else {}
        if "equivalent_diameter_px" in in_px:
            columns["equivalent_diameter_m"] = np.sqrt(4 * areas / math.pi)
    if ground is not None and ground.pixel_side is not None and "perimeter_px" in in_px:
        columns["perimeter_m"] = in_px["perimeter_px"] * ground.pixel_side
    if "centroid_y_px" in in_px:
        x, y = to_map(transform, in_px["centroid_x_px"] + 0.5, in_px["centroid_y_px"] + 0.5)
        columns |= {"centroid_x_map": x, "centroid_y_map": y}
    return columns


def _ground_areas(ground: GroundArea, labels: StoreView, parts: pd.DataFrame) -> NDArray[np.float64]:
    """Return the areas of objects on their planes in square metres."""
    ids = sorted(set(parts["label"].tolist()))
    areas = {(obj.label, format_plane(obj.plane)): ground.object_area(runs) for obj, runs in ObjectReader(labels, ids)}
    keys = zip(parts["label"].tolist(), parts["plane"].tolist(), strict=True)
    return np.array([areas.get(key, np.nan) for key in keys], float)


def _scaled_columns(in_px: Columns, scale: tuple[float, float], unit: str | None) -> Columns:
    sy, sx = scale
    suffix = "world" if unit is None else unit_suffix(unit)
    factors = {"centroid_y": sy, "centroid_x": sx, "equivalent_diameter": math.sqrt(sy * sx)}
    factors |= {"perimeter": sy} if math.isclose(sy, sx, rel_tol=1e-6) else {}
    columns = {f"{n}_{suffix}": in_px[f"{n}_px"] * factor for n, factor in factors.items() if f"{n}_px" in in_px}
    if "area_px" in in_px:
        columns = {f"area_{suffix if unit is None else f'{suffix}2'}": in_px["area_px"] * sy * sx} | columns
    return columns


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as CSV or Parquet, by the ending of `path`.

    Raises
    ------
    LabelsError
        If the ending is another one, pyarrow is missing, or the file cannot be written.
    """
    path = Path(path).expanduser()
    check_table_path(path)
    try:
        if path.suffix.lower() == ".csv":
            plain_cells(table).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise LabelsError(f"{path}: cannot be written: {error}", remedy="choose another path, or free space") from error
    return path


def check_table_path(path: Path) -> None:
    """Check that `write_table` can write to a path, before a long computation.

    Raises
    ------
    LabelsError
        As `write_table`.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise LabelsError(
            f"{path}: cannot write {path.suffix or 'a file without ending'}", remedy="use .csv or .parquet"
        )
    if not path.parent.is_dir():
        raise LabelsError(f"{path}: the folder {path.parent} does not exist", remedy="create it first")
    if suffix == ".parquet":
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            raise LabelsError(
                f"{path}: Parquet needs pyarrow", remedy="run 'pip install pyarrow', or write .csv"
            ) from error
