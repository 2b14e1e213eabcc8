"""The predictor people use: the engine's, fed with anything `open_image` opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.engine.predictor import WindowPredictor
from napari_sam.io.image import open_image

if TYPE_CHECKING:
    from collections.abc import Sequence


class Predictor(WindowPredictor):
    """Segment objects of one image by points, boxes and masks.

    Parameters
    ----------
    model, device, precision, cache, tidy
        As in `napari_sam.engine.predictor.WindowPredictor`.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((64, 64), np.uint8)
    >>> image[20:40, 20:40] = 200
    >>> predictor = Predictor(device="cpu")
    >>> predictor.set_image(image)
    >>> p = predictor.predict(points=[(30, 30)])
    >>> p.masks.shape[0], p.predicted_iou.shape
    (3, (3,))
    """

    def set_image(self, source: Any, channels: Sequence[int] | None = None) -> None:
        """Choose the image.

        Parameters
        ----------
        source
            Whatever `open_image` accepts: a path, an array, a list of scale levels, a napari Image layer.
        channels : sequence of int, optional
            Channels to see as red, green and blue, or the one to see as grey.

        Raises
        ------
        ImageError
            If it cannot be opened.
        """
        self.set_source(open_image(source, channels=channels))
