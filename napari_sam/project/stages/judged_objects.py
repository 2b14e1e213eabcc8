"""Automatic objects of an image that people have judged, and what they made of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.store_corrections import read_corrections
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.projects.image_entry import FINISHED

if TYPE_CHECKING:
    from napari_sam.project.project_image import ProjectImage

GOOD_IOU = 0.9
"""An automatic mask is right if its IoU with the corrected one is above this, as in the paper of SA-1B."""


def judged_objects(image: ProjectImage) -> list[tuple[float, bool]]:
    """Return the score of each automatic object that people have judged, and whether they accepted it.

    An object is accepted if it was accepted in a review or corrected by little: its mask keeps an IoU above 0.9.
    One that was erased or corrected by more is not. Of images that are done or checked, objects that nobody touched
    are accepted, too, as for training.

    Raises
    ------
    StoreError
        If the label store is damaged.
    """
    if not image.is_begun:
        return []
    try:
        judged = {one.label: (one.score, one.iou > GOOD_IOU) for one in read_corrections(image.labels_path)}
    except EvaluationError:  # no automatic objects
        return []
    if image.state in FINISHED:
        with LabelStore.open(image.labels_path, "r") as store:
            existing = store.journal.objects.labels()
            for origin in store.journal.changes.automatic_objects():
                if origin.label in existing:
                    judged.setdefault(origin.label, (origin.score, True))
    return [(score, is_accepted) for score, is_accepted in judged.values() if score is not None]
