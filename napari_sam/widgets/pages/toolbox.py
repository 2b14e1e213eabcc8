"""The tools of the page "Click": points, boxes and the brush."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError
from napari_sam.layers.prompt_layers import BACKGROUND, FOREGROUND

if TYPE_CHECKING:
    from napari_sam.layers.prompt_history import PromptHistory
    from napari_sam.layers.prompt_layers import PromptLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.pages.click_panel import ClickPanel

BOX, BRUSH = "box", "brush"


class ToolBox(QObject):
    """Make the canvas take points, boxes or brush strokes.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ClickPanel
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

    def __init__(self, context: DockContext, panel: ClickPanel) -> None:
        super().__init__()
        self._viewer, self._labels, self._notifier = context.viewer, context.labels, context.notifier
        self.prompts: PromptLayers | None = None
        self.history: PromptHistory | None = None
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

    def resume(self) -> None:
        """Make the canvas take the current tool again, as after the user selected the image in the layer list."""
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
            self.prompts.shapes.mode = "add_rectangle"
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
                layer.mode = "paint"
            else:
                self._notifier.info("Zoom in to draw: the visible part is too large to edit at once.")
        self.changed.emit()

    def _use_points(self, kind: str) -> None:
        self._buttons[kind].setChecked(True)
        if self.prompts is not None:
            self._viewer.layers.selection.active = self.prompts.points
            self.prompts.points.mode = "add"
            self.prompts.set_kind(kind)
            self.changed.emit()
