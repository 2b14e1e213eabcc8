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
    "cog",
    "ome-tiff",
    "imagej-tiff",
    "png",
    "roi",
    "zarr",
    "ome-zarr-0.4",
    "spatialdata",
    "ctc",
    "trackmate",
    "geff",
    "stl",
    "ply",
    "script",
)
FOLDER_FORMATS = ("zarr", "ome-zarr-0.4", "spatialdata", "ctc", "geff")
"""Formats that are folders."""
MESH_FORMATS = ("stl", "ply")
TEXT_FORMATS = ("geojson", "geojson-pixels", "coco", "csv", "script")
"""Formats that can be written to standard output."""
POLYGON_FORMATS = ("geojson", "geojson-pixels", "gpkg", "roi", "spatialdata")
EXTENSIONS = {  # longer extensions first
    ".ome.tif": "ome-tiff",
    ".ome.tiff": "ome-tiff",
    ".cog.tif": "cog",
    ".sdata.zarr": "spatialdata",
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
    ".xml": "trackmate",
    ".geff": "geff",
    ".stl": "stl",
    ".ply": "ply",
    ".ctc": "ctc",
    ".py": "script",
}


# Of the formats that an extension does not determine.
_OTHER_EXTENSIONS = {"geojson-pixels": ".geojson", "imagej-tiff": ".tif", "ome-zarr-0.4": ".zarr"}


_ONLY_FOR = (
    ("smooth", MESH_FORMATS, "meshes"),
    ("simplify_px", POLYGON_FORMATS, "polygons"),
    ("regularise_px", POLYGON_FORMATS, "polygons"),
    ("polygons", ("spatialdata",), "polygons beside its labels"),
)


def extension_of(format_name: str) -> str:
    """Return the extension of a format's files.

    >>> extension_of("imagej-tiff"), extension_of("ome-tiff")
    ('.tif', '.ome.tif')
    """
    settings = ExportSettings(format=format_name)  # names an unknown format
    known = {name: extension for extension, name in reversed(EXTENSIONS.items())} | _OTHER_EXTENSIONS
    return known[str(settings.format)]


@dataclass(frozen=True)
class ExportSettings:
    """What to export and in which format.

    Attributes
    ----------
    format : str or None
        One of `FORMATS`; None for the format that the file's extension stands for (`EXTENSIONS`).
    labels : tuple of int or None
        Ids of the objects to export; None for all.
    simplify_px : float or None
        Distance in pixels that the outlines of polygons may deviate from the pixels' edges; None for the edges
        themselves. Only for the formats in `POLYGON_FORMATS`.
    regularise_px : float or None
        Give the outlines of polygons right angles, as those of buildings have, and drop edges shorter than this
        number of pixels; None to leave them. Only for the formats in `POLYGON_FORMATS`, and in place of `simplify_px`.
    smooth : int
        Repetitions of the smoothing that takes the steps between voxels away from meshes and keeps their volume. Only
        for the formats in `MESH_FORMATS`.
    polygons : bool
        Write the outlines too, as shapes; `simplify_px` and `regularise_px` imply it. Only for SpatialData.
    """

    format: str | None = setting(None, "file format (default: by the extension of OUT)", choices=FORMATS)
    labels: tuple[int, ...] | None = setting(None, "export only the objects with these ids", option="--objects")
    simplify_px: float | None = setting(
        None,
        "simplify polygons: outlines deviate from the pixels' edges by up to this distance",
        low=0,
        above=True,
        unit="px",
        option="--simplify",
    )
    regularise_px: float | None = setting(
        None,
        "give polygons right angles, as buildings have them, without edges shorter than this",
        low=0,
        above=True,
        unit="px",
        option="--regularise",
    )
    smooth: int = setting(0, "smooth meshes by this many repetitions, such as 10", low=0, high=1000)
    polygons: bool = setting(False, "add the outlines to a SpatialData store, as shapes")

    def __post_init__(self) -> None:
        validate(self, LabelsError)
        for name, formats, shapes in _ONLY_FOR:
            value = getattr(self, name)
            if value and self.format is not None and self.format not in formats:
                raise LabelsError(
                    f"{name} is {value}, and format {self.format!r} has no {shapes}",
                    parameter=name,
                    remedy=f"leave it out, or choose one of {', '.join(formats)}",
                )
        if self.simplify_px is not None and self.regularise_px is not None:
            raise LabelsError(
                f"simplify_px is {self.simplify_px} and regularise_px {self.regularise_px}",
                parameter="simplify_px",
                remedy="give one of them: {regularise_px} simplifies, too",
            )
