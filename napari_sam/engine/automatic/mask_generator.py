"""All masks of one image, as SAM's automatic mask generator gives them: a grid of points, and filters."""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms, crop_boxes, point_grid
from napari_sam.engine.automatic.grid_logits import MaskFrame
from napari_sam.engine.automatic.grid_masks import WindowMask, clean_masks, decode_points, filter_masks
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
    """A mask of grid mode.

    Attributes
    ----------
    bbox : (int, int, int, int)
        (y0, x0, y1, x1), pixels of the image, half-open and tight.
    area : int
        In pixels.
    predicted_iou : float
        Quality as estimated by the network.
    stability_score : float
        IoU of the mask at a stricter and a looser threshold.
    point : (float, float)
        (y, x) of its grid point, in pixels of the image, 0 being the first pixel's edge as in SAM.
    crop_box : (int, int, int, int)
        (y0, x0, y1, x1) of its crop; the whole image without crop layers.
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
        packed = np.frombuffer(zlib.decompress(self.bits), np.uint8)
        return np.unpackbits(packed, count=self.bbox.area).astype(bool).reshape(self.bbox.shape)

    def full_mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask in an array of the image's shape."""
        full = np.zeros(shape, bool)
        full[self.bbox.slices] = self.mask
        return full


class MaskGenerator:
    """Find all masks of an image that a network sees whole, with the meanings of SAM's automatic mask generator.

    Parameters
    ----------
    predictor : EmbedderHolder or Runner
        A predictor or a network. Prompts are plain points, without hypotheses or tidying.
    settings : GridSettings, optional
        SAM's defaults by default.

    Notes
    -----
    On the same weights in float32 the masks are those of the reference. Predicted IoU is filtered before masks are
    computed, and masks are upsampled one at a time; for images of any size, use `segment_everything`.

    Examples
    --------
    >>> from napari_sam import Predictor
    >>> from napari_sam.samples import nuclei
    >>> generator = MaskGenerator(Predictor(device="cpu"), GridSettings(points_per_side=2, pred_iou_thresh=0.5))
    >>> all(mask.predicted_iou > 0.5 for mask in generator.generate(nuclei()))
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
            Called with the number of crops done and their total.
        cancelled : callable, optional
            Called between batches of points; return True to stop.

        Returns
        -------
        list of FoundMask
            Best first.

        Raises
        ------
        ImageError
            If the array is no such image.
        CancelledError
            If `cancelled()` returned True.
        """
        rgb = _as_rgb(image)
        shape = (rgb.shape[0], rgb.shape[1])
        crops = crop_boxes(shape, self.settings.crop_n_layers, self.settings.crop_overlap_ratio)
        masks: list[WindowMask] = []
        boxes: list[Box] = []
        sources: list[tuple[Box, tuple[float, float]]] = []
        for i, (crop, layer) in enumerate(crops):
            in_crop, points = self._masks_in_crop(rgb, crop, layer, cancelled)
            masks += in_crop
            boxes += [mask.box.shift(*crop[:2]) for mask in in_crop]
            sources += [(crop, (float(points[mask.point, 0]), float(points[mask.point, 1]))) for mask in in_crop]
            if progress is not None:
                progress(i + 1, len(crops))
        all_boxes = np.array(boxes, np.intp).reshape(-1, 4)
        kept = np.arange(len(masks))
        if len(crops) > 1:
            areas = [crop.area for crop, _ in sources]
            kept = box_nms(all_boxes, 1 / np.array(areas, np.float64), self.settings.crop_nms_thresh)
        masks = [masks[k] for k in kept]
        return [
            _found_mask(masks[i], mask, box, *sources[kept[i]])
            for i, mask, box in clean_masks(masks, all_boxes[kept], Box(0, 0, *shape), self.settings)
        ]

    def _masks_in_crop(
        self, rgb: NDArray[np.uint8], crop: Box, layer: int, cancelled: Callable[[], bool] | None
    ) -> tuple[list[WindowMask], NDArray[np.float64]]:
        """Return the masks of a crop, in its frame, and its grid points in the image's."""
        window = Window(crop, self.runner.img_size)
        pixels = rgb[crop.slices] if window.stretches else scale_rgb(rgb[crop.slices], window.network_shape)

        def device_turn() -> AbstractContextManager[None]:
            return nullcontext() if self._lock is None else self._lock.background(cancelled)

        if cancelled is not None and cancelled():
            raise CancelledError("the search for objects was cancelled")
        with device_turn():
            embedding = self.runner.encode([pixels])
        frame = MaskFrame(window.shape, window.network_shape, window.img_size, 4 * int(embedding.shape[-1]))
        points = point_grid(self.settings.points_in_layer(layer)) * window.shape
        local = points * window.scale
        candidates = decode_points(self.runner, embedding, local, frame, self.settings, device_turn, cancelled)
        whole = Box(0, 0, rgb.shape[0], rgb.shape[1])
        return filter_masks(candidates, frame, self.settings, (crop, whole)), points + np.array(crop[:2])


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image as (h, w, 3); raise `ImageError` where it cannot be."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ImageError(
            f"image has the shape {np.shape(image)}", parameter="image", remedy="give (h, w), (h, w, 1) or (h, w, 3)"
        )
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"image is of type {pixels.dtype}",
            parameter="image",
            remedy="scale it to uint8, or use segment_everything, which does",
        )
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _found_mask(
    source: WindowMask, mask: NDArray[np.bool_], box: Box, crop: Box, point: tuple[float, float]
) -> FoundMask:
    return FoundMask(
        box,
        int(np.count_nonzero(mask)),
        source.predicted_iou,
        source.stability_score,
        point,
        crop,
        zlib.compress(np.packbits(mask).tobytes(), 1),
    )
