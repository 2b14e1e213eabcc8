"""The public `Stages`: filling in confident objects, and finding all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.provenance_queries import SEMI_AUTOMATIC
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.project.stages.judged_objects import judged_objects
from napari_sam.project.stages.threshold import ConfidenceThreshold, learn_threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.predictor import Predictor
    from napari_sam.project.project_image import ProjectImage


class Stages:
    """Semi-automatic and automatic annotation of a project's images; `Project.stages` makes it.

    Parameters
    ----------
    images : callable
        Returns the images.
    model : callable
        Returns the name or checkpoint of the model in use.
    """

    def __init__(self, images: Callable[[], list[ProjectImage]], model: Callable[[], str]) -> None:
        self._images, self._model = images, model

    def threshold(self) -> ConfidenceThreshold:
        """Return the score from which objects are filled in, learned from what people accepted and rejected.

        Raises
        ------
        StoreError
            If a label store is damaged.
        """
        return learn_threshold(pair for image in self._images() for pair in judged_objects(image))

    def fill_in(
        self,
        image: ProjectImage,
        min_iou: float | None = None,
        *,
        predictor: Predictor | str | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> EverythingReport:
        """Find the objects of an image of which the model is confident, for a person to add the others.

        Existing objects stay as they are. The new ones are undone in one step, and are of the stage "semi-automatic".

        Parameters
        ----------
        image : ProjectImage
            The image.
        min_iou : float, optional
            Lowest predicted IoU; by default that of `threshold`.
        predictor : Predictor or str, optional
            Model; that of the project by default.
        progress, cancelled : callable, optional
            As in `segment_everything`.

        Returns
        -------
        EverythingReport
            Its store is closed.

        Raises
        ------
        StoreLockedError
            If somebody else works on the image.
        ImageError
            If the image has moved.
        StoreError
            If a label store is damaged or cannot be written.
        CancelledError
            If `cancelled()` returned True.
        """
        from napari_sam.jobs.segment_everything import segment_everything  # noqa: PLC0415 - imports torch

        score = self.threshold().value if min_iou is None else min_iou
        settings = confident_settings(score)
        model = predictor or self._model()
        with image.labels() as store:
            return segment_everything(
                image.source, model, store, settings=settings, resume=False, progress=progress, cancelled=cancelled
            )


def confident_settings(min_iou: float) -> EverythingSettings:
    """Return the settings of everything-mode that fill in confident objects."""
    return EverythingSettings(border="whole", min_iou=min_iou, stage=SEMI_AUTOMATIC)
