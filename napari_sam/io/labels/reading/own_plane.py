"""The plane and channels of a stack that labels of a single plane were made on."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError
from napari_sam.io.images.check_plane import has_plane
from napari_sam.io.images.open_image import completed, open_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.reading.store_view import StoreView

_IN_IDENTITY = re.compile(r"\|plane\(([\d, ]*)\)\|channels\(([\d, ]*)\)")


def open_own_image(uri: str, meta: Callable[[str], Any]) -> Image:
    """Open the image that a store names, at the plane and with the channels that the labels were made on.

    Parameters
    ----------
    uri : str
        The store's address of it.
    meta : callable
        Returns a fact of the store by name.

    Raises
    ------
    ImageError
        If it cannot be opened.
    """
    image = open_image(uri)
    plane, channels = plane_of_labels(meta), _recorded(meta, "channels")
    if plane is None or not has_plane(image.plane_axes, plane):
        plane = image.plane
    if not channels or max(channels) >= image.channel_count:
        channels = image.selected
    return completed(image.with_plane(plane, channels))


def at_own_plane(image: Image, labels: StoreView) -> Image:
    """Return a stack of which no plane was chosen at the plane that labels of a single plane were made on.

    An image of one plane, and any image for labels of a whole stack, are returned unchanged.

    Raises
    ------
    ImageError
        If the labels were not made on a plane that the image has.
    """
    if len(labels.shape) > 2 or math.prod(image.plane_axes.values()) < 2:
        return image
    plane = plane_of_labels(labels.meta)
    if plane is None and (labels.meta("image") or {}).get("uri") == image.uri:
        plane = image.plane  # of a store that an earlier version made on the first plane
    if plane is None or not has_plane(image.plane_axes, plane):
        sizes = " x ".join(f"{size} along {axis}" for axis, size in image.plane_axes.items())
        raise ImageError(
            f"{image.name}: a stack of {sizes}, and the labels are of a single plane, it is not known which",
            parameter="plane",
            remedy="name it with {plane}, or open the image at it: open_image(path).with_plane(plane, channels)",
        )
    return completed(image.with_plane(plane, image.selected))


def plane_of_labels(meta: Callable[[str], Any]) -> tuple[int, ...] | None:
    """Return the plane of its image that a store is of; None for labels of a stack, or if the store does not tell."""
    return None if len(meta("shape")) > 2 else _recorded(meta, "plane")


def _recorded(meta: Callable[[str], Any], name: str) -> tuple[int, ...] | None:
    """Return "plane" or "channels" of the image of a store; None if the store does not tell."""
    image = meta("image") or {}
    if image.get(name) is not None:
        return tuple(int(i) for i in image[name])
    found = _IN_IDENTITY.search(str(image.get("identity")))  # all that earlier versions kept
    text = None if found is None else found[1 if name == "plane" else 2]
    return None if text is None else tuple(int(part) for part in text.split(",") if part.strip())
