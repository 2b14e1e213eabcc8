"""Export labels to the formats of other programs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError, NapariSamError
from napari_sam.io.exports.export_job import ExportJob
from napari_sam.io.exports.export_settings import EXTENSIONS, FOLDER_FORMATS, TEXT_FORMATS, ExportSettings
from napari_sam.io.exports.writers.spatial.write_spatialdata import write_spatialdata
from napari_sam.io.exports.writers.stacks.write_challenge import write_challenge
from napari_sam.io.exports.writers.stacks.write_geff import write_geff
from napari_sam.io.exports.writers.stacks.write_mesh import write_ply, write_stl
from napari_sam.io.exports.writers.stacks.write_trackmate import write_trackmate
from napari_sam.io.exports.writers.write_coco import write_coco
from napari_sam.io.exports.writers.write_cog import write_cog
from napari_sam.io.exports.writers.write_geojson import write_geojson, write_geojson_pixels
from napari_sam.io.exports.writers.write_geopackage import write_geopackage
from napari_sam.io.exports.writers.write_imagej_rois import write_imagej_rois
from napari_sam.io.exports.writers.write_imagej_tiff import write_imagej_tiff
from napari_sam.io.exports.writers.write_raster import write_png, write_zarr
from napari_sam.io.exports.writers.write_script import write_script
from napari_sam.io.exports.writers.write_table import write_csv, write_parquet
from napari_sam.io.exports.writers.write_tiff import write_ome_tiff, write_tiff
from napari_sam.io.exports.writers.write_zarr_04 import write_zarr_04
from napari_sam.io.step_counter import StepCounter
from src_models.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.exports.export_source import ExportSource

WRITERS: dict[str, Callable[[ExportJob], None]] = {
    "geojson": write_geojson,
    "geojson-pixels": write_geojson_pixels,
    "gpkg": write_geopackage,
    "coco": write_coco,
    "csv": write_csv,
    "parquet": write_parquet,
    "tiff": write_tiff,
    "cog": write_cog,
    "ome-tiff": write_ome_tiff,
    "imagej-tiff": write_imagej_tiff,
    "png": write_png,
    "roi": write_imagej_rois,
    "zarr": write_zarr,
    "ome-zarr-0.4": write_zarr_04,
    "spatialdata": write_spatialdata,
    "ctc": write_challenge,
    "trackmate": write_trackmate,
    "geff": write_geff,
    "stl": write_stl,
    "ply": write_ply,
    "script": write_script,
}


def export_labels(
    source: ExportSource,
    path: str | Path,
    settings: ExportSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write labels to a file; `LabelStore.export` describes the formats.

    Parameters
    ----------
    source : ExportSource
        The labels.
    path : str or Path
        The file to write, the folder of a zarr, or "-" for standard output.
    settings : ExportSettings, optional
        Format and objects.
    progress, cancelled : callable, optional
        As for `LabelStore.export`.

    Returns
    -------
    Path
        The file or folder written.

    Raises
    ------
    LabelsError, StoreError, CancelledError
        As for `LabelStore.export`. The path is then as it was before.
    """
    settings = settings or ExportSettings()
    if str(path) == "-":
        return _to_standard_output(source, settings, progress, cancelled)
    given = Path(path).expanduser()
    _refuse_device(given)
    path = given.resolve() if given.is_symlink() else given  # a link stays a link
    settings = settings if settings.format else replace(settings, format=_format_of(given))
    name = settings.format or ""
    _check_target(source, path, name)
    counter = StepCounter(progress, cancelled, task="export")
    try:
        with replacing(path) as partial:
            WRITERS[name](ExportJob(source, path, partial, settings, counter))
    except NapariSamError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise LabelsError(
            f"{path}: cannot be written: {error}", parameter="path", remedy="make room, or choose another {path}"
        ) from error
    return given


def _to_standard_output(
    source: ExportSource,
    settings: ExportSettings,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Path:
    """Write a text format to standard output, once it is complete."""
    if settings.format not in TEXT_FORMATS:
        raise LabelsError(
            f"format is {settings.format!r}; - stands for standard output, which takes text only",
            parameter="format",
            remedy=f"give {{format}} as one of {', '.join(TEXT_FORMATS)}",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = export_labels(source, Path(folder) / "labels", settings, progress=progress, cancelled=cancelled)
        try:
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise LabelsError(f"standard output cannot be written: {error}", parameter="path") from error
    return Path("-")


def _format_of(path: Path) -> str:
    """Return the format that a file's extension stands for."""
    name = path.name.lower()
    for extension, format_name in EXTENSIONS.items():
        if name.endswith(extension):
            return format_name
    raise LabelsError(
        f"{path}: cannot write {path.suffix or 'a file without an extension'}",
        parameter="path",
        remedy=f"use one of {', '.join(EXTENSIONS)}",
    )


def _refuse_device(path: Path) -> None:
    """Refuse a device or a pipe, also behind a link, such as /dev/stdout."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise _bad_path(
            f"{path}: is a device or a pipe, not a regular file", "give the path of a file, or - for standard output"
        )


def _check_target(source: ExportSource, path: Path, format_name: str) -> None:
    """Refuse a path that cannot be written, or whose replacement would destroy the labels or their image."""
    if not path.parent.is_dir():
        raise _bad_path(f"{path}: the folder {path.parent} does not exist", "create it first")
    target, store = path.resolve(), source.path.resolve()
    if target == store or store in target.parents:
        raise _bad_path(f"{path}: lies in the label store itself", "choose a {path} outside the store")
    image = source.image_uri
    if image and "://" not in image and target == Path(image).resolve():
        raise _bad_path(f"{path}: is the image that the labels belong to", "choose another {path}")
    if path.is_dir() and format_name not in FOLDER_FORMATS:
        raise _bad_path(f"{path}: is a folder", "give the path of a file")
    if path.exists() and format_name in FOLDER_FORMATS:
        raise _bad_path(
            f"{path}: exists already, and folders are not overwritten", "remove it, or choose another {path}"
        )


def _bad_path(message: str, remedy: str) -> LabelsError:
    return LabelsError(message, parameter="path", remedy=remedy)
