"""The window “This computer and the models”."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_sam.widgets.qt_helpers import row, wrapped_label
from src_models.checkpoints.model_advice import ADVICE
from src_models.checkpoints.registry import is_cached, model_info

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_sam.widgets.more.machine import Machine
    from src_models.checkpoints.model_advice import ModelAdvice
    from src_models.checkpoints.registry import ModelInfo

DEFAULT = "default"
_COLUMNS = {"Your images": 180, "Model": 150, "Size": 100, "Licence": 130, "What to expect": 0}
"""Titles, and widths in pixels; the last column takes the rest."""
_INTRODUCTION = (
    "The default model comes with the plugin. The others may do better on images that it does not know; they were not "
    "measured by us, so compare them on your own images. Nothing is downloaded until you press the button below."
)
_SIZE_PX = (900, 560)


class ModelsDialog(QDialog):
    """What was found on this computer, and models by kind of image.

    Parameters
    ----------
    machine : Machine
        This computer.
    parent : QWidget
        The dock.

    Signals
    -------
    model_wanted : str
        The user wants to use a model, which is downloaded if it is not here.
    """

    model_wanted = Signal(str)

    def __init__(self, machine: Machine, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("This computer and the models")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.found = wrapped_label(f"{machine.found} {machine.advice}", selectable=True)
        self.rows = [(advice, model) for advice in ADVICE for model in advice.models or (DEFAULT,)]
        self.table = QTableWidget(len(self.rows), len(_COLUMNS))
        self.table.setTabKeyNavigation(False)  # Tab leaves it
        self.use = QPushButton("Use this model")
        self.use.setToolTip("Load the model of the chosen row; it is downloaded first if it is not on this computer")
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Close this window; “More” at the foot of the dock opens it again")
        self._fill()
        self._lay_out()
        self.table.itemSelectionChanged.connect(self._on_row_chosen)
        self.use.clicked.connect(self._on_use)
        self.close_button.clicked.connect(self.close)
        self._on_row_chosen()

    @property
    def model(self) -> str | None:
        """Model of the chosen row."""
        chosen = self.table.selectionModel().selectedRows()
        return self.rows[chosen[0].row()][1] if chosen else None

    def _fill(self) -> None:
        self.table.setAccessibleName("Models by kind of image")
        self.table.setToolTip("Choose a row, then press “Use this model”")
        self.table.setHorizontalHeaderLabels(list(_COLUMNS))
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for index, (advice, model) in enumerate(self.rows):
            info = model_info(model)
            texts = (advice.images, model, _size(info), info.licence, expectation(advice, model))
            for column, text in enumerate(texts):
                self.table.setItem(index, column, QTableWidgetItem(text))
        for column, width in enumerate(_COLUMNS.values()):
            self.table.setColumnWidth(column, width)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.found)
        layout.addWidget(wrapped_label(_INTRODUCTION))
        layout.addWidget(self.table, 1)
        buttons = row((self.use, self.close_button))
        buttons.insertStretch(0, 1)
        layout.addLayout(buttons)
        self.resize(*_SIZE_PX)

    def _on_row_chosen(self) -> None:
        model = self.model
        self.use.setEnabled(model is not None)
        is_here = model is None or is_cached(model_info(model))
        self.use.setText("Use this model" if is_here else "Download and use this model")

    def _on_use(self) -> None:
        model = self.model
        if model is not None:
            self.model_wanted.emit(model)
            self.close()


def expectation(advice: ModelAdvice, model: str) -> str:
    """Return what is known of a model on a kind of image, and of the default model there.

    >>> from src_models.checkpoints.model_advice import ADVICE
    >>> expectation(ADVICE[2], "vit_b_histopathology")  # doctest: +ELLIPSIS
    'Trained on nuclei in histopathology. The default model: mean IoU 0... from a click, 0... from a box.'
    """
    reason = f"{advice.reason[0].upper()}{advice.reason[1:]}."
    if advice.click is None or advice.box is None:
        return f"{reason} The default model was not measured on such images."
    return f"{reason} The default model: mean IoU {advice.click:.3f} from a click, {advice.box:.3f} from a box."


def _size(info: ModelInfo) -> str:
    size = "not published" if info.size_bytes is None else f"{info.size_bytes / 1e6:,.0f} MB"
    return f"{size}, on this computer" if is_cached(info) else size
