"""TIFF in all its kinds: BigTIFF, OME-TIFF, whole-slide formats, GeoTIFF; pyramids in SubIFDs or pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.geotiff import read_geo_tags
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, READ_ERRORS, SPATIAL, Image
from napari_sam.io.images.tiff_level import OversizeError, PositionalFile, TiffLevel, segment_cache
from napari_sam.io.map_coordinates import pixel_size

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.io.images.tiff_level import SegmentKey
    from src_models.lru import LRU

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".lsm", ".stk", ".flex")
_PALETTE = 3
_UNITS = {"µm": "micrometer", "um": "micrometer", "micron": "micrometer", "nm": "nanometer", "mm": "millimeter"}


def open_tiff(path: Path) -> Image:
    """Open a TIFF; reads its directory only.

    Raises
    ------
    ImageError
        If it cannot be read, or is no picture.
    """
    import tifffile  # noqa: PLC0415 - keeps the import of this module quick

    try:
        tiff = tifffile.TiffFile(path)
        series = tiff.series[0]
        levels = _levels(tiff)
        arrays = _arrays(levels)
        crs, transform = read_geo_tags(series.keyframe)
        scale, unit = _pixel_size(tiff, series.keyframe)
    except OversizeError as error:
        raise ImageError(f"{path}: {error}; write it with tiles, or as OME-Zarr") from error
    except (tifffile.TiffFileError, *READ_ERRORS) as error:
        raise ImageError(f"{path}: not a readable TIFF ({error}); check that the file is complete") from error
    axes = series.axes.lower()
    if not {"y", "x"} <= set(axes):
        raise ImageError(f"{path}: axes {series.axes} have no y and x; save it as a picture")
    if series.keyframe.photometric == _PALETTE and "s" not in axes and series.keyframe.colormap is not None:
        arrays = [PaletteArray(a, series.keyframe.colormap) for a in arrays]
        axes += "s"
    if sum(a in CHANNEL_NAMES for a in axes) > 1:  # samples within channels: keep the samples
        axes = axes.replace("c", "q")
    channel = next((i for i, a in enumerate(axes) if a in CHANNEL_NAMES), None)
    count = 1 if channel is None else arrays[0].shape[channel]
    return Image(
        arrays,
        axes,
        file_identity(path),
        (0, 1, 2) if count >= 3 else (0,),
        plane=(0,) * sum(a not in SPATIAL + CHANNEL_NAMES for a in axes),
        scale=scale if transform is None else pixel_size(transform),
        unit=unit,
        crs=crs,
        transform=transform,
        persistent=True,
        uri=str(path.resolve()),
        nodata=_nodata(series.keyframe),
    )


def file_identity(path: Path) -> str:
    """Name of a file's content: place, size and time of its last change."""
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"


def _levels(tiff: Any) -> list[Any]:
    """The levels of the first series; a series of coarser pictures of the same is a pyramid, too."""
    first = tiff.series[0]
    if len(first.levels) > 1:
        return list(first.levels)
    levels = [first]
    for other in tiff.series[1:]:
        before = levels[-1]
        same = other.axes == first.axes and other.dtype == first.dtype and len(other.shape) == len(first.shape)
        if not same or not other.keyframe.is_reduced:
            break
        if any(n > m for n, m in zip(other.shape, before.shape, strict=True)):
            break
        levels.append(other)
    return levels


def _arrays(levels: list[Any]) -> list[Any]:
    files: dict[str, PositionalFile] = {}
    cache = segment_cache()
    return [_array(level, files, cache) for level in levels]


def _array(level: Any, files: dict[str, PositionalFile], cache: LRU[SegmentKey, NDArray[np.generic]]) -> Any:
    """Our own reader, or tifffile's view for pages of an unusual kind."""
    try:
        return TiffLevel(level, files, cache)
    except OversizeError:
        raise
    except ValueError:
        import zarr  # noqa: PLC0415

        return zarr.open_array(level.aszarr(), mode="r")


def _pixel_size(tiff: Any, page: Any) -> tuple[tuple[float, float], str | None]:
    """Size of a pixel along y and x and its unit, where the format is one that means it."""
    if tiff.is_ome:
        text = tiff.ome_metadata or ""
        found = {a: re.search(rf'PhysicalSize{a}="([^"]+)"', text) for a in "YX"}
        if all(found.values()):
            unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
            name = unit.group(1) if unit else "µm"
            sizes = tuple(float(found[a].group(1)) for a in "YX")  # type: ignore[union-attr]
            return _positive(sizes[0], sizes[1]), _UNITS.get(name, name)
    if tiff.is_svs:
        found_mpp = re.search(r"MPP\s*=\s*([\d.]+)", page.description or "")
        if found_mpp:
            return _positive(float(found_mpp.group(1)), float(found_mpp.group(1))), "micrometer"
    if tiff.is_imagej or tiff.is_ndpi:
        x, y = page.resolution
        named = str((tiff.imagej_metadata or {}).get("unit", "")) if tiff.is_imagej else "µm"
        named = named.replace("\\u00B5", "µ")
        per_um = 1e4 if tiff.is_ndpi else 1.0  # NDPI counts pixels per centimetre
        if named and x > 0 and y > 0:
            return _positive(per_um / y, per_um / x), _UNITS.get(named, named)
    return (1.0, 1.0), None


def _positive(y: float, x: float) -> tuple[float, float]:
    return (y, x) if 0 < y < float("inf") and 0 < x < float("inf") else (1.0, 1.0)


def _nodata(page: Any) -> float | None:
    """Value of GDAL's tag 42113."""
    tag = page.tags.get(42113)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


class PaletteArray:
    """Indices into a colour map, seen as 8-bit red, green and blue along a last axis.

    Parameters
    ----------
    indices : array-like
        Of integers.
    colours : ndarray
        (3, n) uint16, as TIFF has them.
    """

    def __init__(self, indices: Any, colours: NDArray[np.uint16]) -> None:
        self._indices = indices
        self._colours = np.ascontiguousarray((np.asarray(colours) >> 8).astype(np.uint8).T)
        self.shape = (*indices.shape, 3)
        self.dtype = np.dtype(np.uint8)
        self.chunks = (*indices.chunks, 3)
        self.strided = bool(getattr(indices, "strided", False))
        self.slow_reason = getattr(indices, "slow_reason", None)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        found = np.clip(self._indices[index[:-1]], 0, len(self._colours) - 1)
        colours: NDArray[np.generic] = self._colours[found][..., index[-1]]
        return colours
