"""Write labels as a cloud-optimised GeoTIFF, by GDAL."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError
from napari_sam.io.exports.writers.write_tiff import write_tiff

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import ExportJob

_OPTIONS = {"COMPRESS": "DEFLATE", "BLOCKSIZE": "512", "OVERVIEW_RESAMPLING": "NEAREST", "BIGTIFF": "IF_SAFER"}


def write_cog(job: ExportJob) -> None:
    """Write a cloud-optimised GeoTIFF, with the levels in the order that a reader over the network needs.

    Raises
    ------
    LabelsError
        If the labels have more than two axes, or rasterio is not installed.
    """
    if len(job.source.shape) > 2:
        raise LabelsError(
            f"{job.path}: a cloud-optimised GeoTIFF cannot hold axes {job.source.axes}", remedy="write .tif or .zarr"
        )
    try:
        import rasterio.shutil  # noqa: PLC0415 - an extra
        from rasterio.errors import RasterioError  # noqa: PLC0415
    except ImportError as error:
        raise LabelsError(
            f"{job.path}: a cloud-optimised GeoTIFF needs rasterio", remedy="run: pip install 'napari-sam-xl[cog]'"
        ) from error
    plain = job.partial.with_name(f"{job.partial.name}.tif")
    try:
        write_tiff(replace(job, partial=plain), levels=1)
        rasterio.shutil.copy(str(plain), str(job.partial), driver="COG", **_OPTIONS)
    except RasterioError as error:
        raise LabelsError(f"{job.path}: cannot be written: {error}", remedy="make room") from error
    finally:
        plain.unlink(missing_ok=True)
