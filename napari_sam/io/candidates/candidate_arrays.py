"""Candidates as the arrays of one file, and back."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.concepts.feature_layout import FeatureLayout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_LARGEST_SIDE = 1 << 20  # of a mask; more is damage


def arrays_of(candidates: Candidates) -> dict[str, NDArray[np.generic]]:
    """Return candidates as arrays; masks are packed to bits and compressed."""
    shapes = np.array([mask.shape for mask in candidates.masks], np.int64).reshape(-1, 2)
    bits = [np.ascontiguousarray(mask).ravel() for mask in candidates.masks]
    packed = np.packbits(np.concatenate(bits)) if bits else np.zeros(0, np.uint8)
    layout = candidates.layout
    described = {
        "weights": layout.weights,
        "model": layout.model,
        "groups": layout.groups,
        "version": layout.version,
        "factor": candidates.factor,
    }
    return {
        "about": np.array(json.dumps(described)),
        "boxes": np.asarray(candidates.boxes, np.int64),
        "shapes": shapes,
        "masks": np.frombuffer(zlib.compress(packed.tobytes(), 1), np.uint8),
        "predicted_iou": np.asarray(candidates.predicted_iou, np.float32),
        "stability_score": np.asarray(candidates.stability_score, np.float32),
        "features": np.asarray(candidates.features, np.float32),
    }


def candidates_from(read: Callable[[str], NDArray[np.generic]]) -> Candidates:
    """Return the candidates of arrays.

    Parameters
    ----------
    read : callable
        Returns the array of a name that `arrays_of` gives.

    Raises
    ------
    ValueError, KeyError, TypeError, zlib.error
        If the arrays are damaged.
    """
    about = json.loads(str(read("about")))
    groups = tuple((str(name), int(count)) for name, count in about["groups"])
    layout = FeatureLayout(str(about["weights"]), str(about["model"]), groups, int(about["version"]))
    boxes, shapes = _checked(read("boxes"), "i", 4), _checked(read("shapes"), "i", 2)
    count, factor = len(boxes), int(about["factor"])
    features = _checked(read("features"), "f", layout.width)
    iou, stability = (_checked(read(name), "f", 0) for name in ("predicted_iou", "stability_score"))
    if factor < 1 or {len(shapes), len(features), len(iou), len(stability)} != {count}:
        raise ValueError(f"{count} boxes, {len(shapes)} masks and {len(features)} rows of features")
    if count and (shapes.min() < 1 or shapes.max() > _LARGEST_SIDE):
        raise ValueError(f"a mask of {shapes.min()} to {shapes.max()} pixels along an axis")
    masks = _unpacked(np.asarray(read("masks"), np.uint8).tobytes(), shapes)
    scores = (iou.astype(np.float32), stability.astype(np.float32))
    return Candidates(boxes.astype(np.int64), masks, *scores, features.astype(np.float32), layout, factor)


def _checked(array: NDArray[np.generic], kind: str, columns: int) -> NDArray[np.generic]:
    """Return a table with `columns` columns, or with 0 a single column, of numbers of a kind."""
    if array.dtype.kind != kind or array.ndim != 1 + (columns > 0) or (columns and array.shape[1] != columns):
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype}")
    return array


def _unpacked(compressed: bytes, shapes: NDArray[np.generic]) -> tuple[NDArray[np.bool_], ...]:
    """Return the masks of compressed bits."""
    sizes = shapes.astype(np.int64).prod(1) if len(shapes) else np.zeros(0, np.int64)
    total = int(sizes.sum())
    expander = zlib.decompressobj()
    packed = np.frombuffer(expander.decompress(compressed, -(-total // 8) + 1), np.uint8)
    if packed.size != -(-total // 8):
        raise ValueError(f"{packed.size} bytes of masks, where {-(-total // 8)} were expected")
    bits = np.unpackbits(packed, count=total).astype(bool)
    ends = np.cumsum(sizes)
    parts = np.split(bits, ends[:-1]) if len(ends) else []
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes.tolist(), strict=True))
