"""Plots by matplotlib, which is an optional dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def plot_picture(ax: Axes | None, picture: NDArray[np.uint8], box: tuple[int, int, int, int], title: str) -> Axes:
    """Draw a picture of a part of an image, in coordinates of level-0 pixels.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        Axes to draw on; None for those of a new figure.
    picture : ndarray of uint8
        (h, w, 3).
    box : (int, int, int, int)
        (y0, x0, y1, x1) of the part; centres of pixels are whole numbers.
    title : str
        Title of the axes.

    Raises
    ------
    NapariSamError
        If matplotlib is not installed.
    """
    if ax is None:
        ax = _new_axes()
    y0, x0, y1, x1 = box
    ax.imshow(picture, extent=(x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5), interpolation="nearest")
    ax.set_xlabel("x (px)")
    ax.set_ylabel("y (px)")
    ax.set_title(title)
    return ax


def _new_axes() -> Axes:
    try:
        from matplotlib import pyplot  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NapariSamError("plots need matplotlib", remedy="run: pip install 'napari-sam-xl[plot]'") from error
    axes: Axes = pyplot.subplots()[1]
    return axes
