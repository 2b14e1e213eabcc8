"""PNG, JPEG and the other formats that Pillow reads, held in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.geo.map_coordinates import pixel_size
from napari_sam.io.geo.sidecar_files import map_position
from napari_sam.io.images.formats.file_identity import file_identity
from napari_sam.io.images.lazy_image import Image, default_channels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_LIMIT_PX = 1 << 29
_MODES = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}
_REMEDY = "convert it to tiled TIFF or OME-Zarr"


def open_picture(path: Path) -> Image:
    """Read a picture as a whole.

    Raises
    ------
    ImageError
        If it is too large, damaged, or not a picture.
    """
    array = _pixels(path)
    if array.ndim == 3 and array.shape[2] == 2:  # grey and alpha
        array = array[..., 0]
    axes, count = ("yx", 1) if array.ndim == 2 else ("yxc", array.shape[2])
    identity, uri = file_identity(path), str(path.resolve())
    position = map_position(path)
    return Image(
        [array],
        axes,
        identity,
        default_channels(count),
        scale=(1.0, 1.0) if position.transform is None else pixel_size(position.transform),
        crs=position.crs,
        transform=position.transform,
        control_points=position.control_points,
        persistent=True,
        uri=uri,
    )


def _pixels(path: Path) -> NDArray[np.generic]:
    from PIL import Image as PillowImage  # noqa: PLC0415 - keeps the import of this module fast
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)  # the size is checked here
            with PillowImage.open(path) as picture:
                if picture.width * picture.height > _LIMIT_PX:
                    raise ImageError(
                        f"{path}: {picture.height} x {picture.width} pixels in one PNG or JPEG, which can only be "
                        "read as a whole",
                        remedy=_REMEDY,
                    )
                mode = _MODES.get(picture.mode, picture.mode)
                return np.asarray(picture if mode == picture.mode else picture.convert(mode))
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}", remedy=_REMEDY) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, MemoryError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: not a readable image ({error})", remedy="give TIFF, zarr, PNG or JPEG") from error
