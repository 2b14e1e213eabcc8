"""One scale level of a TIFF, read by positional reads and decoded segment by segment.

A *segment* is a tile or a strip. Nothing is shared between threads but the file descriptor and a small cache of
decoded segments, so reading scales over threads, which tifffile's own zarr view does not (IO.md).
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SEGMENT_BYTES = 1 << 30
_CACHE_BYTES = 128 << 20
_SERIAL_BYTES = 64 << 20
_LARGE_SEGMENT_PX = 1 << 24
_JPEG_KINDS = (6, 7, 34892, 33007)
_JPEG_2000 = (33003, 33004, 33005, 34712)
_LZMA = (34925,)

SegmentKey = tuple[str, int, int]
"""Path of the file, offset of the page, and index of the segment."""


class PositionalFile:
    """A file that many threads read at once, each at its own place.

    Parameters
    ----------
    path : str
        Opened at the first read, closed when nobody holds this any more.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._opened = self._state()
        weakref.finalize(self, os.close, self._descriptor)
        self._lock = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly `size` bytes.

        Raises
        ------
        OSError
            If the file ends before, was changed since it was opened, or is not there any more.
        """
        self._check()
        parts, missing = [], size
        while missing > 0:
            part = self._some(offset + size - missing, missing)
            if not part:
                raise OSError(f"the file ends at byte {offset + size - missing}, {missing} bytes early")
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill `target`; raises as `read`."""
        self._check()
        if hasattr(os, "preadv") and os.preadv(self._descriptor, [target], offset) == target.nbytes:
            return
        target.cast("B")[:] = self.read(offset, target.nbytes)

    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._descriptor).st_size

    def _check(self) -> None:
        if self._state() != self._opened:
            raise OSError("the file was changed since it was opened; open it again")

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    def _some(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, offset)
        with self._lock:  # Windows has no positional read
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, size)


def segment_cache(limit_bytes: int = _CACHE_BYTES) -> LRU[SegmentKey, NDArray[np.generic]]:
    """Return a cache of decoded segments; it holds one even if that is larger than the limit."""
    return LRU(limit_bytes=limit_bytes)


