"""Draw the pixels of changes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.labels.journal.rows import Patch, Plane
    from napari_sam.io.labels.label_pyramid import LabelPyramid

_WRITES = 4  # planes that are written at the same time


def draw_patches(pyramid: LabelPyramid, patches: list[Patch], action: str) -> None:
    """Write the pixels of one change; the last patch first when it is undone.

    Pixels in a patch's box that the change left alone may have been changed by others since. Only when a change is
    made do they certainly hold what the patch says. Several planes are written at the same time.

    Parameters
    ----------
    pyramid : LabelPyramid
        Where to draw.
    patches : list of Patch
        Pixels of the change.
    action : {"do", "undo", "redo"}
        What happens to the change.

    Raises
    ------
    StoreError
        If a patch is damaged, or cannot be drawn.
    """
    undo = action == "undo"
    writes: deque[tuple[Plane, Callable[[], None]]] = deque()
    for patch in reversed(patches) if undo else patches:
        while len(writes) == _WRITES or any(plane == patch.plane for plane, _ in writes):
            writes.popleft()[1]()
        labels = patch.labels(after=not undo)
        if action != "do":
            changed = labels != patch.labels(after=undo)
            labels = np.where(changed, labels, pyramid.read(patch.plane, patch.box))
        writes.append((patch.plane, pyramid.draw(patch.plane, patch.box, labels)))
    for _, wait in writes:
        wait()
