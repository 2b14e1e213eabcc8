"""The tools of the page "Click": points, boxes and the brush."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError
from napari_sam.layers.prompt_layers import BACKGROUND, FOREGROUND

if TYPE_CHECKING:
    from napari.layers import Labels, Points, Shapes
    from qtpy.QtWidgets import QPushButton

    from napari_sam.layers.prompt_history import PromptHistory
    from napari_sam.layers.prompt_layers import PromptLayers
    from napari_sam.widgets.dock_context import DockContext

BOX, BRUSH = "box", "brush"


class ToolButtons(Protocol):
    """Buttons of the tools, and of undo and redo."""

    foreground: QPushButton
    background: QPushButton
    box: QPushButton
    brush: QPushButton
    undo: QPushButton
    redo: QPushButton


class ToolBox(QObject):
    """Make the canvas take points, boxes or brush strokes.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ToolButtons
        Panel with a button per tool.

    Attributes
    ----------
    prompts : PromptLayers or None
        Layers that the tools work on; None without an image.
    history : PromptHistory or None
        Order in which their prompts were drawn.

    Signals
    -------
    changed
        Another tool was chosen.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: ToolButtons) -> None:
        super().__init__()
        self._viewer, self._labels, self._notifier = context.viewer, context.labels, context.notifier
        self._form = context.object_form
        self._protected: Labels | None = None  # layer whose objects the brush may have to leave alone
        self._form.changed.connect(self._on_brush_changed)
        self.prompts: PromptLayers | None = None
        self.history: PromptHistory | None = None
        self._panel = panel
        self._buttons = {
            FOREGROUND: panel.foreground,
            BACKGROUND: panel.background,
            BOX: panel.box,
            BRUSH: panel.brush,
        }
        panel.foreground.clicked.connect(self.use_foreground)
        panel.background.clicked.connect(self.use_background)
        panel.box.clicked.connect(self.use_box)
        panel.brush.clicked.connect(self.use_brush)

    @property
    def current(self) -> str:
        """The tool in use: "foreground", "background", "box" or "brush"."""
        return next((tool for tool, chosen in self._buttons.items() if chosen.isChecked()), FOREGROUND)

    @property
    def image_name(self) -> str:
        """Name of the image to draw on; empty without one."""
        return "" if self.prompts is None else str(self.prompts.image.name)

    @property
    def obstacle(self) -> str:
        """What keeps the tool from working, as `next_step` takes it."""
        if self.current == BRUSH:
            writer = self._labels.writer
            return "" if writer is None or writer.layer.editable else "far"
        return BACKGROUND if self.prompts is not None and self.prompts.has_only_background else ""

    def enable_undo(self, plane: tuple[int, ...] | None) -> None:
        """Enable the buttons for undo and redo if there are prompts to take back, or that were taken back."""
        if self.history is not None and plane is not None and self.history.can_undo(plane):
            self._panel.undo.setEnabled(True)
        if self.history is not None and self.history.can_redo:
            self._panel.redo.setEnabled(True)

    def take_back(self, plane: tuple[int, ...] | None) -> bool:
        """Remove the prompt drawn last on a plane, and tell the user; return False without one, and with the brush."""
        if self.history is None or plane is None or self.current == BRUSH:
            return False
        name = self.history.undo(plane)
        if name is not None:
            self._notifier.note(f"The last {name} was taken back; Ctrl+Shift+Z draws it again.")
        return name is not None

    def resume(self) -> None:
        """Make the canvas take the current tool again, as after the user selected the image in the layer list.

        In 3D no tool draws: a click there would leave a prompt that nobody meant.
        """
        if self._viewer.dims.ndisplay != 2:
            self._rest()
            return
        tools = {FOREGROUND: self.use_foreground, BACKGROUND: self.use_background, BOX: self.use_box}
        tools.get(self.current, self.use_brush)()

    def use_foreground(self) -> None:
        """Click points on the object."""
        self._use_points(FOREGROUND)

    def use_background(self) -> None:
        """Click points beside the object."""
        self._use_points(BACKGROUND)

    def toggle_points(self) -> None:
        """Switch between foreground and background points."""
        if self.prompts is not None:
            self._use_points(BACKGROUND if self.prompts.kind == FOREGROUND else FOREGROUND)

    def use_box(self) -> None:
        """Drag boxes."""
        self._buttons[BOX].setChecked(True)
        if self.prompts is not None:
            self._viewer.layers.selection.active = self.prompts.shapes
            self._set_mode(self.prompts.shapes, "add_rectangle")
            self.changed.emit()

    def use_brush(self) -> None:
        """Draw on the accepted objects."""
        self._buttons[BRUSH].setChecked(True)
        if self.prompts is None:
            return
        try:
            layer = self._labels.ready().layer
        except NapariSamError as error:
            self._notifier.error(str(error))
        else:
            if layer.editable:
                self._viewer.layers.selection.active = layer
                self._set_mode(layer, "paint")
                self._protect(layer)
            else:
                self._notifier.info("Zoom in to draw: the visible part is too large to edit at once.")
        self.changed.emit()

    def _use_points(self, kind: str) -> None:
        self._buttons[kind].setChecked(True)
        if self.prompts is not None:
            self._viewer.layers.selection.active = self.prompts.points
            self._set_mode(self.prompts.points, "add")
            self.prompts.set_kind(kind)
            self.changed.emit()

    def _set_mode(self, layer: Points | Shapes | Labels, mode: str) -> None:
        layer.mode = mode if self._viewer.dims.ndisplay == 2 else "pan_zoom"

    def _rest(self) -> None:
        """Let no layer of the dock take clicks."""
        writer = self._labels.writer
        drawn_on = [] if self.prompts is None else [self.prompts.points, self.prompts.shapes]
        for layer in [*drawn_on, *([] if writer is None else writer.layers)]:
            layer.mode = "pan_zoom"
        self.changed.emit()

    def _protect(self, layer: Labels) -> None:
        """Keep the brush off existing objects if the form says that they stay; the eraser works on all."""
        if self._protected is not layer:
            if self._protected is not None:
                self._protected.events.mode.disconnect(self._on_brush_changed)
            layer.events.mode.connect(self._on_brush_changed)
            self._protected = layer
        self._on_brush_changed()

    def _on_brush_changed(self, event: object = None) -> None:
        layer = self._protected
        if layer is not None:
            layer.preserve_labels = self._form.values()["overlap"] == "keep" and str(layer.mode) != "erase"
