"""What the dock and its pages know of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import napari

    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.widgets.class_choice import ClassChoice
    from napari_sam.widgets.dock_memory import DockMemory
    from napari_sam.widgets.engine_session import EngineSession
    from napari_sam.widgets.engine_thread import EngineThread
    from napari_sam.widgets.notifier import DockNotifier
    from napari_sam.widgets.settings_form import SettingsForm
    from napari_sam.widgets.viewer.image_selection import ImageSelection
    from napari_sam.widgets.viewer.key_bindings import KeyBindings
    from napari_sam.widgets.viewer.label_target import LabelTarget
    from napari_sam.widgets.viewer.layer_list import LayerList


@dataclass(frozen=True)
class DockContext:
    """Parts of the dock that its pages work with.

    Attributes
    ----------
    memory : DockMemory
        What is kept for the next session.
    viewer : napari.Viewer
        Viewer that the dock belongs to.
    images : ImageSelection
        Image to segment.
    labels : LabelTarget
        Destination of accepted objects.
    classes : ClassChoice
        Classes of the label store in use, and the one that accepted objects get.
    object_form : SettingsForm
        Form with the overlap rule and the object size, which hold for all pages.
    session : EngineSession
        Model and predictor.
    thread : EngineThread
        Thread of the engine for clicks, undo and export.
    keys : KeyBindings
        Keys, of which the visible page takes its own.
    layer_list : LayerList
        Layer list of the viewer.
    notifier : DockNotifier
        Receiver of messages to the user.
    """

    memory: DockMemory
    viewer: napari.Viewer
    images: ImageSelection
    labels: LabelTarget
    classes: ClassChoice
    object_form: SettingsForm[EverythingSettings]
    session: EngineSession
    thread: EngineThread
    keys: KeyBindings
    layer_list: LayerList
    notifier: DockNotifier


class DockPage(Protocol):
    """Controller of one page, as the dock knows it."""

    def refresh(self) -> None:
        """Enable the controls that can be used now."""

    def guide(self) -> str:
        """Return what the user can do next."""
        ...

    def close(self) -> None:
        """Release all that the page holds in the viewer."""


class CanvasPage(DockPage, Protocol):
    """Controller of a page that has the canvas and the keys for itself while it is shown."""

    def begin(self, corrected: ReviewItem | None = None) -> None:
        """Take the canvas and the keys; `corrected` is the object that the user has just corrected, if any."""

    def end(self) -> None:
        """Leave the canvas; the caller uses other keys."""
