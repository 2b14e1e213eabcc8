"""Features of the objects of a label store, for concepts and classifiers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.concepts.example_features import measure_examples
from napari_sam.errors import CancelledError, ConceptError
from napari_sam.image_predictor import predictor_for_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.journal.rows import ObjectPlane, Plane
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.predictor import Predictor

_BATCH = 64  # objects whose windows are in memory together


@dataclass(frozen=True)
class StoreFeatures:
    """Features of objects of a store.

    Attributes
    ----------
    labels : tuple of int
        Ids of the objects, ascending.
    features : ndarray of float32
        (n, d), in the order of the labels.
    layout : FeatureLayout
        What the features mean.
    """

    labels: tuple[int, ...]
    features: NDArray[np.float32]
    layout: FeatureLayout

    def of(self, labels: Sequence[int]) -> NDArray[np.float32]:
        """Return the features of some of the objects, (m, d), in the order given."""
        position = {label: i for i, label in enumerate(self.labels)}
        return self.features[[position[int(label)] for label in labels]]


def store_features(
    image: Image,
    store: LabelStore,
    labels: Sequence[int] | None = None,
    predictor: Predictor | str | Path = "default",
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StoreFeatures:
    """Compute the features of objects, batch by batch, each in windows around it.

    An object on several planes of a stack is measured on the plane where it has most pixels.

    Parameters
    ----------
    image : Image
        The image of the objects.
    store : LabelStore
        The objects.
    labels : sequence of int, optional
        Ids; all by default.
    predictor : Predictor, str or Path
        A predictor, whose own image is not changed, or the name or file of a model.
    progress : callable, optional
        Called with the number of objects done and of all objects.
    cancelled : callable, optional
        Called between batches, which stop when it returns True.

    Raises
    ------
    LabelsError
        If a label does not exist.
    ConceptError
        If there is no object.
    CancelledError
        If `cancelled` returned True.
    """
    chosen = store.select(labels=labels)
    if not chosen:
        raise ConceptError("there is no object", parameter="labels", remedy="give labels of objects that exist")
    parts = [max(found, key=lambda part: part.area_px) for found in _planes_of(store, chosen)]
    diameter = float(np.median([2 * math.sqrt(part.area_px / math.pi) for part in parts]))
    rows: dict[int, NDArray[np.float32]] = {}
    layout: FeatureLayout | None = None
    for plane, batch in _batches(parts):
        if cancelled is not None and cancelled():
            raise CancelledError(f"stopped after {len(rows)} of {len(chosen)} objects")
        on_plane = image.with_plane(plane, image.selected) if plane else image
        masks = [store.mask(part.label, part.plane or None) for part in batch]
        own = predictor_for_image(predictor, on_plane)
        features, around = measure_examples(own, masks, diameter, cancelled)
        layout = around.layout
        rows.update({part.label: row for part, row in zip(batch, features, strict=True)})
        if progress is not None:
            progress(len(rows), len(chosen))
    assert layout is not None  # noqa: S101 - there is a batch
    return StoreFeatures(tuple(chosen), np.stack([rows[label] for label in chosen]), layout)


def _planes_of(store: LabelStore, labels: Sequence[int]) -> list[list[ObjectPlane]]:
    """Return what lies on each plane of objects."""
    parts = store.journal.objects.planes_of_many(labels)
    return [parts[label] for label in labels]


def _batches(parts: Sequence[ObjectPlane]) -> Iterator[tuple[Plane, list[ObjectPlane]]]:
    """Yield objects of one plane that lie close together, some at a time."""
    side = 1024
    ordered = sorted(parts, key=lambda part: (part.plane, part.box.y0 // side, part.box.x0 // side, part.label))
    batch: list[ObjectPlane] = []
    for part in ordered:
        if batch and (len(batch) == _BATCH or batch[0].plane != part.plane):
            yield batch[0].plane, batch
            batch = []
        batch.append(part)
    if batch:
        yield batch[0].plane, batch
