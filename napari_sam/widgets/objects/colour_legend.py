"""The legend of a measured value: its first and last colour with the values that they stand for."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import ensure_colormap
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from napari_sam.layers.objects.object_colours import VALUE_COLORMAP

_STEPS, _HEIGHT_PX = 200, 10


class ColourLegend(QWidget):
    """Gradient between two numbers; hidden unless a value is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.gradient = QLabel(), QLabel(), QLabel()
        self.gradient.setPixmap(_gradient())
        self.gradient.setScaledContents(True)
        self.gradient.setFixedHeight(_HEIGHT_PX)
        self.gradient.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.low, 0), (self.gradient, 1), (self.high, 0)):
            layout.addWidget(widget, stretch)
        self.hide()

    def show_range(self, name: str, limits: tuple[float, float] | None, *, is_value: bool) -> None:
        """Show the range of a value, or that no object has one; hidden for classes, which have their own list."""
        self.setVisible(is_value)
        low, high = limits or (None, None)
        self.low.setText("no object has this value" if low is None else f"{low:.4g}")
        self.high.setText("" if high is None else f"{high:.4g}")
        self.gradient.setVisible(limits is not None)
        self.setToolTip(f"{name}: the colours span the values from the 1st to the 99th percentile")


def _gradient() -> QPixmap:
    colours = ensure_colormap(VALUE_COLORMAP).map(np.linspace(0, 1, _STEPS))
    pixels = np.ascontiguousarray(np.round(colours[None] * 255).astype(np.uint8))
    image = QImage(pixels.data, _STEPS, 1, 4 * _STEPS, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(image.copy())
