"""Objects of files of other programs, or of our own exports, drawn into a label store."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.class_styles import cleaned_name
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.editing.commit_many import NewObject
from napari_sam.io.labels.importing.import_stack import StackTarget, import_label_stack
from napari_sam.io.labels.importing.import_tracks import import_tracks
from napari_sam.io.prompts.check_prompts import check_prompts
from napari_sam.io.prompts.formats.label_classes import read_label_classes
from napari_sam.io.prompts.formats.prompt_files import label_image, rows_of_file
from napari_sam.io.prompts.prompt_planes import names_planes, rows_on_plane

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.importing.import_settings import ImportSettings
    from napari_sam.io.labels.journal.rows import Plane, Record
    from napari_sam.io.prompts.prompt_rows import PromptRows
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.io.step_counter import StepCounter

_BATCH_PX = 1 << 26  # of the masks of one change


class ImportTarget(StackTarget, Protocol):
    """The store that objects are drawn into."""

    @property
    def path(self) -> Path:
        """Folder of the store."""
        ...

    def meta(self, key: str) -> Any:
        """Return a fact about the image."""
        ...

    def commit_many(
        self,
        objects: Sequence[NewObject],
        overlap: str,
        *,
        plane: Plane,
        source: Record | None,
        classes: Sequence[ClassStyle],
    ) -> list[int]:
        """Write several objects, and the classes that they bring, as one change."""
        ...


def import_objects(
    store: ImportTarget, path: str | Path, plane: Plane, settings: ImportSettings, counter: StepCounter
) -> list[int]:
    """Draw the objects of a file into a store.

    Parameters
    ----------
    store : LabelStore
        The store.
    path : str or Path
        Label image (TIFF, PNG, zarr ...), GeoJSON (also QuPath's), GeoPackage, COCO, ImageJ ROIs (.roi, .zip), or a
        ``_seg.npy`` file of Cellpose.
    plane : tuple of int
        Plane to draw on; objects of other planes are left out. Without one, a label image of a whole stack is drawn on
        all planes, each number as one object, undone in one step. So are outlines that name their planes: those with
        one ``track_id`` (COCO, also of videos; GeoJSON) are one object.
    settings : ImportSettings
        How they are imported.
    counter : StepCounter
        Progress, one step per object; for a whole stack two per plane.

    Returns
    -------
    list of int
        Id of each object with pixels in the image; 0 if no pixel was free for it.

    Raises
    ------
    LabelsError
        If the file has boxes or points only, or labels that do not fit.
    """
    path = Path(path).expanduser()
    stack = None if plane or len(store.shape) < 3 else label_image(path)
    if stack is not None:
        classes = read_label_classes(path)
        return import_label_stack(store, stack, str(store.meta("axes")), settings, counter, classes=classes)
    frame = _image_of_store(store, plane)
    rows = rows_of_file(path, frame, settings.coordinates, None)
    if not plane and len(store.shape) > 2:
        _check_has_outlines(path, rows)
        return import_tracks(store, rows, frame, settings, counter)
    table = check_prompts(rows_on_plane(rows, frame)[0], frame.shape, skip=False, masks=True)
    _check_has_outlines(path, table)
    counter.begin(len(table))
    ids: list[int] = []
    for batch in _batches(table, frame.shape, path.name, settings.category):
        counter.check()
        source = {"kind": "import", "file": path.name}
        ids += store.commit_many(batch, settings.overlap, plane=plane, source=source, classes=table.classes)
        for _ in batch:
            counter.step()
    return ids


def _check_has_outlines(path: Path, found: PromptRows | PromptTable) -> None:
    if found.mask is None:
        raise LabelsError(
            f"{path}: has no outlines or labels, only boxes or points",
            remedy="segment the objects there: napari-sam everything IMAGE OUT --prompts FILE",
        )


def is_of_whole_stack(path: str | Path, image: Image) -> bool:
    """Return whether the objects of a file go through the planes of a stack, instead of lying on one of them.

    Parameters
    ----------
    path : str or Path
        As for `import_objects`.
    image : Image
        The image that the objects lie on.

    Raises
    ------
    PromptError, ImageError
        If the file does not exist, or is damaged.
    """
    if math.prod(image.plane_axes.values()) < 2:
        return False
    return label_image(path) is not None or names_planes(rows_of_file(path, image, "auto", None), image)


def _image_of_store(store: ImportTarget, plane: Plane) -> Image:
    """Return an image of the store's shape and place on the map."""
    labels, transform = open_image(store.path), store.meta("transform")
    uri = (store.meta("image") or {}).get("uri")
    image = replace(
        labels,
        crs=store.meta("crs"),
        transform=None if transform is None else tuple(float(v) for v in transform),
        uri=None if uri is None else str(uri),
    )
    return image.with_plane(plane, image.selected) if plane else image


def _batches(
    table: PromptTable, shape: tuple[int, int], name: str, category: str | None
) -> Iterator[Sequence[NewObject]]:
    """Yield the objects with pixels inside the image, those of a change at a time."""
    bounds, batch, size = Box(0, 0, *shape), list[NewObject](), 0
    for i in range(len(table)):
        mask = None if table.mask is None else table.mask(i)
        if mask is None:
            continue
        box = Box(*mask.bbox)
        inside = box.intersection(bounds)
        if inside.is_empty:
            continue
        score = float(table.score[i])
        record = {
            "category": cleaned_name(table.category[i]) or category,
            "predicted_iou": None if np.isnan(score) else score,
            "number": int(table.number[i]),
        }
        batch.append(NewObject(mask.mask[inside.slices_in(box)], inside, record))
        size += inside.area
        if size > _BATCH_PX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
