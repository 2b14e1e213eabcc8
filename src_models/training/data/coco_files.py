"""Read COCO instance files, and draw their polygons and run lengths as label images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from src_models.even_odd import even_odd_mask
from src_models.model_errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MAX_DIGITS = 12  # of one compressed run, five bits each
_MAX_COORDINATE_PX = 1e9  # larger coordinates are mistakes


@dataclass
class CocoImage:
    """Entries of a COCO file for an image.

    Attributes
    ----------
    file_name : str
        Name in the file, with forward slashes.
    shape : (int, int) or None
        Height and width in pixels, if the file has them.
    segmentations : list of (str, object)
        Name of each annotation, for messages, and its polygons or run lengths as in the file.
    crowds : int
        Number of skipped annotations that outline a crowd, not an object.
    maskless : int
        Number of skipped annotations without a segmentation.
    """

    file_name: str
    shape: tuple[int, int] | None
    segmentations: list[tuple[str, object]] = field(default_factory=list)
    crowds: int = 0
    maskless: int = 0

    def add(self, name: str, annotation: Mapping[str, object]) -> None:
        """Add an annotation of this image."""
        if annotation.get("iscrowd"):
            self.crowds += 1
        elif not annotation.get("segmentation"):
            self.maskless += 1
        else:
            self.segmentations.append((name, annotation["segmentation"]))


def read_coco(path: Path) -> list[CocoImage]:
    """Read the tables of a COCO file, without drawing segmentations or opening images.

    Raises
    ------
    TrainingError
        If the file is not COCO, or an annotation names an image that is not in the file.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path}: cannot be read as JSON: {error}", remedy="export it again") from error
    image_rows, annotation_rows = (_table(raw, name, path) for name in ("images", "annotations"))
    images: dict[int | str, CocoImage] = {}
    for row in image_rows:
        number, name = row.get("id"), row.get("file_name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            message = f"{path} is not COCO: the image {_short(row)} has no 'id' and 'file_name'"
            raise TrainingError(message, remedy="add them")
        if number in images:
            raise TrainingError(f"{path}: image id {number!r} occurs twice", remedy="give every image its own id")
        images[number] = CocoImage(name.replace("\\", "/"), _shape(row))
    for position, row in enumerate(annotation_rows):
        where = f"{path}: annotation {row.get('id', f'number {position}')}"
        number = row.get("image_id")
        if not isinstance(number, int | str) or number not in images:
            message = f"{where}: image id {number!r} is not in 'images'"
            raise TrainingError(message, remedy="add the image, or remove the annotation")
        images[number].add(where, row)
    return list(images.values())


def _table(content: object, name: str, path: Path) -> list[dict[str, object]]:
    """Return a list of objects of a JSON file."""
    table = content.get(name) if isinstance(content, dict) else None
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        message = f"{path} is not COCO: it has no lists 'images' and 'annotations'"
        raise TrainingError(message, remedy="give an instances file")
    return table


def render(segmentations: Sequence[tuple[str, object]], shape: tuple[int, int]) -> tuple[NDArray[np.int32], int]:
    """Draw the objects of an image, small objects on top of large ones.

    Parameters
    ----------
    segmentations : sequence of (str, object)
        Name and COCO segmentation of each object.
    shape : (int, int)
        Height and width of the image in pixels.

    Returns
    -------
    labels : ndarray of int32
        (H, W); objects are numbered from 1 in the order given, 0 is background.
    hidden : int
        Number of objects without a visible pixel: outside the image, without area, or covered by others.

    Raises
    ------
    TrainingError
        If a segmentation is broken.
    """
    labels = np.zeros(shape, np.int32)
    drawn = [object_mask(segmentation, shape, where) for where, segmentation in segmentations]
    areas = [int(mask.sum()) for mask, _ in drawn]
    for i in sorted(range(len(drawn)), key=lambda i: -areas[i]):
        mask, (y, x) = drawn[i]
        labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = i + 1
    return labels, len(drawn) - len(np.unique(labels[labels > 0]))


def object_mask(
    segmentation: object, shape: tuple[int, int], where: str = "segmentation"
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Draw a COCO segmentation: polygons, run lengths, or compressed run lengths.

    Parameters
    ----------
    segmentation : list or dict
        Polygons [[x, y, x, y, ...], ...], or ``{"size": [H, W], "counts": ...}``.
    shape : (int, int)
        Height and width of the image in pixels.
    where : str
        Name of the segmentation in messages.

    Returns
    -------
    mask : ndarray of bool
        (h, w), bounding box of the object.
    origin : (int, int)
        (y, x) of its first pixel in the image.

    Raises
    ------
    TrainingError
        If it is neither, or does not fit the image.

    Examples
    --------
    >>> mask, origin = object_mask([[2, 3, 6, 3, 6, 7, 2, 7]], (10, 10))
    >>> mask.shape, int(mask.sum()), origin
    ((4, 4), 16, (3, 2))
    >>> mask, origin = object_mask({"size": [2, 3], "counts": [1, 2, 3]}, (2, 3))
    >>> mask.astype(int).tolist(), origin
    ([[0, 1], [1, 0]], (0, 0))
    """
    if isinstance(segmentation, dict):
        return _runs_mask(segmentation, shape, where)
    polygons = []
    for ring in segmentation if isinstance(segmentation, list) else [segmentation]:
        try:
            flat = np.array(ring, dtype=float)
        except (TypeError, ValueError):
            flat = np.full(1, np.nan)
        if flat.ndim != 1 or len(flat) % 2 or not (np.abs(flat) < _MAX_COORDINATE_PX).all():  # false for NaN, too
            message = f"{where}: {_short(ring)} is not a polygon"
            raise TrainingError(message, remedy="give lists [[x, y, x, y, ...], ...]")
        polygons.append(flat.reshape(-1, 2))
    points = np.concatenate(polygons) if polygons else np.zeros((0, 2))
    if not len(points):
        return np.zeros((0, 0), bool), (0, 0)
    x0, y0 = np.clip(np.floor(points.min(0)), 0, shape[::-1]).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(0)), 0, shape[::-1]).astype(int)
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    for polygon in polygons:
        mask |= even_odd_mask(polygon - (x0, y0), mask.shape)
    return mask, (int(y0), int(x0))


def _runs_mask(
    segmentation: Mapping[str, object], shape: tuple[int, int], where: str
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Draw alternating runs of background and object that follow the columns."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(shape):
        message = f"{where}: run lengths of size {_short(size)} do not fit the image's {list(shape)}"
        raise TrainingError(message, remedy="use the image that was annotated")
    if isinstance(counts, str):
        counts = decompress(counts, where)
    if not isinstance(counts, list) or not all(isinstance(c, int) and c >= 0 for c in counts):
        message = f"{where}: counts {_short(counts)} are no run lengths"
        raise TrainingError(message, remedy="give a list or a string of run lengths")
    h, w = shape
    if sum(counts) != h * w:
        message = f"{where}: run lengths add up to {sum(counts)}, not to the {h} x {w} pixels of the image"
        raise TrainingError(message, remedy="export the file again")
    ends = np.cumsum([0, *counts])
    used = np.flatnonzero(counts[1::2])
    if not len(used):
        return np.zeros((0, 0), bool), (0, 0)
    left, right = ends[2 * used[0] + 1] // h, -(-ends[2 * used[-1] + 2] // h)  # columns with the object
    inner = np.diff(np.clip(ends, left * h, right * h))
    mask = np.repeat(np.arange(len(inner)) % 2 == 1, inner).reshape(-1, h).T
    return mask, (0, int(left))


def decompress(text: str, where: str = "segmentation") -> list[int]:
    """Decode the run lengths of COCO's compressed string.

    Each character has five bits of a number, low bits first, and a sixth bit that is set if the number continues. From
    the fourth number on, they are differences to the number two before.

    Raises
    ------
    TrainingError
        If the string is broken.

    Examples
    --------
    >>> decompress("5220003")
    [5, 2, 2, 2, 2, 2, 5]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift >= 5 * _MAX_DIGITS:
            message = f"{where}: {_short(text)} is no compressed run length: {character!r} is not allowed there"
            raise TrainingError(message, remedy="export the file again")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (1 << shift) if code & 16 else 0  # the last character holds the sign
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        message = f"{where}: {_short(text)} is no compressed run length: it is cut off"
        raise TrainingError(message, remedy="export the file again")
    return counts


def _shape(row: Mapping[str, object]) -> tuple[int, int] | None:
    """Return height and width of an image entry, if it has them."""
    height, width = row.get("height"), row.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _short(value: object) -> str:
    """Return a value as text for a message of one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
