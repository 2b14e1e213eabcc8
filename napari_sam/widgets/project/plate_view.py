"""The plates of a project: one of them is shown as a grid of its wells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.widgets.project.well_grid import Well, WellGrid
from napari_sam.widgets.qt_helpers import combo_box, refill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.widgets.project.image_rows import ImageRow, ImageRows


class PlateView(QWidget):
    """Grid of the wells of one plate, and a choice of the plate where there are several; hidden without plates.

    Parameters
    ----------
    rows : ImageRows
        Rows of the project; those of a chosen well are shown alone.

    Attributes
    ----------
    plate : QComboBox
        Choice of the plate.
    grid : WellGrid
        Its wells.
    """

    def __init__(self, rows: ImageRows) -> None:
        super().__init__()
        self._rows = rows
        self.plate = combo_box("Which plate is shown")
        self.grid = WellGrid()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plate)
        layout.addWidget(self.grid)
        self.plate.currentIndexChanged.connect(self._on_plate_chosen)
        self.grid.chosen.connect(self._on_well_chosen)
        self.read()

    def read(self) -> None:
        """Show the wells of the rows anew."""
        plates = sorted({row.groups["plate"] for row in self._rows.all if _has_well(row)})
        refill(self.plate, [(plate, plate) for plate in plates])
        self.plate.setVisible(len(plates) > 1)
        self.setVisible(bool(plates))
        self._show_plate()

    def _show_plate(self) -> None:
        selected = self.grid.selected
        self.grid.show_wells(wells_of(self._rows.all, self.plate.currentData()))
        if selected:  # the well may be gone, or that of another project
            self._on_well_chosen(self.grid.selected)

    def _on_plate_chosen(self) -> None:
        if self.grid.selected:
            self.grid.choose("")
        self._show_plate()

    def _on_well_chosen(self, well: str) -> None:
        self._rows.show_groups({"plate": self.plate.currentData(), "well": well} if well else {})


def wells_of(rows: Sequence[ImageRow], plate: str | None) -> dict[str, Well]:
    """Return how far the images of each well of a plate are."""
    states: dict[str, list[str]] = {}
    for row in rows:
        if _has_well(row) and row.groups["plate"] == plate:
            states.setdefault(row.groups["well"], []).append(row.state)
    return {
        well: Well(len(found), found.count("in work"), found.count("done") + found.count("checked"))
        for well, found in states.items()
    }


def _has_well(row: ImageRow) -> bool:
    return bool(row.groups.get("plate") and row.groups.get("well"))
