"""Grid mode for whole images: a grid of points in every window of a region, laid flat into labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms, flatten_masks, point_grid
from napari_sam.engine.automatic.grid_logits import MaskFrame
from napari_sam.engine.automatic.grid_masks import WindowMask, ask_points, choose, tidied
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.object_finder import TileObjects, is_even
from napari_sam.engine.automatic.region_windows import cover_region, even_starts, label_shape, network_record
from napari_sam.engine.geometry import Box
from napari_sam.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_logits import MaskCandidate
    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from napari_sam.engine.windows import Window

_OVERLAP = 0.25  # of windows of one region, over their side
_CUT_PX = 4.0  # a mask so near to its window's edge is cut by it, pixels of the network's input


@dataclass(frozen=True)
class _Read:
    """A window and its pixels."""

    window: Window
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class _Asked:
    """A window and the masks in it that may pass."""

    window: Window
    frame: MaskFrame
    candidates: list[MaskCandidate]


class GridFinder:
    """Find all objects of a region by a grid of points; an `ObjectFinder`.

    Parameters
    ----------
    predictor : EmbedderHolder
        With an image; prompts are plain points, without hypotheses or tidying.
    settings : GridSettings, optional
        `GridSettings.for_model` by default. `points_per_side` counts per window. Crop layers are not used: coarser
        factors are other windows already.
    side : int, optional
        Level-0 pixels that one window shows at factor 1; the network's input by default. Larger windows see the image
        reduced, smaller ones magnified.

    Raises
    ------
    SettingsError
        If `side` is not positive, or crop layers are asked for.

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
            raise SettingsError(f"side {side}: give a positive number of level-0 pixels")
        if self.grid.crop_n_layers:
            raise SettingsError(
                f"crop_n_layers {self.grid.crop_n_layers}: tiles of a whole image have no crop layers, give 0; "
                "MaskGenerator has them, for images that the network sees whole"
            )

    def settings(self) -> dict[str, Any]:
        """Everything the answer depends on besides the pixels, as JSON holds it."""
        return {"method": self.method, "side": self.side, **network_record(self.embedder), **self.grid.as_dict()}

    def read(self, region: Box, factor: int) -> list[_Read]:
        """Read the pixels of the region's windows, scaled for the network."""
        windows = region_windows(region, self.side, factor, self.embedder.image.shape, self.embedder.img_size)
        return [_Read(window, self.embedder.pixels(window)) for window in windows]

    def sees_nothing(self, read: list[_Read]) -> bool:
        """Whether every window is even: background of a slide, or what was never scanned."""
        return all(is_even(one.pixels) for one in read)

    def compute(
        self, region: Box, factor: int, read: list[_Read], cancelled: Callable[[], bool] | None = None
    ) -> list[_Asked]:
        """Encode the windows and ask their points; those outside of the region are left out.

        Raises
        ------
        CancelledError
            If `cancelled` said so.
        """
        runner, out = self.embedder.model.runner, []
        turn = partial(self.embedder.priority_lock.background, cancelled)
        low, high = np.array(region[:2]), np.array(region[2:])
        for one in read:
            window = one.window
            with turn():
                embedding = runner.encode([one.pixels])
            frame = window_frame(window, factor, 4 * int(embedding.shape[-1]))
            # Of a window that the image's border makes narrow only that part of the grid is asked.
            points = point_grid(self.grid.points_per_side) * max(window.shape) + window.bbox[:2]
            asked = points[((points >= low) & (points < high) & (points < window.bbox[2:])).all(1)]
            local = (asked - window.bbox[:2]) * window.scale
            found = ask_points(runner, embedding, local, frame, self.grid, turn, cancelled)
            out.append(_Asked(window, frame, found))
        return out

    def finish(self, region: Box, factor: int, computed: list[_Asked]) -> TileObjects:
        """Filter, drop duplicates and lay flat."""
        shape = label_shape(region, factor)
        masks: list[WindowMask] = []
        corners: list[tuple[int, int]] = []
        for one in computed:
            y, x = ((one.window.bbox[axis] - region[axis]) // factor for axis in (0, 1))
            own = Box(0, 0, *one.frame.shape).shift(y, x)
            # SAM's 20 pixels would leave no room in the overlap for objects that small windows see well.
            edge_px = math.ceil(_CUT_PX * one.frame.shape[0] / one.frame.network_shape[0])
            some = choose(one.candidates, one.frame, self.grid, (own, own.union((0, 0, *shape))), edge_px)
            masks += some
            corners += [(y, x)] * len(some)
        boxes = np.array([one.box for one in masks], np.intp).reshape(-1, 4)
        boxes += np.array([corner * 2 for corner in corners], np.intp).reshape(-1, 4)
        kept = np.arange(len(masks))
        if len(computed) > 1:
            kept = box_nms(boxes, np.array([one.predicted_iou for one in masks]), self.grid.box_nms_thresh)
        some = [masks[k] for k in kept]
        tidy = tidied(some, boxes[kept], None, self.grid)
        labels, shown = flatten_masks(shape, [(mask, box[:2]) for _, mask, box in tidy])
        of = [some[tidy[i][0]] for i in shown]
        return TileObjects(
            labels,
            np.array([one.predicted_iou for one in of], np.float32),
            np.array([one.stability_score for one in of], np.float32),
        )


def window_frame(window: Window, factor: int, side: int) -> MaskFrame:
    """Label pixels of a window, `factor` level-0 pixels each, on its low-res logits of `side` x `side`."""
    shape = tuple(-(-n // factor) for n in window.shape)
    scale = window.scale
    network = (shape[0] * factor * scale[0], shape[1] * factor * scale[1])
    return MaskFrame((shape[0], shape[1]), network, window.img_size, side)


def region_windows(region: Box, side: int, factor: int, image_shape: tuple[int, int], img_size: int) -> list[Window]:
    """Windows that cover a region, on its grid of label pixels, inside the image.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    side : int
        Level-0 pixels of a window at factor 1.
    factor : int
        Level-0 pixels per label pixel.
    image_shape : (int, int)
        Windows are moved inwards at the image's border, so that they see as much as they can.
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
