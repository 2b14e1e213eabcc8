"""Images without labels: find them in folders, decode them on demand, and cut random crops."""

from __future__ import annotations

import math
import threading
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from src_models.lru import LRU
from src_models.model_errors import TrainingError
from src_models.training.data.augment import augment, dihedral
from src_models.training.data.folder_dataset import LABEL_ENDINGS
from src_models.training.data.picture_files import TIFF_SUFFIXES, UNREADABLE, read_picture, to_rgb8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
_CACHE_BYTES = 512 * 2**20
_MAX_BYTES = 2 * 2**30  # of a decoded TIFF
_MAX_PLANES = 16  # of a stack, evenly spaced
_MIN_SIDE_PX = 16  # smaller images are not used
_MAX_CHANNELS = 4  # an axis of at most this length holds channels
# Errors of decoders on damaged files, beyond those that `read_picture` turns into a TrainingError.
_UNREADABLE = (
    TrainingError,
    ArithmeticError,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    *UNREADABLE,
)


def find_images(root: Path, patterns: Sequence[str], without: Path | None = None) -> list[Path]:
    """Find the image files of folders and patterns.

    Parameters
    ----------
    root : Path
        Folder of relative patterns.
    patterns : sequence of str
        Folders (with all subfolders), files, or patterns such as ``"plates/**/*_dapi.tif"``.
    without : Path, optional
        Folder to skip, such as that of the run, whose pictures are not data.

    Returns
    -------
    list of Path
        Sorted and unique. Label images (``NAME.labels.tif``, ``NAME_masks.png``, folders ``labels``, ``masks``)
        and hidden files are left out.

    Raises
    ------
    TrainingError
        If there are no patterns, or a pattern matches no image file.
    """
    if not patterns:
        raise TrainingError("images is empty", parameter="images", remedy="name at least one folder of images")
    paths: set[Path] = set()
    for pattern in patterns:
        path = root / Path(pattern).expanduser()
        matches = [path] if path.exists() else [Path(name) for name in glob(str(path), recursive=True)]
        files = {file for match in matches for file in (match.rglob("*") if match.is_dir() else [match])}
        images = {file for file in files if _is_image(file) and not _inside(file, without)}
        if not images:
            message = f"images has {pattern!r}, but {path} has no file of {', '.join(SUFFIXES)}"
            raise TrainingError(message, parameter="images", remedy="check the path")
        paths |= images
    return sorted(paths)


def read_planes(path: Path) -> list[NDArray[np.uint8]]:
    """Decode an image file as RGB pictures.

    Parameters
    ----------
    path : Path
        Any that `read_picture` reads. With more than two axes, the last axis or the axis before rows and columns
        holds channels if it is not longer than 4; all other axes make a stack.

    Returns
    -------
    list of ndarray of uint8
        (H, W, 3) each: an image, or up to 16 evenly spaced planes of a stack. Values that are not finite become the
        smallest finite value.

    Raises
    ------
    TrainingError
        If it is not an image of real numbers with at least 16 pixels on a side, or exceeds 2 GiB.
    """
    _check_size(path)
    array = read_picture(path)
    real = np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating) or array.dtype == np.bool_
    if array.ndim < 2 or not real:
        raise TrainingError(f"{path}: {array.dtype} of shape {array.shape} is not an image", remedy="leave it out")
    axes = 2  # of a plane
    if array.ndim > 2 and array.shape[-1] <= _MAX_CHANNELS:
        axes = 3
    elif array.ndim > 2 and array.shape[-3] <= _MAX_CHANNELS:
        array, axes = np.moveaxis(array, -3, -1), 3
    height, width = array.shape[-axes:][:2]
    if min(height, width) < _MIN_SIDE_PX:
        message = f"{path}: {height} x {width} pixels are less than {_MIN_SIDE_PX} on a side"
        raise TrainingError(message, remedy="leave it out")
    stack = array.reshape(-1, *array.shape[-axes:])
    chosen = np.unique(np.linspace(0, len(stack) - 1, _MAX_PLANES).round().astype(int))
    return [to_rgb8(_finite(stack[i], path)) for i in chosen]


