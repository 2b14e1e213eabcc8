"""Draw the pixels of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_sam.io.labels.journal.rows import Patch
    from napari_sam.io.labels.label_pyramid import LabelPyramid


def draw_patches(pyramid: LabelPyramid, patches: list[Patch], action: str) -> None:
    """Write the pixels of one change; the last patch first when it is undone.

    Pixels in a patch's box that the change left alone may have been changed by others since. Only when a change is
    made do they certainly hold what the patch says.

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
    for patch in reversed(patches) if undo else patches:
        labels = patch.labels(after=not undo)
        if action != "do":
            changed = labels != patch.labels(after=undo)
            labels = np.where(changed, labels, pyramid.read(patch.plane, patch.box))
        pyramid.draw(patch.plane, patch.box, labels)
