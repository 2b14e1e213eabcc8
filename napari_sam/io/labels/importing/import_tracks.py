"""Outlines on the planes of a stack, drawn into a label store: one object through all planes for each track."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.io.class_styles import cleaned_name
from napari_sam.io.images.pyramid_files import chunk_boxes
from napari_sam.io.labels.importing.import_stack import BLOCK_PX
from napari_sam.io.prompts.check_prompts import check_prompts
from napari_sam.io.prompts.prompt_planes import rows_by_plane
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.editing.run_writer import RunBegin
    from napari_sam.io.labels.importing.import_settings import ImportSettings
    from napari_sam.io.labels.importing.import_stack import StackTarget
    from napari_sam.io.labels.journal.rows import Plane
    from napari_sam.io.prompts.prompt_rows import PromptRows
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.io.step_counter import StepCounter

_DECODED_MASKS = 64  # that stay decoded, for objects on several blocks

Key = str | tuple["Plane", int]
"""Name of a track; plane and row of an object that belongs to none."""


def import_tracks(
    store: StackTarget, rows: PromptRows, stack: Image, settings: ImportSettings, counter: StepCounter
) -> list[int]:
    """Draw outlines on the planes that they name; those of one track are one object, and undo is one step.

    Parameters
    ----------
    store : LabelStore
        The store.
    rows : PromptRows
        Outlines with their planes and tracks; the first is on top. Those without a track are objects of one plane.
    stack : Image
        An image with the planes of the store.
    settings : ImportSettings
        Overlap and category.
    counter : StepCounter
        Progress, one step for each outline.

    Returns
    -------
    list of int
        Id of each object, in the order in which they appear, plane by plane; 0 if no pixel was free for it.

    Raises
    ------
    PromptError
        If an outline names no plane of the stack, or is not valid.
    CancelledError
        If `counter` is cancelled; what is written stays, and undo takes it back.
    """
    tracks = _Tracks(settings.category)
    for plane, part in rows_by_plane(rows, stack).items():
        tracks.add(plane, check_prompts(part, stack.shape, skip=False, masks=True))
    counter.begin(sum(map(len, tracks.tables.values())))
    if not tracks.index:
        return []
    writer = store.run_writer(f"import-{uuid.uuid4()}", overlap=settings.overlap)
    begin = writer.begin({"kind": "import", "file": rows.name}, len(tracks.index), rows.classes)
    for plane, table in tracks.tables.items():
        ids = tracks.ids(plane, begin)
        details = tracks.details(plane, begin)
        for block, pixels in _blocks(table, ids, stack.shape):
            counter.check()
            tile = "/".join(map(str, (*plane, block.y0, block.x0)))
            writer.write(pixels, (block.y0, block.x0), tile=tile, begin=begin, details=details, plane=plane)
        for _ in range(len(table)):
            counter.step()
    if tracks.parents:
        writer.set_parents(tracks.parent_ids(begin), tile="parents", begin=begin)
    labels = [begin.first_label + i for i in range(len(tracks.index))]
    drawn = store.journal.objects.rows(labels)
    return [label if label in drawn else 0 for label in labels]


@dataclass
class _Tracks:
    """The outlines of all planes, and which of them are one object.

    Attributes
    ----------
    default_category : str or None
        Category of objects for which the file gives none.
    tables : dict of tuple to PromptTable
        Outlines by plane.
    index : dict
        Number of each object from 0, in the order of their first outline.
    category : dict of int to str
        Categories by number.
    parents : dict of str to str
        Parent of each track that has one.
    """

    default_category: str | None
    tables: dict[Plane, PromptTable] = field(default_factory=dict)
    index: dict[Key, int] = field(default_factory=dict)
    category: dict[int, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)

    def add(self, plane: Plane, table: PromptTable) -> None:
        """Add the outlines of a plane."""
        self.tables[plane] = table
        for i, key in enumerate(self._keys(plane)):
            number = self.index.setdefault(key, len(self.index))
            category = cleaned_name(table.category[i])
            if category is not None:
                self.category.setdefault(number, category)
            parent = table.parent[i] if table.parent else None
            if isinstance(key, str) and parent is not None:
                self.parents.setdefault(key, parent)

    def ids(self, plane: Plane, begin: RunBegin) -> NDArray[np.uint32]:
        """Return the id of each outline of a plane (n,)."""
        return np.array([begin.first_label + self.index[key] for key in self._keys(plane)], np.uint32)

    def details(self, plane: Plane, begin: RunBegin) -> dict[int, dict[str, object]]:
        """Return category and score of the objects of a plane, by id."""
        scores = self.tables[plane].score.tolist()
        numbers = [self.index[key] for key in self._keys(plane)]
        return {
            begin.first_label + number: {
                "category": self.category.get(number, self.default_category),
                "predicted_iou": None if score != score else score,  # NaN: the file gives none
            }
            for number, score in zip(numbers, scores, strict=True)
        }

    def parent_ids(self, begin: RunBegin) -> dict[int, int | None]:
        """Return the parent of each object by its id, as far as the file holds both."""
        return {
            begin.first_label + self.index[child]: begin.first_label + self.index[parent]
            for child, parent in self.parents.items()
            if parent in self.index and parent != child
        }

    def _keys(self, plane: Plane) -> list[Key]:
        table = self.tables[plane]
        names = table.track or [None] * len(table)
        return [(plane, i) if name is None else name for i, name in enumerate(names)]


def _blocks(
    table: PromptTable, ids: NDArray[np.uint32], shape: tuple[int, int]
) -> Iterator[tuple[Box, NDArray[np.uint32]]]:
    """Iterate over the blocks of a plane that show objects, each with their ids (h, w), the first outline on top."""
    masks: LRU[int, MaskPrompt | None] = LRU(limit_count=_DECODED_MASKS)
    read = table.mask or (lambda _: None)
    y0, x0, y1, x1 = table.boxes.T
    for block in chunk_boxes(shape, (BLOCK_PX, BLOCK_PX)):
        inside = (y0 < block.y1) & (x0 < block.x1) & (y1 > block.y0) & (x1 > block.x0)
        if not inside.any():
            continue
        pixels = np.zeros(block.shape, np.uint32)
        for i in np.flatnonzero(inside).tolist():
            prompt = masks.get_or_compute(i, lambda i=i: read(i))  # type: ignore[misc]
            if prompt is None:
                continue
            box = Box(*prompt.bbox)
            shared = box.intersection(block)
            if shared.is_empty:
                continue
            part = pixels[shared.slices_in(block)]
            part[prompt.mask[shared.slices_in(box)] & (part == 0)] = ids[i]
        if pixels.any():
            yield block, pixels
