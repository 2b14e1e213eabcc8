"""Rank the images of a project that nobody has annotated by what a model may learn from them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError, NapariSamError
from napari_sam.predictor import Predictor
from napari_sam.project.ranking.image_profile import ImageProfile, profile_image
from napari_sam.project.ranking.profile_files import ProfileFiles
from napari_sam.project.ranking.usefulness import most_useful

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.project.project_image import ProjectImage


def rank_images(
    images: Sequence[ProjectImage],
    model: str | Predictor,
    folder: Path,
    device: str = "auto",
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[ProjectImage]:
    """Return the unseen images, those first that a model is unsure of and that are unlike those in work or done.

    Parameters
    ----------
    images : sequence of ProjectImage
        All images of the project.
    model : str or Predictor
        The model in use.
    folder : Path
        Folder of the profiles, which are kept for the next time.
    device : str
        As `Predictor` takes it.
    progress : callable, optional
        Called with the number of images looked at and their total.
    cancelled : callable, optional
        Called between images; return True to stop, and what was computed is kept.

    Returns
    -------
    list of ProjectImage
        Images that cannot be opened come last, in their order.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True.
    """
    predictor = Predictor(model, device=device) if isinstance(model, str) else model.sharing()
    files = ProfileFiles(folder, predictor.weights)
    unseen: list[tuple[ProjectImage, ImageProfile]] = []
    known: list[ImageProfile] = []
    unreadable: list[ProjectImage] = []
    for done, image in enumerate(images):
        if cancelled is not None and cancelled():
            raise CancelledError("ranking the images was cancelled", remedy="rank them again to continue")
        if progress is not None:
            progress(done, len(images))
        profile = files.get(image.image_id) or _profile(predictor, image, files, cancelled)
        if image.state != "unseen":
            known += [] if profile is None else [profile]
        elif profile is None:
            unreadable.append(image)
        else:
            unseen.append((image, profile))
    if progress is not None:
        progress(len(images), len(images))
    order = most_useful([profile for _, profile in unseen], known)
    return [*(unseen[i][0] for i in order), *unreadable]


def _profile(
    predictor: Predictor, image: ProjectImage, files: ProfileFiles, cancelled: Callable[[], bool] | None
) -> ImageProfile | None:
    """Compute the profile of an image and keep it; None if the image cannot be read."""
    try:
        predictor.set_source(image.open())
        profile = profile_image(predictor, cancelled)
    except CancelledError:
        raise
    except (NapariSamError, OSError):
        return None
    with suppress(OSError):  # a folder that cannot be written, or a full disk: it is computed again next time
        files.put(image.image_id, profile)
    return profile
