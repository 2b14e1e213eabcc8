"""One scale level of a TIFF, read at given offsets and decoded segment by segment.

A *segment* is a tile or a strip. Threads share only the file descriptor and a small cache of decoded segments, so that
reading scales over threads, unlike tifffile's own zarr view.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.images.formats.positional_file import PositionalFile
from napari_sam.io.images.formats.tiff.strip_ends import is_complete
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tifffile import TiffPage, TiffPageSeries

    from napari_sam.io.images.level_protocols import Index

    SegmentKey = tuple[str, int, int]  # path, offset and index
    SegmentCache = LRU[SegmentKey, NDArray[np.generic]]

_SEGMENT_BYTES = 1 << 30
_CACHE_BYTES = 128 << 20
_SERIAL_BYTES = 64 << 20
_LARGE_SEGMENT_PX = 1 << 24
_JPEG_KINDS = (6, 7, 34892, 33007)
_JPEG_2000 = (33003, 33004, 33005, 34712)
_LZMA = (34925,)
_GDAL_NODATA = 42113
_NUMBER = re.compile(
    r"(?P<nan>[+-]?nan|-?1\.#(?:ind|qnan))|[+-]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE
)


class OversizeError(ValueError):
    """A segment that does not fit into memory."""


@dataclass
class TiffFiles:
    """What the levels of an image share.

    Attributes
    ----------
    missing : tuple of str
        Names of files that belong to the image and do not exist.
    opened : dict
        `PositionalFile` by path.
    cache : SegmentCache
        Decoded segments; holds at least one.
    """

    missing: tuple[str, ...] = ()
    opened: dict[str, PositionalFile] = field(default_factory=dict)
    cache: SegmentCache = field(default_factory=lambda: LRU(limit_bytes=_CACHE_BYTES))


class TiffLevel:
    """One level of a TIFF series as an array; many threads may read it at the same time.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        The level.
    files : TiffFiles
        What the levels of an image share.

    Attributes
    ----------
    leading : tuple of int
        Lengths of the axes along which there is one page each.

    Raises
    ------
    ValueError
        If the pages can only be read by tifffile's own view, or segments are too large (`OversizeError`).
    """

    def __init__(self, series: TiffPageSeries, files: TiffFiles) -> None:
        self._series, self._files, self._cache = series, files, files.cache
        self._pages: dict[int, TiffPage | None] = {}
        keyframe = self._keyframe = series.keyframe
        self.shape: tuple[int, ...] = tuple(int(n) for n in series.shape)
        self.dtype: np.dtype[np.generic] = np.dtype(series.dtype).newbyteorder("=")
        page_shape = tuple(int(n) for n in keyframe.shape)
        self.leading = self.shape[: len(self.shape) - len(page_shape)]
        axes = keyframe.axes.upper()
        if self.shape[len(self.leading) :] != page_shape or not set(axes) <= set("YXS") or keyframe.imagedepth != 1:
            raise ValueError(f"pages of shape {page_shape}, axes {axes} in a series of {self.shape}")
        self._axes = axes
        self._fill = _fill_value(keyframe, self.dtype)
        self._planar = axes.startswith("S")
        self._samples = page_shape[axes.index("S")] if "S" in axes else 1
        self._contiguous_samples = 1 if self._planar else self._samples
        self._height, self._width = page_shape[axes.index("Y")], page_shape[axes.index("X")]
        self._uncompressed = self._uncompressed_offset() is not None
        self._check_segments()
        self._large_segment_lock = threading.Lock()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def strided(self) -> bool:
        """Whether every n-th row can be read without the others: true for uncompressed, contiguous rows."""
        return self._uncompressed

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of the unit of decoding."""
        height, width = (1, self._width) if self._uncompressed else self._segment[:2]
        sizes = {"Y": min(height, self._height), "X": min(width, self._width), "S": self._contiguous_samples}
        return (1,) * len(self.leading) + tuple(sizes[a] for a in self._axes)

    @property
    def slow_reason(self) -> str | None:
        """Reason why it is slow to read, None if it is not."""
        if self._keyframe.compression in _JPEG_2000:
            return "JPEG 2000 decodes at a few windows per second"
        if self._keyframe.compression in _LZMA:
            return "LZMA decodes at a few windows per second"
        h, w = self.chunks[-2:] if self._axes.endswith("YX") else self.chunks[-3:-1]
        if not self._uncompressed and h * w > _LARGE_SEGMENT_PX:
            return f"each read decodes {h * w / 1e6:.0f} Mpx, a strip of {h} x {w}"
        return None

    def is_stored(self, plane: tuple[int, ...]) -> bool:
        """Return whether the page at an index along the leading axes is in a file that exists."""
        return self._page(int(np.ravel_multi_index(plane, self.leading)) if plane else 0) is not None

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        lead, last = index[: len(self.leading)], index[len(self.leading) :]
        by_axis = dict(zip(self._axes, last, strict=True))
        rows, cols = range(self._height)[_slice(by_axis["Y"])], range(self._width)[_slice(by_axis["X"])]
        samples = range(self._samples)[_slice(by_axis.get("S", slice(None)))]
        choices = [range(n)[_slice(i)] for n, i in zip(self.leading, lead, strict=True)]
        pages = []
        for plane in product(*choices):
            number = int(np.ravel_multi_index(plane, self.leading)) if plane else 0
            pages.append(self._read_page(number, rows, cols, samples))
        block = np.stack(pages).reshape([len(c) for c in choices] + list(pages[0].shape))
        kept = tuple(slice(None) if isinstance(i, slice) else 0 for i in index)
        part: NDArray[np.generic] = block[kept]
        return part

    def _read_page(self, number: int, rows: range, cols: range, samples: range) -> NDArray[np.generic]:
        """Read a part of one page, with the page's axes."""
        out = np.zeros((len(samples), len(rows), len(cols)), self.dtype)
        if rows and cols and samples:
            if self._uncompressed:
                self._read_rows(number, rows, cols, samples, out)
            else:
                self._read_segments(number, rows, cols, samples, out)
        if "S" not in self._axes:
            single: NDArray[np.generic] = out[0]
            return single
        return out if self._planar else np.moveaxis(out, 0, -1)

    def _read_segments(self, number: int, rows: range, cols: range, samples: range, out: NDArray[np.generic]) -> None:
        """Decode every segment that the region touches once, and copy the requested pixels into `out`."""
        height, width = self._segment[:2]
        across, down = -(-self._width // width), -(-self._height // height)
        pieces = product(
            samples if self._planar else (0,),
            range(rows[0] // height, rows[-1] // height + 1),
            range(cols[0] // width, cols[-1] // width + 1),
        )
        for sample, ty, tx in pieces:
            i, j = _inside(rows, ty * height, height), _inside(cols, tx * width, width)
            if not (len(i) and len(j)):
                continue
            target = out[:, i[0] : i[-1] + 1, j[0] : j[-1] + 1]
            if self._planar:
                position = samples.index(sample)
                target = target[position : position + 1]
            segment = self._decoded(number, (sample * down + ty) * across + tx)
            if segment is None:
                target[:] = self._fill
                continue
            y, x = ([r[k] - t for k in ks] for r, ks, t in ((rows, i, ty * height), (cols, j, tx * width)))
            part = segment[_span(y), _span(x)]  # (h, w, contiguous samples)
            target[:] = np.moveaxis(part if self._planar else part[..., list(samples)], -1, 0)

    def _decoded(self, number: int, index: int) -> NDArray[np.generic] | None:
        """Return a segment as (h, w, samples); None if the file does not store it."""
        page = self._stored_page(number)
        if index >= len(page.databytecounts):
            return None
        offset, size = int(page.dataoffsets[index]), int(page.databytecounts[index])
        if size == 0 or offset == 0:
            return None
        file = self._file(page)
        key = (file.path, offset, index)
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        if math.prod(self._segment) * self.dtype.itemsize > _SERIAL_BYTES:
            with self._large_segment_lock:  # threads must not decode many large strips at the same time
                cached = self._cache.get(key)
                return self._decode(page, file, index, key) if cached is None else cached
        return self._decode(page, file, index, key)

    def _decode(self, page: TiffPage, file: PositionalFile, index: int, key: SegmentKey) -> NDArray[np.generic] | None:
        stored = self._stored_bytes(page, file, index)
        options: dict[str, bytes | None] = {}
        if self._keyframe.compression in _JPEG_KINDS:
            options = {"jpegtables": page.jpegtables, "jpegheader": self._keyframe.jpegheader}
        data, _, shape = self._keyframe.decode(stored, index, **options)
        if data is None:
            return None
        segment: NDArray[np.generic] = np.asarray(data)[0]
        if (
            segment.ndim != 3
            or segment.shape[2] != self._contiguous_samples
            or min(segment.shape[:2]) < min(shape[1:3])
        ):
            raise ValueError(f"segment {index} decodes to shape {segment.shape}")
        self._cache.put(key, segment)
        return segment

    def _stored_bytes(self, page: TiffPage, file: PositionalFile, index: int) -> bytes:
        """Return the encoded bytes of a segment, whose declared size may exceed the end of the file.

        Some programs declare the size of a whole strip for the last one, which has fewer rows.

        Raises
        ------
        OSError
            If bytes are missing.
        """
        offset, size = int(page.dataoffsets[index]), int(page.databytecounts[index])
        available = file.size() - offset
        if size <= available:
            return file.read(offset, size)
        height = self._segment[0]
        rows = min(height, self._height - index % -(-self._height // height) * height)  # of a strip
        row_bytes = -(-self._width * self._contiguous_samples * int(self._keyframe.bitspersample) // 8)
        stored = file.read(offset, max(0, available))
        if self._keyframe.is_tiled or not is_complete(stored, int(self._keyframe.compression), rows * row_bytes):
            raise OSError(f"segment {index} is {size} bytes long, the file ends after {available}: it is not complete")
        return stored

    def _read_rows(self, number: int, rows: range, cols: range, samples: range, out: NDArray[np.generic]) -> None:
        """Read uncompressed rows into `out`."""
        start = self._uncompressed_offset(number)
        if start is None:
            self._read_segments(number, rows, cols, samples, out)
            return
        file = self._file(self._stored_page(number))
        plane = self._height * self._width * self._contiguous_samples * self.dtype.itemsize
        for k, s in enumerate(samples if self._planar else (0,)):
            block = self._read_rows_from(file, start + s * plane, rows, cols)
            if self._planar:
                out[k] = block[..., 0]
            else:
                out[:] = np.moveaxis(block[..., list(samples)], -1, 0)

    def _read_rows_from(self, file: PositionalFile, start: int, rows: range, cols: range) -> NDArray[np.generic]:
        """Read rows that begin at `start` as (h, w, contiguous samples): at once if they are close, else one by one."""
        stored = self.dtype.newbyteorder(self._keyframe.parent.byteorder)
        pixel = self._contiguous_samples * stored.itemsize
        left, right = cols[0], cols[-1] + 1
        if rows.step == 1 and 2 * (right - left) >= self._width:
            data = file.read(start + rows[0] * self._width * pixel, len(rows) * self._width * pixel)
            block = np.frombuffer(data, stored).reshape(len(rows), self._width, self._contiguous_samples)[:, left:right]
        else:
            block = np.empty((len(rows), right - left, self._contiguous_samples), stored)
            view = block.view(np.uint8).reshape(len(rows), -1).data
            for i, row in enumerate(rows):
                file.read_into(start + (row * self._width + left) * pixel, view[i : i + 1])
        return block[:, :: cols.step]

    def _uncompressed_offset(self, number: int = 0) -> int | None:
        """Return the offset of a page's uncompressed, contiguous rows; None if it has none."""
        keyframe = self._keyframe
        stored = np.dtype(self._series.dtype)
        plain = (
            keyframe.compression == 1
            and keyframe.predictor in (0, 1)
            and keyframe.fillorder == 1
            and not keyframe.is_tiled
        )
        if not plain or keyframe.bitspersample != stored.itemsize * 8 or stored.kind == "b" or keyframe.is_subsampled:
            return None
        size = self._samples * self._height * self._width * stored.itemsize
        if self._series.dataoffset is not None:
            start: int = self._series.dataoffset + number * size
            return start
        page = self._page(number)
        if page is None or not page.is_contiguous or not page.dataoffsets:
            return None
        first: int = page.dataoffsets[0]
        return first

    def _check_segments(self) -> None:
        keyframe = self._keyframe
        if keyframe.is_tiled:
            self._segment = (int(keyframe.tilelength), int(keyframe.tilewidth), self._contiguous_samples)
        else:
            self._segment = (min(int(keyframe.rowsperstrip), self._height), self._width, self._contiguous_samples)
        if min(self._segment) < 1:
            raise ValueError(f"segments of {self._segment}")
        size = math.prod(self._segment) * self.dtype.itemsize
        if not self._uncompressed and size > _SEGMENT_BYTES:
            raise OversizeError(f"one tile or strip of {self._segment[:2]} pixels takes {size / 2**30:.3g} GiB")

    def _page(self, number: int) -> TiffPage | None:
        """Return a page of the series, parsed once."""
        if number not in self._pages:
            with self._series.parent.filehandle.lock:
                self._pages[number] = self._series[number]  # the keyframe may be of another plane, in a set of files
        return self._pages[number]

    def _file(self, page: TiffPage) -> PositionalFile:
        path = page.parent.filehandle.path
        file = self._files.opened.get(path)
        return self._files.opened.setdefault(path, PositionalFile(path)) if file is None else file

    def _stored_page(self, number: int) -> TiffPage:
        """Return a page of the series.

        Raises
        ------
        ImageError
            If it is in no file that exists.
        """
        page = self._page(number)
        if page is None:
            plane = tuple(int(i) for i in np.unravel_index(number, self.leading)) if self.leading else ()
            raise ImageError(
                f"{self._keyframe.parent.filename}: plane {plane} is missing: it is in "
                f"{', '.join(self._files.missing) or 'no file'}",
                remedy="put all files of the set into one folder, or choose another plane or channel",
            )
        return page


def declared_nodata(page: TiffPage) -> float | None:
    """Return the value of GDAL's tag 42113, the number that its text begins with; None without one."""
    tag = page.tags.get(_GDAL_NODATA)
    found = None if tag is None else _NUMBER.match(str(tag.value).strip("\0 \t"))
    if found is None:
        return None
    return math.nan if found["nan"] else float(found[0])


def _fill_value(page: TiffPage, dtype: np.dtype[np.generic]) -> float:
    """Return the value of segments that the file does not store."""
    nodata = declared_nodata(page)
    if nodata is None or dtype.kind == "b":
        return 0
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max)  # type: ignore[type-var]
        return min(max(nodata, -limit), limit) if math.isfinite(nodata) else nodata
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    return int(nodata) if math.isfinite(nodata) and limits.min <= nodata <= limits.max else 0


def _slice(index: int | slice) -> slice:
    return index if isinstance(index, slice) else slice(int(index), int(index) + 1)


def _inside(wanted: range, start: int, size: int) -> range:
    """Return the positions in `wanted`, of positive step, of values within [start, start + size).

    >>> _inside(range(1, 20, 3), 6, 6)  # of 1, 4, 7, 10, 13 ...
    range(2, 4)
    """
    step, first = wanted.step, wanted[0]
    return range(max(0, -(-(start - first) // step)), min(len(wanted), -(-(start + size - first) // step)))


def _span(positions: Sequence[int]) -> slice:
    """Return a slice over evenly spaced, increasing positions."""
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    return slice(positions[0], positions[-1] + 1, step)
