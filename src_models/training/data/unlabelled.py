"""Images without labels: found in folders, decoded when they are needed, and cut into random crops."""

from __future__ import annotations

import math
import struct
import threading
import zlib
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from src_models.lru import LRU
from src_models.model_errors import TrainingError
from src_models.training.data.augment import augment, dihedral
from src_models.training.data.crops import to_rgb8
from src_models.training.data.datasets import LABELS_END, read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
_CACHE_BYTES = 512 * 2**20
_LARGEST_BYTES = 2 * 2**30  # of a TIFF, decoded
_PLANES = 16  # of a stack, evenly spaced
_LEAST_PX = 16  # shorter side of an image worth looking at
_MOST_CHANNELS = 4  # an axis this short holds channels
# What decoders are seen to raise on damaged files, besides what `read_picture` turns into a TrainingError.
_UNREADABLE = (
    TrainingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    struct.error,
    zlib.error,
)


def find_images(root: Path, places: Sequence[str], without: Path | None = None) -> list[Path]:
    """All image files of some folders and patterns.

    Parameters
    ----------
    root : Path
        What relative places are relative to.
    places : sequence of str
        Folders (with all below them), files, or patterns such as ``"plates/**/*_dapi.tif"``.
    without : Path, optional
        A folder to pass over, such as that of the run, whose pictures are no data.

    Returns
    -------
    list of Path
        Sorted, each once. Label images (``NAME.labels.tif``, ``NAME_masks.png``, folders ``labels`` and ``masks``)
        and hidden files are left out.

    Raises
    ------
    TrainingError
        If a place holds no image file, or none is given.
    """
    if not places:
        raise TrainingError("images is empty: name at least one folder of images")
    found: set[Path] = set()
    for place in places:
        where = root / Path(place).expanduser()
        matches = [where] if where.exists() else [Path(name) for name in glob(str(where), recursive=True)]
        files = {file for match in matches for file in (match.rglob("*") if match.is_dir() else [match])}
        images = {file for file in files if _is_image(file) and not _inside(file, without)}
        if not images:
            raise TrainingError(f"images {place!r}: no file of {', '.join(SUFFIXES)} at {where}; check the path")
        found |= images
    return sorted(found)


def read_planes(path: Path) -> list[NDArray[np.uint8]]:
    """Decode an image file as RGB pictures.

    Parameters
    ----------
    path : Path
        Any that `read_picture` reads. Of more than two axes, the last or the one before rows and columns is taken
        for channels if it is no longer than 4; every other one makes it a stack.

    Returns
    -------
    list of ndarray of uint8
        (H, W, 3) each: one, or up to 16 evenly spaced planes of a stack. Values that are not finite become the
        smallest that is.

    Raises
    ------
    TrainingError
        If it is no picture (no rows and columns, no real numbers, less than 16 pixels on a side) or above 2 GiB.
    """
    _check_size(path)
    array = read_picture(path)
    real = np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating) or array.dtype == np.bool_
    if array.ndim < 2 or not real:
        raise TrainingError(f"{path}: {array.dtype} of shape {array.shape} is not a picture")
    own = 2
    if array.ndim > 2 and array.shape[-1] <= _MOST_CHANNELS:
        own = 3
    elif array.ndim > 2 and array.shape[-3] <= _MOST_CHANNELS:
        array, own = np.moveaxis(array, -3, -1), 3
    height, width = array.shape[-own:][:2]
    if min(height, width) < _LEAST_PX:
        raise TrainingError(f"{path}: {height} x {width} pixels are less than {_LEAST_PX} on a side")
    stack = array.reshape(-1, *array.shape[-own:])
    chosen = np.unique(np.linspace(0, len(stack) - 1, _PLANES).round().astype(int))
    return [to_rgb8(_finite(stack[i], path)) for i in chosen]


