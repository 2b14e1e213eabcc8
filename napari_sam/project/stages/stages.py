"""The public `Stages`: filling in confident objects, finding all, and the audit of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.io.labels.journal.stage_names import SEMI_AUTOMATIC
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.project.stages.audit import Agreement, Audit, agreement, begin_audit, last_audit
from napari_sam.project.stages.judged_objects import judged_objects
from napari_sam.project.stages.threshold import ConfidenceThreshold, learn_threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.projects.project_folder import ProjectFolder
    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.predictor import Predictor
    from napari_sam.project.project_image import ProjectImage

AUDIT_SIZE = 50
"""Objects of an audit: if 94 % are right, the interval is from 84 to 98 %."""
_SPECK_PX = 100  # as in the paper of SA-1B
_STABLE = 0.5  # what a person accepts is stable to 0.7 and more


class Stages:
    """Semi-automatic and automatic annotation of a project's images; `Project.stages` makes it.

    Parameters
    ----------
    images : callable
        Returns the images.
    folder : ProjectFolder
        Folder of the project.
    model : callable
        Returns the name or checkpoint of the model in use.
    """

    def __init__(
        self, images: Callable[[], list[ProjectImage]], folder: ProjectFolder, model: Callable[[], str]
    ) -> None:
        self._images, self._folder, self._model = images, folder, model

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
        settings = confident_settings(self.threshold().value if min_iou is None else min_iou)
        return self._find(image, predictor or self._model(), settings, progress, cancelled)

    def find_all(
        self,
        image: ProjectImage,
        min_iou: float | None = None,
        *,
        predictor: Predictor | str | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> EverythingReport:
        """Find all objects of an image, for nobody to add others; `begin_audit` tells how good they are.

        Parameters
        ----------
        image : ProjectImage
            The image.
        min_iou : float, optional
            Lowest predicted IoU; by default the score at which half of the objects are accepted.
        predictor, progress, cancelled : optional
            As in `fill_in`, like what is returned and the errors.
        """
        model = self._predictor(predictor or self._model())
        settings = automatic_settings(self.threshold().even if min_iou is None else min_iou, model.runner.kind)
        return self._find(image, model, settings, progress, cancelled)

    def begin_audit(self, size: int = AUDIT_SIZE, seed: int | None = None) -> Audit:
        """Draw a random sample of the project's automatic objects, to be reviewed in the window.

        Parameters
        ----------
        size : int
            Number of objects.
        seed : int, optional
            Seed of the draw; the number of the audit by default.

        Raises
        ------
        ProjectError
            If there is no automatic object, or the sample cannot be written.
        StoreError
            If a label store is damaged.
        """
        audit = begin_audit(self._folder.path, self._images(), size, seed, self._folder.user)
        self._folder.log("audit", number=audit.number, sample=len(audit.sample), population=audit.population)
        return audit

    def agreement(self) -> Agreement | None:
        """Return the share of right masks in the last audit, with its interval; None without an audit.

        A mask is right if its IoU with what people made of it is above 0.9.

        Raises
        ------
        ProjectError
            If the file of the audit is damaged.
        StoreError
            If a label store is damaged.
        """
        audit = last_audit(self._folder.path)
        return None if audit is None else agreement(audit, self._images())

    def _find(
        self,
        image: ProjectImage,
        model: Predictor | str,
        settings: EverythingSettings,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> EverythingReport:
        from napari_sam.jobs.segment_everything import segment_everything  # noqa: PLC0415 - imports torch

        with image.labels() as store:
            return segment_everything(
                image.source, model, store, settings=settings, resume=False, progress=progress, cancelled=cancelled
            )

    @staticmethod
    def _predictor(model: Predictor | str) -> Predictor:
        from napari_sam.predictor import Predictor  # noqa: PLC0415 - imports torch

        return Predictor(model) if isinstance(model, str) else model


def automatic_settings(min_iou: float, kind: str) -> EverythingSettings:
    """Return the settings of everything-mode for images that nobody looks through.

    Parameters
    ----------
    min_iou : float
        Lowest predicted IoU.
    kind : str
        Kind of the network, for its thresholds of grid mode.

    Returns
    -------
    EverythingSettings
        Objects of low scores are left out, and specks and holes removed.
    """
    grid = GridSettings.for_model(kind, min_mask_region_area=_SPECK_PX)
    return EverythingSettings(
        border="whole", min_iou=min_iou, min_stability=_STABLE, min_region_px=_SPECK_PX, grid=grid
    )


def confident_settings(min_iou: float) -> EverythingSettings:
    """Return the settings of everything-mode that fill in confident objects."""
    return EverythingSettings(border="whole", min_iou=min_iou, stage=SEMI_AUTOMATIC)
