"""Opening the label store of an image layer, for writing where that is possible."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.placement import image_plane_shape

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image as ImageLayer

    from napari_sam.io.images.lazy_image import Image


def open_store(path: Path, image: ImageLayer, source: Image | None = None) -> tuple[LabelStore, str]:
    """Open the store at `path`, or make one there.

    Parameters
    ----------
    path : Path
        Folder of the store.
    image : napari.layers.Image
        Image that is labelled.
    source : Image, optional
        The image as the engine reads it; a new store takes its name, pixel size and georeference from it.

    Returns
    -------
    store : LabelStore
        The store; the caller closes it.
    read_only : str
        Why it can only be read; empty if it can be written.

    Raises
    ------
    StoreError
        If the store cannot be opened or made.
    LabelsError
        If the store does not fit the image.
    """
    if not path.exists():
        return LabelStore.create(path, like=source, shape=image_plane_shape(image)), ""
    try:
        with contextlib.suppress(StoreError), LabelStore.open(path, "r") as found:
            check_fit(found, image)  # before anything is written: it may belong to another image
        return LabelStore.open(path), ""
    except StoreError as error:
        return _opened_for_reading(path, error), error.message


def check_fit(store: LabelStore, image: ImageLayer) -> None:
    """Raise `LabelsError` if a store has another shape than an image."""
    shape = image_plane_shape(image)
    if store.shape != shape:
        raise LabelsError(
            f"{store.path}: labels of shape {store.shape} do not fit the image {shape}",
            remedy="move that folder away, or open another label store",
        )


def _opened_for_reading(path: Path, error: StoreError) -> LabelStore:
    """Open a store that cannot be written for reading; raise the first error if that fails, too."""
    try:
        return LabelStore.open(path, "r")
    except StoreError:
        raise error from None