def random_crop(image: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a square of random position and scale, rotated and mirrored at random.

    Parameters
    ----------
    image : ndarray of uint8
        (H, W, 3).
    side : int
        Side of the crop, in pixels.
    rng : numpy.random.Generator
        Source of randomness. The scale is log-uniform in 0.5 ... 2, or larger if the image is too small.

    Returns
    -------
    ndarray of uint8
        (side, side, 3).
    """
    h, w = image.shape[:2]
    zoom = 2.0 ** rng.uniform(-1, 1)
    span = min(side / zoom, h, w)  # side of the crop in pixels of the image
    top, left = float(rng.random()) * (h - span), float(rng.random()) * (w - span)
    y, x = int(top), int(left)
    # Pillow copies its input, so it receives only the visible part.
    window = image[y : math.ceil(top + span), x : math.ceil(left + span)]
    box = (left - x, top - y, min(left - x + span, window.shape[1]), min(top - y + span, window.shape[0]))
    resized = Image.fromarray(window).resize((side, side), Image.Resampling.BILINEAR, box=box)
    rotated, _ = dihedral(np.asarray(resized), np.zeros((side, side), np.int32), rng)
    return rotated


class UnlabelledImages:
    """Draw crops from image files, the latest of which stay in memory; can be used by several threads.

    Parameters
    ----------
    paths : sequence of Path
        As `find_images` returns them; all are equally likely.
    augmented : float
        Share of the crops whose appearance `augment` varies.
    cache_bytes : int
        Size of the decoded images to keep.

    Attributes
    ----------
    skipped : dict of Path to str
        Reason for each file that could not be read, once it has been drawn.
    """

    def __init__(self, paths: Sequence[Path], augmented: float = 0.0, cache_bytes: int = _CACHE_BYTES) -> None:
        self.skipped: dict[Path, str] = {}
        self._paths = list(paths)
        self._augmented = augmented
        self._decoded: LRU[Path, list[NDArray[np.uint8]]] = LRU(
            limit_bytes=cache_bytes, size_of=_size_bytes, keep_newest=False
        )
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of files, readable or not."""
        return len(self._paths)

    @property
    def cached_bytes(self) -> int:
        """Size of the decoded images in memory."""
        return self._decoded.size_bytes

    def draw(self, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw a crop, independent of what was drawn before.

        Parameters
        ----------
        side : int
            Side of the crop, in pixels.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray of uint8
            (side, side, 3).

        Raises
        ------
        TrainingError
            If none of the files can be read; the message has the first reason.
        """
        planes = None
        while planes is None:
            if len(self.skipped) == len(self._paths):
                first = next(iter(self.skipped.values()), "there are none")
                message = f"none of {len(self._paths)} images can be read ({first})"
                raise TrainingError(message, parameter="images", remedy="name other files")
            planes = self._read(self._paths[int(rng.integers(len(self._paths)))])
        crop = random_crop(planes[int(rng.integers(len(planes)))], side, rng)
        return augment(crop, rng) if rng.random() < self._augmented else crop

    def _read(self, path: Path) -> list[NDArray[np.uint8]] | None:
        """Decode a file, or take it from memory; None if it cannot be read."""
        with self._lock:
            if path in self.skipped:
                return None
            planes = self._decoded.get(path)
            if planes is None:
                try:
                    planes = read_planes(path)
                except _UNREADABLE as error:
                    self.skipped[path] = next(iter(str(error).splitlines()), "") or type(error).__name__
                    return None
                self._decoded.put(path, planes)
            return planes


def _inside(file: Path, folder: Path | None) -> bool:
    return folder is not None and folder.resolve() in file.resolve().parents


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    stem, _, _ = name.rpartition(".")
    labels = stem.endswith(LABEL_ENDINGS) or path.parent.name in ("labels", "masks")
    return name.endswith(SUFFIXES) and not labels and name[0] != "." and path.is_file()


def _size_bytes(planes: list[NDArray[np.uint8]]) -> int:
    return sum(plane.nbytes for plane in planes)


def _check_size(path: Path) -> None:
    """Refuse a TIFF that is too large to decode, before it is read; Pillow has its own check."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        with tifffile.TiffFile(path) as file:
            size = file.series[0].nbytes
        if size > _MAX_BYTES:
            message = f"{path}: {size / 2**30:.1f} GiB are too large to decode"
            raise TrainingError(message, remedy="cut it into smaller files")


def _finite(plane: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    if not np.issubdtype(plane.dtype, np.floating):
        return plane
    finite = np.isfinite(plane)
    if not finite.any():
        raise TrainingError(f"{path} has no finite values", remedy="leave it out")
    filled: NDArray[np.generic] = np.where(finite, plane, plane[finite].min())
    return filled
