"""The label store of a whole stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.jobs.run_output import close_after_error, output_store

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.io.images.image_stack import ImageStack
    from napari_sam.io.labels.label_store import LabelStore


def stack_store(output: LabelStore | str | Path | None, stack: ImageStack) -> tuple[LabelStore, bool]:
    """Open or create the store of a stack.

    Raises
    ------
    StoreError
        If it is not one of this stack.
    """
    shape = (*stack.image.plane_axes.values(), *stack.shape)
    store, created = output_store(output, stack.image, shape)
    if tuple(store.shape) != shape:
        close_after_error(store, output, delete=False)
        raise StoreError(
            f"{store.path}: labels of shape {tuple(store.shape)} do not fit the stack of shape {shape}",
            parameter="output",
            remedy="give the store of this stack, or a new path",
        )
    return store, created
