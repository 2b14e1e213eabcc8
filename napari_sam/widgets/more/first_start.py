"""What the dock tells at its first start: what it found, and where better models are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam import __version__
from napari_sam.widgets.activities import MACHINE
from napari_sam.widgets.message_line import NOTE_STYLE, ClosableLine
from napari_sam.widgets.qt_helpers import button

if TYPE_CHECKING:
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.more.machine import Machine
    from napari_sam.widgets.more.models_dialog import ModelsDialog


class FirstStartLine(ClosableLine):
    """What was found, a button that opens the models, and one that closes the line; hidden otherwise."""

    def __init__(self) -> None:
        self.models = button("Models…", "Models by kind of image, with their size and licence; downloads nothing")
        super().__init__(self.models, "Close this; “More” above opens the models again")
        self.setStyleSheet(NOTE_STYLE)
        self.dismiss.clicked.connect(self.hide)
        self.hide()


class FirstStart(QObject):
    """Show the line at the first start of the plugin, and the models whenever they are asked for.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    line : FirstStartLine
        The line.

    Attributes
    ----------
    dialog : ModelsDialog or None
        The models, while they are shown.

    Signals
    -------
    model_wanted : str
        The user wants to use a model.
    """

    model_wanted = Signal(str)

    def __init__(self, context: DockContext, line: FirstStartLine) -> None:
        super().__init__()
        self._context, self._line = context, line
        self.dialog: ModelsDialog | None = None
        self._machine: Machine | None = None
        self._shows_dialog = False
        context.thread.finished.connect(self._on_finished)
        line.models.clicked.connect(lambda: self.show_models())
        if context.memory.welcomed is None:
            self._look()

    def show_models(self) -> None:
        """Show what was found and the models."""
        self._shows_dialog = True
        if self._machine is None:
            self._look()
        else:
            self._show(self._machine)

    def _look(self) -> None:
        """Look at this computer in the engine's thread, which imports torch and may have to start CUDA for it."""
        from napari_sam.widgets.more.machine import this_machine  # noqa: PLC0415 - only needed here

        self._context.thread.submit(MACHINE, lambda _: this_machine())

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind != MACHINE or self._context.thread.was_superseded(outcome):
            return
        if outcome.value is not None:
            self._show(outcome.value)  # type: ignore[arg-type]
        elif outcome.error is None:  # cancelled with the other jobs, as when another model is chosen
            self._look()

    def _show(self, machine: Machine) -> None:
        self._machine = machine
        if self._context.memory.welcomed is None:
            self._context.memory.welcomed = __version__
            self._context.memory.save()
            self._line.label.setText(f"{machine.found} For some kinds of images there are better models.")
            self._line.show()
        if self._shows_dialog:
            self._shows_dialog = False
            self._open(machine)

    def _open(self, machine: Machine) -> None:
        from napari_sam.widgets.more.models_dialog import ModelsDialog  # noqa: PLC0415 - only needed here

        self._line.hide()
        if self.dialog is None:
            self.dialog = ModelsDialog(machine, self._line.window())
            self.dialog.model_wanted.connect(self.model_wanted)
            self.dialog.destroyed.connect(self._on_closed)
            self.dialog.show()
        self.dialog.raise_()

    def _on_closed(self) -> None:
        self.dialog = None
