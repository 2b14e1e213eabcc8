"""A predictor of one's own for an image, from whatever a caller gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import NapariSamError
from napari_sam.predictor import Predictor

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image

_CACHE_BYTES = 64 << 20  # small, since each window is used once


def predictor_for_image(predictor: Predictor | str | Path, image: Image) -> Predictor:
    """Return a new predictor for an image.

    Parameters
    ----------
    predictor : Predictor, str or Path
        A predictor, which is not changed and whose normalisation is used if it has the same image; or the name or file
        of a model.
    image : Image
        The image.
    """
    if isinstance(predictor, str | Path):
        created: Predictor = Predictor(predictor, cache=_CACHE_BYTES)
        created.set_source(image)
        return created
    try:
        same_image = predictor.image.identity == image.identity
    except NapariSamError:  # the predictor has no image
        same_image = False
    sharing = predictor.sharing()
    sharing.set_source(image, predictor.normalisation if same_image else None)
    return sharing
