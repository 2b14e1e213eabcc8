"""Sample images for napari's File menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam import samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def nuclei() -> list[tuple[NDArray[np.uint8], dict[str, object], str]]:
    """Return the layer data of the nuclei image, as npe2 expects it."""
    return [(samples.nuclei(), {"name": "nuclei", "contrast_limits": (0, 160)}, "image")]
