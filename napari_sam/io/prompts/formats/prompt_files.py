"""Files of prompts: tables, COCO, GeoJSON, GeoPackage, YOLO, Pascal VOC, ImageJ ROIs, Cellpose, label images."""

from __future__ import annotations

import csv
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import PromptError
from napari_sam.io.images.formats.masked_level import unmasked
from napari_sam.io.images.open_image import open_image
from napari_sam.io.prompts.formats.cellpose_masks import read_cellpose_masks
from napari_sam.io.prompts.formats.coco_prompts import rows_of_coco
from napari_sam.io.prompts.formats.geojson_prompts import rows_of_geojson
from napari_sam.io.prompts.formats.geopackage_prompts import rows_of_geopackage
from napari_sam.io.prompts.formats.imagej_prompts import rows_of_rois
from napari_sam.io.prompts.formats.label_classes import read_label_classes
from napari_sam.io.prompts.formats.label_prompts import rows_of_labels
from napari_sam.io.prompts.formats.voc_prompts import rows_of_voc
from napari_sam.io.prompts.formats.yolo_prompts import is_yolo, rows_of_yolo
from napari_sam.io.prompts.prompt_rows import rows_of_table
from src_models.lossy_pictures import check_exact
from src_models.user_paths import existing_path

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.prompts.prompt_rows import PromptRows

_SEPARATORS = ",;\t"
_OUTLINES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".json", ".geojson", ".gpkg", ".xml", ".zip", ".roi")


def rows_of_file(source: str | Path, image: Image, coordinates: str, image_id: int | str | None) -> PromptRows:
    """Read the prompts of a file; its extension determines the format.

    Raises
    ------
    PromptError
        If it holds no prompts, or is damaged.
    """
    path = Path(source) if "://" in str(source) else existing_path(source, PromptError)
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv", ".txt"):
            return _read_csv(path, image)
        if suffix in (".parquet", ".pq"):
            return _read_parquet(path)
        if suffix in (".json", ".geojson"):
            with path.open(encoding="utf-8-sig") as file:
                content = json.load(file)
            return _rows_of_json(content, path, image, coordinates, image_id)
        if suffix == ".gpkg":
            return rows_of_geopackage(path, image, coordinates)
        if suffix == ".xml":
            return rows_of_voc(path, image)
        if suffix in (".zip", ".roi"):
            return rows_of_rois(path, image)
        if path.name.lower().endswith("_seg.npy"):
            return rows_of_labels(read_cellpose_masks(path), image, str(path))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, PromptError):
            raise
        raise PromptError(
            f"{path}: cannot be read as prompts ({error})", remedy="check that the file is complete"
        ) from error
    check_exact(path, PromptError)
    return _with_classes(rows_of_labels(open_image(source), image, str(source)), source)


def _with_classes(rows: PromptRows, source: str | Path) -> PromptRows:
    """Return the rows of a label image with the categories that its metadata gives."""
    labelled = read_label_classes(source)
    if not labelled.category:
        return rows
    frame = rows.frame.copy()
    frame["category"] = np.array([labelled.category.get(number) for number in rows.numbers.tolist()], object)
    return replace(rows, frame=frame, classes=labelled.classes)


def label_image(source: str | Path) -> Image | None:
    """Return a file of labels as an image; None if its extension stands for tables or outlines.

    Raises
    ------
    PromptError, ImageError
        If the file does not exist, or is damaged.
    """
    path = Path(source) if "://" in str(source) else existing_path(source, PromptError)
    if path.suffix.lower() in _OUTLINES:
        return None
    check_exact(path, PromptError)
    return unmasked(open_image(read_cellpose_masks(path) if path.name.lower().endswith("_seg.npy") else source))


def _read_csv(path: Path, image: Image) -> PromptRows:
    import pandas as pd  # noqa: PLC0415 - slow to import

    with path.open(encoding="utf-8-sig") as file:
        head = file.readline()
    if path.suffix.lower() == ".txt" and (is_yolo(head) or not path.stat().st_size):
        return rows_of_yolo(path, image)
    separator = max(_SEPARATORS, key=head.count)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
        names, fields = len(next(lines, [])), len(next(lines, []))
    if fields > names:  # pandas would take the first field as an index; it refuses such later lines itself
        raise PromptError(
            f"{path}: line 2: {fields} fields, but the first line names {names} columns",
            remedy="name every column, or remove the surplus fields",
        )
    frame = pd.read_csv(
        path, sep=separator, index_col=False, skipinitialspace=True, encoding="utf-8-sig", skip_blank_lines=False
    )
    rows = rows_of_table(frame, str(path), "line", first=2)
    written = frame.notna().any(axis=1).to_numpy()  # blank lines, and lines of separators as spreadsheets write them
    return replace(rows, frame=frame[written].reset_index(drop=True), numbers=rows.numbers[written])


def _read_parquet(path: Path) -> PromptRows:
    import pandas as pd  # noqa: PLC0415 - slow to import

    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        raise PromptError(f"{path}: Parquet needs pyarrow", remedy="run 'pip install pyarrow', or give .csv") from error
    return rows_of_table(pd.read_parquet(path), str(path))


def _rows_of_json(content: Any, path: Path, image: Image, coordinates: str, image_id: int | str | None) -> PromptRows:
    """Return the rows of a JSON document: GeoJSON or COCO, whole or as a list."""
    if isinstance(content, list) and content and all(isinstance(f, dict) and "geometry" in f for f in content):
        content = {"type": "FeatureCollection", "features": content}
    elif isinstance(content, list) and content and isinstance(content[0], dict) and "bbox" in content[0]:
        content = {"annotations": content}
    if isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature"):
        return rows_of_geojson(content, str(path), image, coordinates)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return rows_of_coco(content, str(path), image, image_id)
    raise PromptError(
        f"{path}: neither COCO nor GeoJSON",
        remedy="give COCO (annotations, or a list of detections) or a GeoJSON FeatureCollection",
    )
