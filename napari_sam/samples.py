"""The sample image that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOLDER = Path(__file__).parent / "data"
NUCLEI = _FOLDER / "nuclei.png"
"""Fluorescent nuclei, 512 x 640, 8 bit (DSB 2018, CC0)."""


def nuclei() -> NDArray[np.uint8]:
    """Return the sample image: fluorescent nuclei, (512, 640) uint8.

    >>> nuclei().shape
    (512, 640)
    """
    with Image.open(NUCLEI) as image:
        return np.asarray(image)


def nuclei_labels() -> NDArray[np.uint8]:
    """Return its 31 nuclei, drawn by hand: (512, 640) uint8, 0 is background."""
    with Image.open(_FOLDER / "nuclei_labels.png") as image:
        return np.asarray(image)