def random_crop(image: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a square of random place and scale, turned and mirrored at random.

    Parameters
    ----------
    image : ndarray of uint8
        (H, W, 3).
    side : int
        Of the crop, in pixels.
    rng : numpy.random.Generator
        Decides. The scale is log-uniform in 0.5 ... 2, and larger where the image is too small for that.

    Returns
    -------
    ndarray of uint8
        (side, side, 3).
    """
    h, w = image.shape[:2]
    zoom = 2.0 ** rng.uniform(-1, 1)
    span = min(side / zoom, h, w)  # of the crop, in image pixels
    top, left = float(rng.random()) * (h - span), float(rng.random()) * (w - span)
    y, x = int(top), int(left)
    # Pillow copies all it is given, so it gets no more than the window.
    window = image[y : math.ceil(top + span), x : math.ceil(left + span)]
    box = (left - x, top - y, min(left - x + span, window.shape[1]), min(top - y + span, window.shape[0]))
    shown = Image.fromarray(window).resize((side, side), Image.Resampling.BILINEAR, box=box)
    turned, _ = dihedral(np.asarray(shown), np.zeros((side, side), np.int32), rng)
    return turned


class UnlabelledImages:
    """Draw crops from image files, of which the latest read stay in memory; safe to use from several threads.

    Parameters
    ----------
    paths : sequence of Path
        As `find_images` returns them; all are equally likely.
    augmented : float
        Share of the crops whose appearance `augment` varies.
    cache_bytes : int
        Size of the decoded images to keep, besides the one in use.

    Attributes
    ----------
    skipped : dict of Path to str
        Files that could not be read, and why; known once one has been drawn.
    """

    def __init__(self, paths: Sequence[Path], augmented: float = 0.0, cache_bytes: int = _CACHE_BYTES) -> None:
        self.skipped: dict[Path, str] = {}
        self._paths = list(paths)
        self._augmented = augmented
        self._decoded: LRU[Path, list[NDArray[np.uint8]]] = LRU(
            limit_bytes=cache_bytes, size_of=_size, keep_newest=False
        )
        self._lock = threading.Lock()

    @property
    def cached_bytes(self) -> int:
        """Size of the decoded images in memory."""
        return self._decoded.size_bytes

    def __len__(self) -> int:
        """Number of files, whether they can be read or not."""
        return len(self._paths)

    def draw(self, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """One crop; the same whatever has been drawn before.

        Parameters
        ----------
        side : int
            Of the crop, in pixels.
        rng : numpy.random.Generator
            Decides.

        Returns
        -------
        ndarray of uint8
            (side, side, 3).

        Raises
        ------
        TrainingError
            If not one of the files can be read; the message has the first reason.
        """
        planes = None
        while planes is None:
            if len(self.skipped) == len(self._paths):
                first = next(iter(self.skipped.values()), "there is none")
                raise TrainingError(f"none of {len(self._paths)} images can be read; the first: {first}")
            planes = self._read(self._paths[int(rng.integers(len(self._paths)))])
        crop = random_crop(planes[int(rng.integers(len(planes)))], side, rng)
        return augment(crop, rng) if rng.random() < self._augmented else crop

    def _read(self, path: Path) -> list[NDArray[np.uint8]] | None:
        """Decode a file, or take it from memory; None if it cannot be read."""
        with self._lock:
            if path in self.skipped:
                return None
            decoded = self._decoded.get(path)
            if decoded is not None:
                return decoded
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
    labels = stem.endswith(LABELS_END) or path.parent.name in ("labels", "masks")
    return name.endswith(SUFFIXES) and not labels and name[0] != "." and path.is_file()


def _size(planes: list[NDArray[np.uint8]]) -> int:
    return sum(plane.nbytes for plane in planes)


def _check_size(path: Path) -> None:
    """Refuse a TIFF too large to decode whole, before anything of it is read; Pillow does so by itself."""
    if path.suffix.lower() in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as file:
            size = file.series[0].nbytes
        if size > _LARGEST_BYTES:
            raise TrainingError(f"{path}: {size / 2**30:.1f} GiB are too large to decode; cut it into smaller files")


def _finite(plane: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    if not np.issubdtype(plane.dtype, np.floating):
        return plane
    finite = np.isfinite(plane)
    if not finite.any():
        raise TrainingError(f"{path}: holds no finite number")
    filled: NDArray[np.generic] = np.where(finite, plane, plane[finite].min())
    return filled
