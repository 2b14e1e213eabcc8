"""Where the objects of an image layer are saved: the same image finds its label store again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from napari_sam.io.images.open_image import image_from_layer
from napari_sam.io.images.read_errors import READ_ERRORS
from napari_sam.io.labels.store_index import remember_store, remembered_store
from napari_sam.io.labels.store_paths import store_path
from napari_sam.io.pixel_fingerprint import pixel_fingerprint
from napari_sam.layers.placement import image_plane_shape

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image as ImageLayer
    from napari.layers import Labels


@dataclass(frozen=True)
class StorePlace:
    """The label store of an image layer.

    Attributes
    ----------
    path : Path
        Folder of the store, which may not exist yet.
    image : str
        What tells the image from others in a later session.
    has_file : bool
        Whether the image has a file or URL; the objects of other images lie in the user's data folder.
    is_fixed : bool
        Whether the store belongs to a project, which looks for it there.
    """

    path: Path
    image: str
    has_file: bool
    is_fixed: bool = False


_known: WeakKeyDictionary[ImageLayer, tuple[object, StorePlace]] = WeakKeyDictionary()
_layers: WeakKeyDictionary[ImageLayer, ReferenceType[Labels]] = WeakKeyDictionary()


def store_place(layer: ImageLayer) -> StorePlace:
    """Return where the objects of a layer are saved: where they were saved last, or else the default place.

    Within a session a layer keeps its store while it holds the same array, even if pixels are changed in place. In
    later sessions an image is known by its file, and an image without a file by its pixels.

    Raises
    ------
    ImageError
        If the layer is not an image.
    """
    known = _known.get(layer)
    if known is not None and known[0] is layer.data:
        return known[1]
    source = image_from_layer(layer)
    uri = getattr(source, "uri", None) or getattr(getattr(layer, "source", None), "path", None)
    planes = int(np.prod(image_plane_shape(layer)[:-2], dtype=np.int64))
    fingerprint = None
    if not uri:
        with suppress(*READ_ERRORS):  # pixels that cannot be read are reported where they are used
            fingerprint = pixel_fingerprint(list(layer.data) if layer.multiscale else [layer.data])
    image = f"{uri or fingerprint or layer.name} {planes}"
    path = (remembered_store(image) if uri or fingerprint else None) or store_path(layer.name, uri, planes, fingerprint)
    place = StorePlace(path, image, bool(uri))
    _known[layer] = (layer.data, place)
    return place


def move_place(layer: ImageLayer, path: Path, *, lasting: bool = True) -> StorePlace:
    """Save the objects of a layer in the store at `path` from now on, and return the place.

    Where `lasting`, also in later sessions; if the data folder cannot be written, in this session only.
    """
    old = store_place(layer)
    place = StorePlace(path, old.image, old.has_file)
    _known[layer] = (layer.data, place)
    if lasting:
        with suppress(OSError):
            remember_store(place.image, path)
    return place


def fix_place(layer: ImageLayer, path: Path) -> None:
    """Save the objects of a layer in the store of its project, as long as the layer exists."""
    source = image_from_layer(layer)
    _known[layer] = (layer.data, StorePlace(path, str(source.uri or layer.name), has_file=True, is_fixed=True))


def remember_labels_layer(image: ImageLayer, labels: Labels | None) -> None:
    """Remember for this session that the objects of an image go to a labels layer; None for its label store."""
    if labels is None:
        _layers.pop(image, None)
    else:
        _layers[image] = ref(labels)


def remembered_labels_layer(image: ImageLayer) -> Labels | None:
    """Return the labels layer that was remembered for an image, if it still exists."""
    known = _layers.get(image)
    return None if known is None else known()