class TiffLevel:
    """One level of a TIFF series as an array that gives numpy; may be read from many threads at once.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        The level.
    files : dict
        `PositionalFile` by path; shared by the levels of an image.
    cache : LRU
        Shared by the levels of an image.

    Raises
    ------
    ValueError
        If the pages are of a kind that has to be read through tifffile's own view, or segments are too large.
    """

    def __init__(
        self, series: Any, files: dict[str, PositionalFile], cache: LRU[SegmentKey, NDArray[np.generic]]
    ) -> None:
        self._series, self._files, self._cache = series, files, cache
        key = self._key = series.keyframe
        self.shape: tuple[int, ...] = tuple(int(n) for n in series.shape)
        self.dtype: np.dtype[np.generic] = np.dtype(series.dtype).newbyteorder("=")
        page = tuple(int(n) for n in key.shape)
        self._lead = self.shape[: len(self.shape) - len(page)]
        axes = key.axes.upper()
        if self.shape[len(self._lead) :] != page or not set(axes) <= set("YXS") or key.imagedepth != 1:
            raise ValueError(f"pages of shape {page}, axes {axes} in a series of {self.shape}")
        self._axes = axes
        self._planar = axes.startswith("S")
        self._samples = page[axes.index("S")] if "S" in axes else 1
        self._contig = 1 if self._planar else self._samples
        self._height, self._width = page[axes.index("Y")], page[axes.index("X")]
        self._raw = self._raw_offset() is not None
        self._check_segments()
        self._pages: dict[int, Any] = {}
        self._serial = threading.Lock()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def strided(self) -> bool:
        """Whether reading every n-th row costs only those: uncompressed rows, one after the other."""
        return self._raw

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of what is decoded at once."""
        height, width = (1, self._width) if self._raw else self._segment[:2]
        sizes = {"Y": min(height, self._height), "X": min(width, self._width), "S": self._contig}
        return (1,) * len(self._lead) + tuple(sizes[a] for a in self._axes)

    @property
    def slow_reason(self) -> str | None:
        """Why it is slow to read, if it is."""
        if self._key.compression in _JPEG_2000:
            return "JPEG 2000 decodes at a few windows per second"
        if self._key.compression in _LZMA:
            return "LZMA decodes at a few windows per second"
        h, w = self.chunks[-2:] if self._axes.endswith("YX") else self.chunks[-3:-1]
        if not self._raw and h * w > _LARGE_SEGMENT_PX:
            return f"each read decodes {h * w / 1e6:.0f} Mpx, a strip of {h} x {w}"
        return None

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        lead, last = index[: len(self._lead)], index[len(self._lead) :]
        at = dict(zip(self._axes, last, strict=True))
        rows, cols = range(self._height)[_slice(at["Y"])], range(self._width)[_slice(at["X"])]
        samples = range(self._samples)[_slice(at.get("S", slice(None)))]
        choices = [range(n)[_slice(i)] for n, i in zip(self._lead, lead, strict=True)]
        planes = []
        for place in product(*choices):
            number = int(np.ravel_multi_index(place, self._lead)) if place else 0
            planes.append(self._plane(number, rows, cols, samples))
        block = np.stack(planes).reshape([len(c) for c in choices] + list(planes[0].shape))
        dropped = tuple(0 if not isinstance(i, slice) else slice(None) for i in index)
        found: NDArray[np.generic] = block[dropped]
        return found

    def _plane(self, number: int, rows: range, cols: range, samples: range) -> NDArray[np.generic]:
        """Part of one page, with the page's axes."""
        out = np.zeros((len(samples), len(rows), len(cols)), self.dtype)
        if rows and cols and samples:
            if self._raw:
                self._read_rows(number, rows, cols, samples, out)
            else:
                self._read_segments(number, rows, cols, samples, out)
        if "S" not in self._axes:
            single: NDArray[np.generic] = out[0]
            return single
        return out if self._planar else np.moveaxis(out, 0, -1)

    def _read_segments(self, number: int, rows: range, cols: range, samples: range, out: NDArray[np.generic]) -> None:
        """Decode every segment that the region touches, once, and copy what is wanted of it."""
        height, width = self._segment[:2]
        across, down = -(-self._width // width), -(-self._height // height)
        for s in samples if self._planar else (0,):
            for ty in range(rows[0] // height, rows[-1] // height + 1):
                for tx in range(cols[0] // width, cols[-1] // width + 1):
                    i, j = _inside(rows, ty * height, height), _inside(cols, tx * width, width)
                    if not (len(i) and len(j)):
                        continue
                    segment = self._decoded(number, (s * down + ty) * across + tx)
                    if segment is None:
                        out[_all(samples, s, self._planar), i[0] : i[-1] + 1, j[0] : j[-1] + 1] = self._key.nodata
                        continue
                    y, x = ([r[k] - t for k in ks] for r, ks, t in ((rows, i, ty * height), (cols, j, tx * width)))
                    part = segment[_span(y), _span(x)]  # (h, w, contiguous samples)
                    target = out[:, i[0] : i[-1] + 1, j[0] : j[-1] + 1]
                    if self._planar:
                        target[samples.index(s)] = part[..., 0]
                    else:
                        target[:] = np.moveaxis(part[..., list(samples)], -1, 0)

    def _decoded(self, number: int, index: int) -> NDArray[np.generic] | None:
        """A segment as (h, w, samples); None where the file holds nothing."""
        page = self._page(number)
        if page is None or index >= len(page.databytecounts):
            return None
        offset, size = int(page.dataoffsets[index]), int(page.databytecounts[index])
        if size == 0 or offset == 0:
            return None
        file = self._file(page)
        key = (file.path, offset, index)
        found = self._cache.get(key)
        if found is not None:
            return found
        if math.prod(self._segment) * self.dtype.itemsize > _SERIAL_BYTES:
            with self._serial:  # many threads at once must not decode many large strips
                found = self._cache.get(key)
                return self._decode(page, file, index, key) if found is None else found
        return self._decode(page, file, index, key)

    def _decode(self, page: Any, file: PositionalFile, index: int, key: SegmentKey) -> NDArray[np.generic] | None:
        size = int(page.databytecounts[index])
        if size > file.size():
            raise OSError(f"segment {index} is {size} bytes long, the file {file.size()}: it is not complete")
        options: dict[str, Any] = {}
        if self._key.compression in _JPEG_KINDS:
            options = {"jpegtables": page.jpegtables, "jpegheader": self._key.jpegheader}
        data, _, shape = self._key.decode(file.read(int(page.dataoffsets[index]), size), index, **options)
        if data is None:
            return None
        segment: NDArray[np.generic] = np.asarray(data)[0]
        if segment.ndim != 3 or segment.shape[2] != self._contig or min(segment.shape[:2]) < min(shape[1:3]):
            raise ValueError(f"segment {index} decodes to shape {segment.shape}")
        self._cache.put(key, segment)
        return segment

    def _read_rows(self, number: int, rows: range, cols: range, samples: range, out: NDArray[np.generic]) -> None:
        """Read uncompressed rows: all at once where they are near each other, else one by one."""
        start = self._raw_offset(number)
        if start is None:
            out[:] = self._key.nodata
            return
        file = self._file(self._page(number) or self._key)
        plane = self._height * self._width * self._contig * self.dtype.itemsize
        for k, s in enumerate(samples if self._planar else (0,)):
            block = self._rows_of(file, start + s * plane, rows, cols)
            if self._planar:
                out[k] = block[..., 0]
            else:
                out[:] = np.moveaxis(block[..., list(samples)], -1, 0)

    def _rows_of(self, file: PositionalFile, start: int, rows: range, cols: range) -> NDArray[np.generic]:
        """(h, w, contiguous samples) of a plane of rows that begins at `start`."""
        stored = self.dtype.newbyteorder(self._key.parent.byteorder)
        pixel = self._contig * stored.itemsize
        left, right = cols[0], cols[-1] + 1
        if rows.step == 1 and 2 * (right - left) >= self._width:
            data = file.read(start + rows[0] * self._width * pixel, len(rows) * self._width * pixel)
            block = np.frombuffer(data, stored).reshape(len(rows), self._width, self._contig)[:, left:right]
        else:
            block = np.empty((len(rows), right - left, self._contig), stored)
            view = block.view(np.uint8).reshape(len(rows), -1).data
            for i, row in enumerate(rows):
                file.read_into(start + (row * self._width + left) * pixel, view[i : i + 1])
        return block[:, :: cols.step]

    def _raw_offset(self, number: int = 0) -> int | None:
        """Where a page's uncompressed rows begin, if they lie one after the other."""
        key = self._key
        stored = np.dtype(self._series.dtype)
        plain = key.compression == 1 and key.predictor in (0, 1) and key.fillorder == 1 and not key.is_tiled
        if not plain or key.bitspersample != stored.itemsize * 8 or stored.kind == "b" or key.is_subsampled:
            return None
        size = self._samples * self._height * self._width * stored.itemsize
        if self._series.dataoffset is not None:
            start: int = self._series.dataoffset + number * size
            return start
        page = key if number == 0 else self._page(number)
        if page is None or not page.is_contiguous or not page.dataoffsets:
            return None
        first: int = page.dataoffsets[0]
        return first

    def _check_segments(self) -> None:
        key = self._key
        if key.is_tiled:
            self._segment = (int(key.tilelength), int(key.tilewidth), self._contig)
        else:
            self._segment = (min(int(key.rowsperstrip), self._height), self._width, self._contig)
        if min(self._segment) < 1:
            raise ValueError(f"segments of {self._segment}")
        size = math.prod(self._segment) * self.dtype.itemsize
        if not self._raw and size > _SEGMENT_BYTES:
            raise OversizeError(f"one tile or strip of {self._segment[:2]} pixels takes {size / 2**30:.3g} GiB")

    def _page(self, number: int) -> Any:
        """A page of the series, parsed once."""
        if number not in self._pages:
            with self._series.parent.filehandle.lock:
                self._pages[number] = self._key if number == 0 else self._series[number]
        return self._pages[number]

    def _file(self, page: Any) -> PositionalFile:
        path = page.parent.filehandle.path
        file = self._files.get(path)
        return self._files.setdefault(path, PositionalFile(path)) if file is None else file


class OversizeError(ValueError):
    """A segment that cannot be decoded in a sensible amount of memory."""


def _slice(index: Any) -> slice:
    return index if isinstance(index, slice) else slice(int(index), int(index) + 1)


def _inside(wanted: range, start: int, size: int) -> range:
    """Places in `wanted`, of positive step, of values within [start, start + size).

    >>> _inside(range(1, 20, 3), 6, 6)  # of 1, 4, 7, 10, 13 ...
    range(2, 4)
    """
    step, first = wanted.step, wanted[0]
    return range(max(0, -(-(start - first) // step)), min(len(wanted), -(-(start + size - first) // step)))


def _span(places: Sequence[int]) -> slice:
    """A slice over evenly spaced, growing places."""
    step = places[1] - places[0] if len(places) > 1 else 1
    return slice(places[0], places[-1] + 1, step)


def _all(samples: range, sample: int, planar: bool) -> slice:
    at = samples.index(sample) if planar else 0
    return slice(at, at + 1) if planar else slice(None)
