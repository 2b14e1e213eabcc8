"""Save or copy the picture of a plot."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sam.widgets.objects.views.object_plot import ObjectPlot
from src_models.atomic import replacing

if TYPE_CHECKING:
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.views.plot_canvas import PlotCanvas

PICTURE_TYPES = {"PNG": ".png", "SVG": ".svg", "PDF": ".pdf"}


def plot_with_picture(context: DockContext) -> ObjectPlot:
    """Return a new plot whose picture can be saved and copied."""
    plot = ObjectPlot()
    PlotPicture(context, plot)
    return plot


class PlotPicture(QObject):
    """What the buttons *Save picture…* and *Copy* of a plot do.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    plot : ObjectPlot
        The plot, which also owns this object.
    """

    def __init__(self, context: DockContext, plot: ObjectPlot) -> None:
        super().__init__(plot)
        self._memory, self._notifier, self._plot = context.memory, context.notifier, plot
        plot.save.clicked.connect(lambda: self.save())
        plot.copy.clicked.connect(lambda: self.copy())

    def save(self) -> None:
        """Ask for a file and write the picture to it."""
        canvas = self._drawn()
        if canvas is None:
            return
        start = Path(self._memory.start_folder) / "plot.png"
        filters = {f"{name} (*{suffix})": suffix for name, suffix in PICTURE_TYPES.items()}
        chosen_path, chosen = QFileDialog.getSaveFileName(self._plot, "Save picture", str(start), ";;".join(filters))
        if not chosen_path:
            return
        path = Path(chosen_path)
        if path.suffix.lower() not in PICTURE_TYPES.values():
            path = path.with_name(path.name + filters.get(chosen, ".png"))
        self._memory.folder = str(path.parent)
        self._memory.save()
        try:
            with replacing(path, durable=False) as partial, partial.open("wb") as file:
                canvas.write_picture(file, path.suffix[1:].lower())
        except OSError as error:
            self._notifier.error(f"{path}: the picture cannot be written: {error}; choose another folder.")
        else:
            self._notifier.info(f"Saved the picture as {path}.")

    def copy(self) -> None:
        """Put the picture on the clipboard."""
        canvas = self._drawn()
        if canvas is None:
            return
        file = BytesIO()
        canvas.write_picture(file, "png")
        QApplication.clipboard().setImage(QImage.fromData(file.getvalue()))
        self._notifier.info("Copied the picture of the plot.")

    def _drawn(self) -> PlotCanvas | None:
        canvas = self._plot.canvas
        return None if canvas is None or canvas.values is None else canvas
