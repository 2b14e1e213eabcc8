"""Stand-in for ``torchvision.transforms.functional``: two functions, for PIL images only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


def to_pil_image(pic: NDArray[np.uint8]) -> Image.Image:
    """Turn an (H, W, 3) uint8 array into a PIL image."""
    return Image.fromarray(pic)


def resize(img: Image.Image, size: Sequence[int]) -> Image.Image:
    """Resize to `size` (height, width), bilinear, as torchvision does with PIL images."""
    if not isinstance(img, Image.Image):
        raise TypeError(f"this stand-in resizes PIL images only, not {type(img).__name__}")
    height, width = size
    return img.resize((width, height), Image.Resampling.BILINEAR)
