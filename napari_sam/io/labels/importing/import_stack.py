"""Label images of whole stacks, drawn into a label store: one object through all planes for each number."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.images.pyramid_files import chunk_boxes
from napari_sam.io.labels.journal.rows import LARGEST_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.editing.run_writer import RunWriter
    from napari_sam.io.labels.importing.import_settings import ImportSettings
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Plane
    from napari_sam.io.prompts.formats.label_classes import LabelClasses
    from napari_sam.io.step_counter import StepCounter

BLOCK_PX = 2048
"""Side of the blocks that are drawn at a time, level-0 pixels: a shard of the store."""


class StackTarget(Protocol):
    """The store that a stack is drawn into."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the label image."""
        ...

    @property
    def journal(self) -> Journal:
        """Its objects."""
        ...

    def run_writer(self, run_id: str, *, overlap: str = "keep") -> RunWriter:
        """Return a writer of changes that are undone together."""
        ...


def import_label_stack(
    store: StackTarget,
    labels: Image,
    axes: str,
    settings: ImportSettings,
    counter: StepCounter,
    *,
    classes: LabelClasses,
) -> list[int]:
    """Draw all planes of a label image into a store; pixels of one number are one object, and undo is one step.

    Two passes over the file, block by block: the first finds the numbers, the second draws them.

    Parameters
    ----------
    store : LabelStore
        The store.
    labels : Image
        Whole numbers, of the store's shape; axes of length 1 do not count.
    axes : str
        Names of the store's axes.
    settings : ImportSettings
        Overlap and category.
    counter : StepCounter
        Progress, two steps for each plane.
    classes : LabelClasses
        Classes of the objects, by their number in the file.

    Returns
    -------
    list of int
        Id of each object, by its number in the file; 0 if no pixel was free for it.

    Raises
    ------
    LabelsError
        If the file has another shape, or its values are not ids.
    CancelledError
        If `counter` is cancelled; what is written stays, and undo takes it back.
    """
    if labels.dtype.kind not in "biu" or labels.channel_count > 1:
        raise LabelsError(
            f"{labels.name}: {labels.channel_count} channels of {labels.dtype} are not labels",
            remedy="give a label image of whole numbers",
        )
    pairs = _paired_planes(labels, store.shape, axes)
    counter.begin(2 * len(pairs))
    numbers = _numbers(labels, pairs, counter)
    if not len(numbers):
        return []
    writer = store.run_writer(f"import-{uuid.uuid4()}", overlap=settings.overlap)
    begin = writer.begin({"kind": "import", "file": labels.name}, len(numbers), classes.classes)
    details = {
        begin.first_label + i: {"category": classes.category.get(number, settings.category)}
        for i, number in enumerate(numbers.tolist())
    }
    for plane, source in pairs:
        counter.check()
        for block, pixels in _blocks(labels, source):
            ids = np.where(pixels > 0, np.searchsorted(numbers, pixels) + begin.first_label, 0)
            if ids.any():
                tile = "/".join(map(str, (*plane, block.y0, block.x0)))
                writer.write(ids, (block.y0, block.x0), tile=tile, begin=begin, details=details, plane=plane)
        counter.step()
    drawn = store.journal.objects.rows(list(details))
    return [label if label in drawn else 0 for label in details]


def _paired_planes(labels: Image, shape: tuple[int, ...], axes: str) -> list[tuple[Plane, Plane]]:
    """Return each plane of a store with the plane of the file that belongs to it.

    Axes belong together by name if both have the same names, else by order.
    """
    sizes = labels.plane_axes
    ours = {axis: n for axis, n in zip(axes[:-2], shape[:-2], strict=True) if n > 1}
    theirs = {axis: n for axis, n in sizes.items() if n > 1}
    order = list(ours) if ours.keys() == theirs.keys() else list(theirs)
    if [theirs[axis] for axis in order] != list(ours.values()) or tuple(labels.shape) != shape[-2:]:
        described = ", ".join(f"{axis} {n}" for axis, n in (sizes | dict(zip("yx", labels.shape, strict=True))).items())
        wanted = ", ".join(f"{axis} {n}" for axis, n in zip(axes, shape, strict=True))
        raise LabelsError(
            f"{labels.name}: labels of {described} do not fit a store of {wanted}",
            remedy="give labels of the whole stack, or {plane} for those of one plane",
        )
    pairs = []
    for index in np.ndindex(*shape[:-2]):
        along = dict(zip(order, (i for i, n in zip(index, shape[:-2], strict=True) if n > 1), strict=True))
        pairs.append((tuple(int(i) for i in index), tuple(int(along.get(axis, 0)) for axis in sizes)))
    return pairs


def _numbers(labels: Image, pairs: list[tuple[Plane, Plane]], counter: StepCounter) -> NDArray[np.int64]:
    """Return all numbers in a label image except 0, ascending."""
    found = np.zeros(0, np.int64)
    for _, source in pairs:
        counter.check()
        parts = [np.unique(pixels) for _, pixels in _blocks(labels, source)]
        found = np.unique(np.concatenate([found, *parts]))
        counter.step()
    if len(found) and (found[0] < 0 or found[-1] > LARGEST_LABEL):
        raise LabelsError(
            f"{labels.name}: labels from {found[0]} to {found[-1]}",
            remedy=f"number objects from 1 to {LARGEST_LABEL}, and the background 0",
        )
    kept: NDArray[np.int64] = found[found != 0]
    return kept


def _blocks(labels: Image, plane: Plane) -> Iterator[tuple[Box, NDArray[np.int64]]]:
    """Iterate over the blocks of a plane of a label image."""
    image = labels.with_plane(plane, labels.selected)
    for block in chunk_boxes(labels.shape, (BLOCK_PX, BLOCK_PX)):
        yield block, image.read(0, *block)[..., 0].astype(np.int64)
