"""All masks of one image, as SAM's automatic mask generator gives them: a grid of points, and filters."""

from __future__ import annotations

import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms, crop_boxes, point_grid
from napari_sam.engine.automatic.grid_logits import MaskFrame
from napari_sam.engine.automatic.grid_masks import WindowMask, ask_points, choose, tidied
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.geometry import Box
from napari_sam.engine.window_pixels import scale_rgb
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError, ImageError
from src_models.runtime import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import EmbedderHolder


@dataclass(frozen=True, repr=False)
class FoundMask:
    """A mask that grid mode found.

    Attributes
    ----------
    bbox : (int, int, int, int)
        (y0, x0, y1, x1), pixels of the image, half-open and tight.
    area : int
        In pixels.
    predicted_iou : float
        How good the network thinks it is.
    stability_score : float
        IoU of the mask at a stricter and a laxer threshold.
    point : (float, float)
        (y, x) of the point that was asked, in pixels of the image, 0 being the first pixel's edge as in SAM.
    crop_box : (int, int, int, int)
        (y0, x0, y1, x1) of the crop in which it was found; the whole image without crop layers.
    bits : bytes
        The mask, one bit per pixel of `bbox`, compressed; `mask` unpacks it.
    """

    bbox: Box
    area: int
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    crop_box: Box
    bits: bytes

    def __repr__(self) -> str:
        return f"<FoundMask of {self.area} px in {self.bbox}, predicted IoU {self.predicted_iou:.2f}>"

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels of `bbox`, (h, w) bool."""
        h, w = self.bbox[2] - self.bbox[0], self.bbox[3] - self.bbox[1]
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        return np.unpackbits(packed, count=h * w).astype(bool).reshape(h, w)

    def full_mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask in an array of the image's shape."""
        out = np.zeros(shape, bool)
        y0, x0, y1, x1 = self.bbox
        out[y0:y1, x0:x1] = self.mask
        return out


class MaskGenerator:
    """Find all masks of an image that a network sees whole, with the meanings of SAM's automatic mask generator.

    Parameters
    ----------
    predictor : EmbedderHolder or Runner
        Whose network is asked. Prompts are plain points: no hypotheses, no tidying.
    settings : GridSettings, optional
        SAM's defaults by default.

    Notes
    -----
    On the same weights in float32 the masks are those of the reference. Predicted IoU is filtered before masks are
    made, and masks are enlarged one at a time; for images of any size, use `segment_everything`.

    Examples
    --------
    >>> from napari_sam import Predictor
    >>> from napari_sam.samples import nuclei
    >>> generator = MaskGenerator(Predictor(device="cpu"), GridSettings(points_per_side=2, pred_iou_thresh=0.5))
    >>> all(one.predicted_iou > 0.5 for one in generator.generate(nuclei()))
    True
    """

    def __init__(self, predictor: EmbedderHolder | Runner, settings: GridSettings | None = None) -> None:
        self.runner = predictor if isinstance(predictor, Runner) else predictor.embedder.model.runner
        self.settings = settings or GridSettings()
        self._lock = None if isinstance(predictor, Runner) else predictor.embedder.priority_lock

    def generate(
        self,
        image: NDArray[np.uint8],
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[FoundMask]:
        """Find all masks.

        Parameters
        ----------
        image : ndarray of uint8
            (h, w), (h, w, 1) or (h, w, 3) RGB.
        progress : callable, optional
            Called with crops done and their number.
        cancelled : callable, optional
            Asked between batches of points; when it returns True the work stops.

        Returns
        -------
        list of FoundMask
            Best first.

        Raises
        ------
        ImageError
            If the array is no such image.
        CancelledError
            If `cancelled` said so.
        """
        rgb = _as_rgb(image)
        shape = (rgb.shape[0], rgb.shape[1])
        crops = crop_boxes(shape, self.settings.crop_n_layers, self.settings.crop_overlap_ratio)
        found: list[WindowMask] = []
        boxes: list[Box] = []
        sources: list[tuple[Box, tuple[float, float]]] = []
        for i, (crop, layer) in enumerate(crops):
            masks, points = self._in_crop(rgb, crop, layer, cancelled)
            found += masks
            boxes += [one.box.shift(*crop[:2]) for one in masks]
            sources += [(crop, (float(points[one.point, 0]), float(points[one.point, 1]))) for one in masks]
            if progress is not None:
                progress(i + 1, len(crops))
        placed = np.array(boxes, np.intp).reshape(-1, 4)
        kept = np.arange(len(found))
        if len(crops) > 1:
            areas = [(c[2] - c[0]) * (c[3] - c[1]) for c, _ in sources]
            kept = box_nms(placed, 1 / np.array(areas, np.float64), self.settings.crop_nms_thresh)
        some = [found[k] for k in kept]
        return [
            _record(some[i], mask, box, *sources[kept[i]])
            for i, mask, box in tidied(some, placed[kept], Box(0, 0, *shape), self.settings)
        ]

    def _in_crop(
        self, rgb: NDArray[np.uint8], crop: Box, layer: int, cancelled: Callable[[], bool] | None
    ) -> tuple[list[WindowMask], NDArray[np.float64]]:
        """Masks of a crop, in its frame, and its points in the image's."""
        y0, x0, y1, x1 = crop
        window = Window(crop, self.runner.img_size)
        pixels = scale_rgb(rgb[y0:y1, x0:x1], window.network_shape)
        turn: Callable[[], Any] = nullcontext if self._lock is None else partial(self._lock.background, cancelled)
        if cancelled is not None and cancelled():
            raise CancelledError("the search for objects was cancelled")
        with turn():
            embedding = self.runner.encode([pixels])
        frame = MaskFrame(window.shape, window.network_shape, window.img_size, 4 * int(embedding.shape[-1]))
        points = point_grid(self.settings.points_in_layer(layer)) * window.shape
        asked = points * window.scale
        candidates = ask_points(self.runner, embedding, asked, frame, self.settings, turn, cancelled)
        whole = Box(0, 0, rgb.shape[0], rgb.shape[1])
        return choose(candidates, frame, self.settings, (crop, whole)), points + np.array(crop[:2])


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = np.asarray(image)
    if found.ndim == 2:
        found = found[..., None]
    if found.ndim != 3 or found.shape[2] not in (1, 3) or 0 in found.shape:
        raise ImageError(f"image of shape {np.shape(image)}: give (h, w), (h, w, 1) or (h, w, 3)")
    if found.dtype != np.uint8:
        raise ImageError(f"image of {found.dtype}: scale it to uint8, or use segment_everything, which does")
    return np.broadcast_to(found, (*found.shape[:2], 3))


def _record(one: WindowMask, mask: NDArray[np.bool_], box: Box, crop: Box, point: tuple[float, float]) -> FoundMask:
    return FoundMask(
        box,
        int(np.count_nonzero(mask)),
        one.predicted_iou,
        one.stability_score,
        point,
        crop,
        zlib.compress(np.packbits(mask).tobytes(), 1),
    )
