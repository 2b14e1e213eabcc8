"""The label store, ready for many objects at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import NapariSamError
from napari_sam.widgets.find.find_text import IN_MEMORY

if TYPE_CHECKING:
    from napari_sam.layers.label_store_layers import LabelStoreLayers
    from napari_sam.widgets.dock_context import DockContext


def store_for_many(context: DockContext) -> LabelStoreLayers | None:
    """Return the label store in use, made if necessary; None, with a notification, if it cannot be written."""
    if context.labels.labels_layer is not None:
        context.notifier.info(IN_MEMORY)
        return None
    try:
        store_layers = context.labels.ready_store()
        store_layers.prepare_change()
    except NapariSamError as error:
        context.notifier.error(str(error))
        return None
    return store_layers
