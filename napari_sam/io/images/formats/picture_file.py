"""PNG, JPEG and the other formats that Pillow reads, held in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.geo.geojp2 import read_jp2_position
from napari_sam.io.geo.sidecar_files import map_position, nodata_beside
from napari_sam.io.images.address import Choice, check_axes
from napari_sam.io.images.formats.file_identity import file_identity
from napari_sam.io.images.formats.masked_level import PlaneMask, declare_nodata, mask_image
from napari_sam.io.images.formats.tiff.tiff_masks import external_mask, mask_file
from napari_sam.io.images.lazy_image import Image, default_channels
from src_models.alpha_channel import is_transparency
from src_models.deep_picture import read_deep_picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowPicture

_LIMIT_PX = 1 << 29
_REMEDY = "convert it to tiled TIFF or OME-Zarr"
_MODES = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}


def open_picture(path: Path, choice: Choice | None = None) -> Image:
    """Read a picture as a whole.

    Parameters
    ----------
    path : Path
        The file.
    choice : Choice, optional
        Frame, as series, that the user chose.

    Raises
    ------
    ImageError
        If it is too large, damaged, or not a picture.
    """
    choice = choice or Choice()
    array, alpha, frames = _pixels(path, choice.series or 0)
    if array.ndim == 3 and array.shape[2] == 2:  # grey and alpha
        array = array[..., 0]
    axes, count = ("yx", 1) if array.ndim == 2 else ("yxc", array.shape[2])
    identity, uri = file_identity(path), choice.address(str(path.resolve()))
    if choice.axes is not None:
        check_axes(choice.axes, array.shape, str(path))
    image = Image(
        [array],
        axes,
        f"{identity}|series{choice.series}" if choice.series else identity,
        default_channels(count),
        persistent=True,
        uri=uri,
        notes=(f"opened frame 0 of {frames}: choose with {{series}}",) * (frames > 1 and choice.series is None),
    )
    declare_nodata(image, nodata_beside(path))
    _mask(image, path, alpha)
    image.locate(map_position(path, read_jp2_position(path)))
    return image


def _mask(image: Image, path: Path, alpha: NDArray[np.generic] | None) -> None:
    """Make transparent pixels, and those masked by a file of GDAL, "no data"."""
    beside = external_mask(path, image)
    masks = [PlaneMask([alpha])] if alpha is not None and is_transparency(alpha) else []
    name = "masked" if beside is None else f"masked by {file_identity(mask_file(path))}"
    mask_image(image, [masks if beside is None else [*masks, beside]], name)


def _pixels(path: Path, frame: int) -> tuple[NDArray[np.generic], NDArray[np.generic] | None, int]:
    """Return the pixels of a picture, its alpha channel if it has one, and its number of frames."""
    from PIL import Image as PillowImage  # noqa: PLC0415 - keeps the import of this module fast
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    try:
        from src_models.picture_formats import picture_formats  # noqa: PLC0415 - imports Pillow

        deep = read_deep_picture(path, _check_size)
        if deep is not None:
            has_alpha = _is_png(path) and deep.ndim == 3 and deep.shape[2] in (2, 4)
            return deep, deep[..., -1] if has_alpha else None, 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)  # the size is checked here
            with PillowImage.open(path, formats=picture_formats()) as picture:
                _check_size(path, picture.height, picture.width)
                frames = int(getattr(picture, "n_frames", 1))
                _check_frame(path, frame, frames)
                if frame:
                    picture.seek(frame)
                mode = _MODES.get(picture.mode, picture.mode)
                pixels = np.asarray(picture if mode == picture.mode else picture.convert(mode))
                return pixels, _alpha(picture), frames
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}", remedy=_REMEDY) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, RuntimeError, MemoryError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: not a readable image ({error})", remedy="give TIFF, zarr, PNG or JPEG") from error


def _is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x89PNG"


def _alpha(picture: PillowPicture) -> NDArray[np.generic] | None:
    """Return the alpha channel (h, w) of a picture, also that of a transparent colour; None without one."""
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return None
    return np.asarray(picture.convert("RGBA").getchannel("A"))


def _check_size(path: Path, height: int, width: int) -> None:
    if height * width > _LIMIT_PX:
        raise ImageError(
            f"{path}: {height} x {width} pixels in one picture, which can only be read as a whole", remedy=_REMEDY
        )


def _check_frame(path: Path, frame: int, frames: int) -> None:
    if not 0 <= frame < frames:
        raise ImageError(
            f"series is {frame}; {path} has series 0 to {frames - 1}", parameter="series", remedy="choose one of them"
        )
