"""What runs over whole images share: a predictor that leaves the caller's alone, and the store they write into."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import NapariSamError, StoreError
from napari_sam.io.labels.label_pyramid import unregister
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.predictor import Predictor

if TYPE_CHECKING:
    from napari_sam.io.images.lazy_image import Image

_CACHE_BYTES = 64 << 20  # each window is looked at once


def predictor_for(predictor: Predictor | str | Path, image: Image) -> Predictor:
    """A predictor for an image, which leaves the caller's as it is.

    Parameters
    ----------
    predictor : Predictor, str or Path
        A predictor, whose normalisation is used if it has the same image, or the name or file of a model.
    image : Image
        What it is to look at.
    """
    if isinstance(predictor, str | Path):
        own: Predictor = Predictor(predictor, cache=_CACHE_BYTES)
        own.set_source(image)
        return own
    try:
        same = predictor.image.identity == image.identity
    except NapariSamError:  # it has none
        same = False
    own = predictor.sharing()
    own.set_source(image, predictor.normalisation if same else None)
    return own


def output_store(output: LabelStore | str | Path | None, image: Image) -> tuple[LabelStore, bool]:
    """The store to write into, and whether it was made for it.

    Parameters
    ----------
    output : LabelStore or path, optional
        A store, or the folder of one, which is made if there is none; None for a temporary one, deleted with the
        last that uses it, at the end of the process at the latest.
    image : Image
        What the labels are of.

    Raises
    ------
    StoreError
        If it is closed, read-only, of another shape, or of a stack to which the image's plane does not belong.
    """
    made = False
    if isinstance(output, LabelStore):
        if output.closed:
            raise StoreError(f"{output.path}: the store is closed; open it again")
        if not output.writable:
            raise StoreError(f'{output.path}: opened for reading; use LabelStore.open(path, "r+")')
        store = output
    elif output is None:
        folder = tempfile.mkdtemp(prefix="napari-sam-")
        store, made = LabelStore.create(Path(folder) / "labels.ome.zarr", like=image), True
        weakref.finalize(store, shutil.rmtree, folder, True)
    else:
        path = Path(output).expanduser()
        made = not path.exists()
        store = LabelStore.create(path, like=image) if made else LabelStore.open(path, like=image)
    try:
        _check_fits(store, image)
    except StoreError:
        leave(store, output, delete=False)
        raise
    return store, made


def leave(store: LabelStore, output: LabelStore | str | Path | None, *, delete: bool) -> None:
    """Close a store that `output_store` opened, after an error; delete it if it was made for nothing."""
    if isinstance(output, LabelStore):
        return
    store.close()
    if delete:
        unregister(store.path)
        shutil.rmtree(store.path, ignore_errors=True)


def _check_fits(store: LabelStore, image: Image) -> None:
    if tuple(store.shape[-2:]) != tuple(image.shape):
        raise StoreError(f"{store.path}: labels of shape {store.shape[-2:]} do not fit the image {tuple(image.shape)}")
    planes, plane = store.shape[:-2], image.plane
    if planes and (len(plane) != len(planes) or any(p >= n for p, n in zip(plane, planes, strict=True))):
        raise StoreError(
            f"{store.path}: labels of shape {store.shape} need an image plane with one index for each of the first "
            f"{len(planes)} axes, not {plane}; choose it with image.with_plane(...), or give a store of two axes"
        )
