"""Objects of a label store or a label image as prompts: their boxes, and their pixels as masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.errors import PromptError
from napari_sam.io.images.formats.masked_level import unmasked
from napari_sam.io.images.open_image import open_image
from napari_sam.io.images.pyramid_files import chunk_boxes
from napari_sam.io.object_boxes import boxes_of
from napari_sam.io.prompts.prompt_rows import BOX, PromptRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image

_BLOCK_PX = 2048


class ObjectTable(Protocol):
    """What is read of a label store."""

    @property
    def path(self) -> Path:
        """Folder of the store."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of level 0."""
        ...

    def table(self, *, by_plane: bool = False) -> pd.DataFrame:
        """Return the objects, one per row; with `by_plane` one row for each plane of an object."""
        ...


def rows_of_store(store: ObjectTable, image: Image) -> PromptRows:
    """Return the boxes of a label store's objects; masks are read from its pixels when they are needed.

    Raises
    ------
    PromptError
        If the store does not have the image's shape.
    """
    _check_shape(str(store.path), store.shape, image)
    table = store.table(by_plane=True)
    frame = table[[*BOX, "category"]].assign(score=table["predicted_iou"])
    if len(store.shape) > 2:
        frame = frame.assign(plane=table["plane"])
    numbers = table["label"].to_numpy(np.int64)
    pixels = _on_plane(open_image(store.path), image)  # stays readable when the store is closed
    boxes = frame[list(BOX)].to_numpy(np.int64)
    return PromptRows(frame, str(store.path), "object", numbers, _mask_reader(pixels, numbers, boxes))


def rows_of_labels(source: Any, image: Image, name: str) -> PromptRows:
    """Return the boxes of all objects of a label image, found block by block.

    Raises
    ------
    PromptError
        If it does not have the image's shape, or does not hold whole numbers.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    labels = unmasked(open_image(source))
    if labels.dtype.kind not in "biu" or labels.channel_count > 1:
        raise PromptError(
            f"{name}: {labels.channel_count} channels of {labels.dtype} are not labels",
            remedy="give a label image of whole numbers, a table, COCO or GeoJSON",
        )
    _check_shape(name, _shape_with_planes(labels), image)
    labels = _on_plane(labels, image)
    found = object_boxes(labels)
    if min(found, default=1) < 0:
        raise PromptError(
            f"{name}: label {min(found)} is negative", remedy="number objects from 1, and the background 0"
        )
    numbers = np.array(sorted(found), np.int64)
    boxes = np.array([found[n] for n in numbers.tolist()], np.int64).reshape(-1, 4)
    frame = pd.DataFrame(boxes, columns=list(BOX))
    return PromptRows(frame, name, "object", numbers, _mask_reader(labels, numbers, boxes))


def object_boxes(labels: Image, block_px: int = _BLOCK_PX) -> dict[int, Box]:
    """Return the box of every object of a label image, read in blocks of `block_px`."""
    boxes: dict[int, Box] = {}
    for block in chunk_boxes(labels.shape, (block_px, block_px)):
        part = labels.read(0, *block)[..., 0]
        for label, _, box in boxes_of(part.astype(np.int64)):
            moved = box.shift(block.y0, block.x0)
            boxes[label] = boxes[label].union(moved) if label in boxes else moved
    return boxes


def _shape_with_planes(image: Image) -> tuple[int, ...]:
    """Return the lengths of the axes of planes that have several, and the shape."""
    return (*(n for n in image.plane_axes.values() if n > 1), *image.shape)


def _on_plane(labels: Image, image: Image) -> Image:
    """Return labels of a stack at the plane of an image."""
    sizes = labels.plane_axes.values()
    if len(sizes) != len(image.plane):
        return labels
    return labels.with_plane([i if n > 1 else 0 for i, n in zip(image.plane, sizes, strict=True)], labels.selected)


def _check_shape(name: str, shape: tuple[int, ...], image: Image) -> None:
    if tuple(shape) not in (tuple(image.shape), _shape_with_planes(image)):
        raise PromptError(
            f"{name}: labels of shape {tuple(shape)} do not match the image of shape {tuple(image.shape)}",
            remedy="give labels of this image",
        )


def _mask_reader(
    labels: Image, numbers: NDArray[np.int64], boxes: NDArray[np.int64]
) -> Callable[[int], MaskPrompt | None]:
    """Return the function that reads the mask of an object."""

    def read_mask(i: int) -> MaskPrompt | None:
        y0, x0, y1, x1 = boxes[i].tolist()
        mask = labels.read(0, y0, x0, y1, x1)[..., 0] == numbers[i]
        return MaskPrompt(mask, (y0, x0, y1, x1)) if mask.any() else None

    return read_mask
