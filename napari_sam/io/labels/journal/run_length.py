"""Label images and masks as compressed runs, the form in which the journal keeps them."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.json_types import JsonObject

_HEADER = struct.Struct("<III")  # height, width, number of runs
_MOST_PX = 1 << 28  # of a label image or mask
REMEDY = "save what is sound with LabelStore.repair(path), or restore the store from a backup"
_LEVEL = 1  # of zlib: runs are short already


def encode_labels(labels: NDArray[np.integer]) -> bytes:
    """Return a label image as runs of equal values in row-major order, compressed.

    Parameters
    ----------
    labels : ndarray of int
        (h, w), at least one pixel, values from 0 to 2 ** 32 - 1.

    Examples
    --------
    >>> decode_labels(encode_labels(np.array([[0, 7], [7, 7]])))
    array([[0, 7],
           [7, 7]], dtype=uint32)
    """
    flat = np.ascontiguousarray(labels, np.uint32).ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1)).astype(np.uint32)
    lengths = np.diff(np.append(starts, np.uint32(flat.size)))
    body = lengths.astype("<u4").tobytes() + flat[starts].astype("<u4").tobytes()
    return _HEADER.pack(*labels.shape, len(starts)) + zlib.compress(body, _LEVEL)


def decode_labels(data: bytes, shape: tuple[int, int] | None = None) -> NDArray[np.uint32]:
    """Return the label image (h, w) that `encode_labels` wrote.

    Parameters
    ----------
    data : bytes
        The runs. Their sizes are checked before memory is allocated.
    shape : (int, int), optional
        Shape that the label image must have.

    Raises
    ------
    StoreError
        If the bytes are damaged, or of another shape.
    """
    try:
        height, width, count = _HEADER.unpack_from(data)
        if shape is not None and (height, width) != tuple(shape):
            raise ValueError(f"{height} x {width} pixels, not {shape[0]} x {shape[1]}")
        _check_size(height, width)
        if not 0 < count <= height * width:
            raise ValueError(f"{count} runs in {height} x {width} pixels")
        body = np.frombuffer(decompress(data[_HEADER.size :], 8 * count), "<u4")
        lengths, values = body[:count], body[count:]
        if int(lengths.sum(dtype=np.int64)) != height * width:
            raise ValueError(f"{count} runs do not fill {height} x {width} pixels")
        labels: NDArray[np.uint32] = np.repeat(values.astype(np.uint32), lengths).reshape(height, width)
    except (struct.error, zlib.error, ValueError) as error:
        raise StoreError(f"runs of {len(data)} bytes are damaged: {error}", remedy=REMEDY) from error
    return labels


def decompress(data: bytes, size: int) -> bytes:
    """Return zlib's output of a known size, without ever making more.

    Raises
    ------
    ValueError, zlib.error
        If it has another size, or the data are damaged.
    """
    decompressor = zlib.decompressobj()
    output = decompressor.decompress(data, size + 1)
    if len(output) != size or not decompressor.eof:
        raise ValueError(f"compressed data do not hold {size} bytes")
    return output


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= _MOST_PX:
        raise ValueError(f"{height} x {width} pixels")


def encode_mask(mask: NDArray[np.bool_]) -> JsonObject:
    """Return a mask as COCO's uncompressed run lengths: column-major, the first run is background.

    >>> encode_mask(np.array([[False, True], [True, True]]))
    {'size': [2, 2], 'counts': [1, 3]}
    """
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate(([0], edges, [flat.size]))
    counts = np.diff(bounds).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": [int(n) for n in mask.shape], "counts": counts}


def decode_mask(runs: JsonObject) -> NDArray[np.bool_]:
    """Return the mask (h, w) of COCO's uncompressed run lengths.

    Raises
    ------
    StoreError
        If they are damaged.
    """
    try:
        height, width = (int(n) for n in runs["size"])
        _check_size(height, width)
        counts = np.asarray(runs["counts"], np.int64)
        if counts.ndim != 1 or (counts < 0).any() or float(counts.sum(dtype=np.float64)) != height * width:
            raise ValueError(f"{counts.size} runs do not fill {height} x {width} pixels")
        values = np.arange(len(counts)) % 2 == 1
        mask: NDArray[np.bool_] = np.repeat(values, counts).reshape((height, width), order="F")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"the runs of a mask are damaged: {error}", remedy=REMEDY) from error
    return mask


def labels_from_text(text: str) -> NDArray[np.uint32]:
    """Return the label image (h, w) from base64 of what `encode_labels` wrote; exported scripts contain such text."""
    return decode_labels(base64.b64decode(text))
