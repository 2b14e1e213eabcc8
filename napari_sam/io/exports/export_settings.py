"""Settings of an export, from which the options of the command line are made."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam.errors import LabelsError
from src_models.settings import setting, validate

FORMATS = (
    "geojson",
    "geojson-pixels",
    "gpkg",
    "coco",
    "csv",
    "parquet",
    "tiff",
    "ome-tiff",
    "png",
    "roi",
    "zarr",
    "script",
)
EXTENSIONS = {  # longer extensions first
    ".ome.tif": "ome-tiff",
    ".ome.tiff": "ome-tiff",
    ".geojson": "geojson",
    ".gpkg": "gpkg",
    ".json": "coco",
    ".csv": "csv",
    ".parquet": "parquet",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".zip": "roi",
    ".zarr": "zarr",
    ".py": "script",
}


@dataclass(frozen=True)
class ExportSettings:
    """What to export and in which format.

    Attributes
    ----------
    format : str or None
        One of `FORMATS`; None for the format that the file's extension stands for (`EXTENSIONS`).
    labels : tuple of int or None
        Ids of the objects to export; None for all.
    """

    format: str | None = setting(None, "file format (default: by the extension of OUT)", choices=FORMATS)
    labels: tuple[int, ...] | None = setting(None, "export only the objects with these ids", option="--objects")

    def __post_init__(self) -> None:
        validate(self, LabelsError)
