"""Open what a run needs: a predictor for its image, and the label store it writes into."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.label_pyramid import unregister
from napari_sam.io.labels.label_store import LabelStore

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image


def output_store(
    output: LabelStore | str | Path | None, image: Image, shape: tuple[int, ...] | None = None
) -> tuple[LabelStore, bool]:
    """Open or create the store to write into.

    Parameters
    ----------
    output : LabelStore or path, optional
        A store, or the folder of one, which is created if it does not exist. None for a temporary store, deleted when
        nothing refers to it any more, at the end of the process at the latest.
    image : Image
        The image that the labels belong to.
    shape : tuple of int, optional
        Shape of a new store, if it is for a whole stack; by default that of the image's plane.

    Returns
    -------
    store : LabelStore
        The store.
    created : bool
        Whether this call created it.

    Raises
    ------
    StoreError
        If the store is closed, read-only, of another shape, or of a stack that has no plane like the image's.
    """
    created = False
    shape = tuple(image.shape) if shape is None else shape
    if isinstance(output, LabelStore):
        if output.closed:
            raise StoreError(f"{output.path}: the store is closed", remedy="open it again")
        if not output.writable:
            raise StoreError(f"{output.path}: opened for reading", remedy='use LabelStore.open(path, "r+")')
        store = output
    elif output is None:
        folder = tempfile.mkdtemp(prefix="napari-sam-")
        store, created = LabelStore.create(Path(folder) / "labels.ome.zarr", like=image, shape=shape), True
        weakref.finalize(store, shutil.rmtree, folder, True)
    else:
        path = Path(output).expanduser()
        created = not path.exists()
        store = LabelStore.create(path, like=image, shape=shape) if created else LabelStore.open(path, like=image)
    try:
        _check_shape(store, image)
    except StoreError:
        close_after_error(store, output, delete=False)
        raise
    return store, created


def close_after_error(store: LabelStore, output: LabelStore | str | Path | None, *, delete: bool) -> None:
    """Close a store that `output_store` opened; with `delete`, also delete it."""
    if isinstance(output, LabelStore):
        return
    store.close()
    if delete:
        unregister(store.path)
        shutil.rmtree(store.path, ignore_errors=True)


def _check_shape(store: LabelStore, image: Image) -> None:
    if tuple(store.shape[-2:]) != tuple(image.shape):
        raise StoreError(
            f"{store.path}: labels of shape {store.shape[-2:]} do not fit the image of shape {tuple(image.shape)}",
            parameter="output",
            remedy="give the store of this image, or a new path",
        )
    planes, plane = store.shape[:-2], image.plane
    if planes and (len(plane) != len(planes) or any(p >= n for p, n in zip(plane, planes, strict=True))):
        raise StoreError(
            f"{store.path}: labels of shape {store.shape} need an image plane with one index for each of the first "
            f"{len(planes)} axes, not {plane}",
            parameter="output",
            remedy="choose the plane with image.with_plane(...), or give a store of two axes",
        )
