"""Grid mode: a grid of points in every window of a region, its masks flattened into labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms, flatten_masks, point_grid
from napari_sam.engine.automatic.grid_logits import MaskFrame
from napari_sam.engine.automatic.grid_masks import WindowMask, clean_masks, decode_points, filter_masks
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.object_finder import TileObjects, is_uniform
from napari_sam.engine.automatic.region_windows import cover_region, even_starts, label_shape, network_record
from napari_sam.engine.geometry import Box
from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_logits import MaskCandidate
    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from napari_sam.engine.windows import Window

_OVERLAP = 0.25  # overlap of the windows of one region over their side
_CUT_PX = 4.0  # pixels of the network's input: a mask so near to its window's edge is cut by it


@dataclass(frozen=True)
class _ReadWindow:
    """A window and its pixels."""

    window: Window
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class _DecodedWindow:
    """A window and the masks in it that may pass the filters."""

    window: Window
    frame: MaskFrame
    candidates: list[MaskCandidate]


class GridFinder:
    """Find all objects of a region by a grid of points; an `ObjectFinder`.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image; prompts are plain points, without hypotheses or tidying.
    settings : GridSettings, optional
        `GridSettings.for_model` by default. `points_per_side` counts per window. Crop layers are not used: coarser
        factors have windows of their own.
    side : int, optional
        Level-0 pixels that one window shows at factor 1; the network's input by default. Larger windows show the image
        reduced, smaller ones magnified.

    Raises
    ------
    SettingsError
        If `side` is not positive, or crop layers are set.

    Notes
    -----
    Regions up to `side` * factor are one window; larger ones are covered by windows that overlap by a quarter, and
    masks cut by a window's edge inside the region are left to its neighbour. Masks at the region's own edge stay.
    """

    method = "grid"

    def __init__(
        self, predictor: EmbedderHolder, settings: GridSettings | None = None, *, side: int | None = None
    ) -> None:
        self.embedder = predictor.embedder
        self.grid = settings or GridSettings.for_model(self.embedder.model.kind)
        self.side = self.embedder.img_size if side is None else int(side)
        if self.side <= 0:
            raise SettingsError(f"side is {side}", parameter="side", remedy="give a positive number of level-0 pixels")
        if self.grid.crop_n_layers:
            raise SettingsError(
                f"crop_n_layers is {self.grid.crop_n_layers}, and tiles of a whole image have no crop layers",
                parameter="crop_n_layers",
                remedy="give 0, or use MaskGenerator for an image that the network sees whole",
            )

    def settings(self) -> dict[str, Any]:
        """Return everything the result depends on besides the pixels, as JSON holds it."""
        return {"method": self.method, "side": self.side, **network_record(self.embedder), **self.grid.as_dict()}

    def read(self, region: Box, factor: int) -> list[_ReadWindow]:
        """Read the pixels of the region's windows, scaled for the network."""
        windows = region_windows(region, self.side, factor, self.embedder.image.shape, self.embedder.img_size)
        return [_ReadWindow(window, self.embedder.pixels(window)) for window in windows]

    def is_blank(self, read: list[_ReadWindow]) -> bool:
        """Return whether every window is uniform, such as the background of a slide."""
        return all(is_uniform(window.pixels) for window in read)

    def compute(
        self, region: Box, factor: int, read: list[_ReadWindow], cancelled: Callable[[], bool] | None = None
    ) -> list[_DecodedWindow]:
        """Encode the windows and decode their points; points outside of the region are left out.

        Raises
        ------
        CancelledError
            If `cancelled()` returned True.
        """
        runner, decoded = self.embedder.model.runner, []
        device_turn = partial(self.embedder.priority_lock.background, cancelled)
        low, high = np.array(region[:2]), np.array(region[2:])
        for read_window in read:
            window = read_window.window
            with device_turn():
                embedding = runner.encode([read_window.pixels])
            frame = window_frame(window, factor, 4 * int(embedding.shape[-1]))
            # In a window that the image's border makes narrow, only that part of the grid is used.
            points = point_grid(self.grid.points_per_side) * max(window.shape) + window.bbox[:2]
            points = points[((points >= low) & (points < high) & (points < window.bbox[2:])).all(1)]
            local = (points - window.bbox[:2]) * window.scale
            candidates = decode_points(runner, embedding, local, frame, self.grid, device_turn, cancelled)
            decoded.append(_DecodedWindow(window, frame, candidates))
        return decoded

    def finish(self, region: Box, factor: int, computed: list[_DecodedWindow]) -> TileObjects:
        """Filter the masks, drop duplicates and flatten them into labels."""
        shape = label_shape(region, factor)
        masks: list[WindowMask] = []
        corners: list[tuple[int, int]] = []
        for decoded in computed:
            frame = decoded.frame
            y, x = ((decoded.window.bbox[axis] - region[axis]) // factor for axis in (0, 1))
            box = Box(0, 0, *frame.shape).shift(y, x)
            # SAM's 20 pixels would leave no room in the overlap for objects that suit small windows.
            edge_px = math.ceil(_CUT_PX * frame.shape[0] / frame.network_shape[0])
            passing = filter_masks(decoded.candidates, frame, self.grid, (box, box.union((0, 0, *shape))), edge_px)
            masks += passing
            corners += [(y, x)] * len(passing)
        boxes = np.array([mask.box for mask in masks], np.intp).reshape(-1, 4)
        boxes += np.array([corner * 2 for corner in corners], np.intp).reshape(-1, 4)
        kept = np.arange(len(masks))
        if len(computed) > 1:
            kept = box_nms(boxes, np.array([mask.predicted_iou for mask in masks]), self.grid.box_nms_thresh)
        masks = [masks[k] for k in kept]
        cleaned = clean_masks(masks, boxes[kept], None, self.grid)
        labels, visible = flatten_masks(shape, [(mask, box[:2]) for _, mask, box in cleaned])
        objects = [masks[cleaned[i][0]] for i in visible]
        return TileObjects(
            labels,
            np.array([mask.predicted_iou for mask in objects], np.float32),
            np.array([mask.stability_score for mask in objects], np.float32),
        )


def window_frame(window: Window, factor: int, side: int) -> MaskFrame:
    """Return the label pixels of a window, `factor` level-0 pixels each, on its (side, side) low-res logits."""
    shape = label_shape(window.bbox, factor)
    scale = window.scale
    network = (shape[0] * factor * scale[0], shape[1] * factor * scale[1])
    return MaskFrame(shape, network, window.img_size, side)


def region_windows(
    region: tuple[int, int, int, int], side: int, factor: int, image_shape: tuple[int, int], img_size: int
) -> list[Window]:
    """Return windows that cover a region, aligned with its label pixels, inside the image.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    side : int
        Level-0 pixels of a window at factor 1.
    factor : int
        Level-0 pixels per label pixel.
    image_shape : (int, int)
        Height and width of level 0; windows are moved inwards at its border, to show as much as they can.
    img_size : int
        Side of the network's input.

    Raises
    ------
    PromptError
        If the region is empty or lies outside the image.

    Examples
    --------
    >>> [w.bbox for w in region_windows((0, 0, 600, 512), 512, 1, (4000, 4000), 1024)]
    [(0, 0, 512, 512), (88, 0, 600, 512)]
    """
    return cover_region(region, image_shape, img_size, partial(_window_spans, span=side * factor, factor=factor))


def _window_spans(low: int, high: int, size: int, *, span: int, factor: int) -> list[tuple[int, int]]:
    """Return start and end of windows along an axis, `span` level-0 pixels long or cut at the image's end."""
    if high - low <= span:
        inwards = min(max(0, low + span - size), low) // factor * factor
        start = low - inwards
        return [(start, min(start + span, size))]
    last = -(-(high - low - span) // factor)
    count = 1 + math.ceil(last * factor / (span * (1 - _OVERLAP)))
    starts = set(even_starts(low, last, count, factor))
    return [(start, min(start + span, size)) for start in sorted(starts)]
