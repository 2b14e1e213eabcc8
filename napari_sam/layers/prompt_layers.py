"""The layers a person draws prompts on, and how they become the engine's prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Points, Shapes
from napari.utils.colormaps import CyclicLabelColormap
from skimage.draw import polygon2mask

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction

POINTS_NAME = "SAM points"
SHAPES_NAME = "SAM boxes"
PREVIEW_NAME = "SAM preview"
TEMPORARY = "napari_sam_temporary"
"""In the metadata of labels layers that only show something and cannot be written to."""
FOREGROUND, BACKGROUND = "foreground", "background"
_COLOURS = ["#2dd4bf", "#f43f5e"]  # told apart by the colour-blind, too; the symbol differs as well
_SYMBOLS = {FOREGROUND: "disc", BACKGROUND: "x"}
_PREVIEW_COLOURS = [
    (0.0, 0.85, 1.0, 1.0),
    (0.65, 1.0, 0.2, 1.0),
    (1.0, 0.45, 0.9, 1.0),
    (1.0, 0.8, 0.1, 1.0),
]  # brighter than napari's label colours, so that a preview is never taken for an accepted object
_PREVIEW_OPACITY, _FAINT = 0.55, 0.25
_LARGEST_OUTLINE_PX = 1 << 22  # napari draws outlines in the GUI thread
_SMALL_PX = 40  # the outline of a smaller object is thinner
_MIN_BOX_PX = 1.0
_LARGEST_AREA_PX = 8192  # beyond this only the box counts: a mask of it would not fit the GUI thread's patience


def spatial_ndim(layer: ImageLayer) -> int:
    """Dimensions of an image layer's data without the colour axis; y and x are the last two."""
    return int(layer.ndim)


def current_plane(viewer: ViewerModel, layer: ImageLayer) -> tuple[int, ...]:
    """Index of the shown plane along each leading axis of a layer.

    Raises
    ------
    ImageError
        If the viewer shows something other than the layer's last two axes.
    """
    shown = tuple(viewer.dims.displayed)
    if viewer.dims.ndisplay != 2 or shown != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        raise ImageError(f"the viewer shows axes {shown}: switch to 2D and show y and x, the last two axes")
    point = layer.world_to_data(viewer.dims.point)
    leading = spatial_ndim(layer) - 2
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    return tuple(int(np.clip(round(point[i]), 0, shape[i] - 1)) for i in range(leading))


@dataclass
class PromptLayers:
    """Points, boxes and the preview that belong to one image layer.

    Attributes
    ----------
    image : napari.layers.Image
        What is segmented.
    points, shapes, preview : napari.layers
        Foreground and background points; boxes and areas; the mask so far.
    """

    image: ImageLayer
    points: Points
    shapes: Shapes
    preview: Labels

    @classmethod
    def create(cls, viewer: ViewerModel, image: ImageLayer) -> PromptLayers:
        """Add the three layers above the image, ready to click on."""
        ndim = spatial_ndim(image)
        placed = placement(image)
        preview = Labels(
            np.zeros((1,) * ndim, np.uint16),
            name=PREVIEW_NAME,
            opacity=_PREVIEW_OPACITY,
            metadata={TEMPORARY: True},
            **placed,
        )
        preview.colormap = CyclicLabelColormap(colors=np.array([*_PREVIEW_COLOURS]), background_value=0)
        shapes = Shapes(
            ndim=ndim, name=SHAPES_NAME, edge_color="#facc15", face_color="#00000000", edge_width=1, **placed
        )
        points = Points(
            ndim=ndim,
            name=POINTS_NAME,
            features={"kind": np.empty(0, dtype=object)},
            feature_defaults={"kind": FOREGROUND},
            face_color="kind",
            face_color_cycle=_COLOURS,
            border_color="white",
            canvas_size_limits=(9, 14),
            **placed,
        )
        for layer in (preview, shapes, points):
            viewer.add_layer(layer)
        created = cls(image, points, shapes, preview)
        created.set_kind(FOREGROUND)
        return created

    @property
    def kind(self) -> str:
        """What the next point will be."""
        return str(self.points.feature_defaults["kind"].iloc[0])

    def set_kind(self, kind: str) -> None:
        """Make the next point foreground or background."""
        self.points.selected_data = set()
        self.points.feature_defaults = {"kind": kind}
        self.points.current_symbol = _SYMBOLS[kind]
        self.points.current_face_color = _COLOURS[0] if kind == FOREGROUND else _COLOURS[1]

    def clear(self) -> None:
        """Remove all prompts and the preview."""
        self.clear_preview()
        with self.points.events.data.blocker(), self.shapes.events.data.blocker():
            self.points.selected_data = set(range(len(self.points.data)))
            self.points.remove_selected()
            self.shapes.selected_data = set(range(len(self.shapes.data)))
            self.shapes.remove_selected()
        self.points.refresh()
        self.shapes.refresh()

    def clear_preview(self) -> None:
        """Show no mask."""
        self.preview.data = np.zeros((1,) * spatial_ndim(self.image), np.uint16)

    def show(
        self,
        masks: list[tuple[NDArray[np.bool_], tuple[int, int, int, int]]],
        plane: tuple[int, ...],
        outline: bool = False,
    ) -> None:
        """Show masks on a plane of the image, numbered from 1.

        Parameters
        ----------
        masks : list of (ndarray of bool, (int, int, int, int))
            Crops (h, w) and their (y0, x0, y1, x1), level-0 pixels.
        plane : tuple of int
            Index along the leading axes.
        outline : bool
            Whether only their outlines show, for what lies under them to be seen.
        """
        if not masks:
            self.clear_preview()
            return
        boxes = np.array([bbox for _, bbox in masks])
        (top, left), (bottom, right) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        crop = np.zeros((bottom - top, right - left), np.uint16)
        for number, (mask, (y0, x0, y1, x1)) in enumerate(masks, start=1):
            crop[y0 - top : y1 - top, x0 - left : x1 - left][mask] = number
        drawn = outline and crop.size <= _LARGEST_OUTLINE_PX
        if drawn:  # napari draws no outline along the border of the data
            crop, top, left = np.pad(crop, 1), top - 1, left - 1
        self.preview.contour = 0  # of the old data: napari would compute it once more
        self.preview.data = crop[(None,) * len(plane)]
        self.preview.translate = translate_to(self.image, (*plane, top, left))
        self.preview.contour = (2 if min(crop.shape) > _SMALL_PX else 1) if drawn else 0
        self.preview.opacity = 1.0 if drawn else _FAINT if outline else _PREVIEW_OPACITY

    def prompts(self, plane: tuple[int, ...], one_per_box: bool, only_background: bool = False) -> list[dict[str, Any]]:
        """What was drawn on a plane, as keywords of `Predictor.predict`.

        Parameters
        ----------
        plane : tuple of int
            Index along the leading axes.
        one_per_box : bool
            Each box or area is an object of its own, with the points inside it; otherwise everything together is
            one object, and of several shapes the last counts.
        only_background : bool
            Whether background points alone mean something, because a mask goes with them.

        Returns
        -------
        list of dict
            Empty if nothing was drawn.
        """
        yx, labels = self._points_on(plane)
        shapes = self._shapes_on(plane)
        if one_per_box:
            return [_with_points(shape, yx, labels) for shape in shapes]
        ask: dict[str, Any] = dict(shapes[-1]) if shapes else {}
        if len(yx):
            ask |= {"points": yx, "point_labels": labels}
        meaningless = bool(len(yx)) and not labels.any() and not shapes and not only_background
        return [ask] if ask and not meaningless else []

    def _to_image(self, layer: Points | Shapes, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates of a prompt layer in the image's level-0 pixels."""
        return np.array([self.image.world_to_data(layer.data_to_world(v)) for v in data], dtype=float)

    def _points_on(self, plane: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        if not len(self.points.data):
            return np.zeros((0, 2)), np.zeros(0, np.int64)
        data = self._to_image(self.points, np.asarray(self.points.data))
        here = (np.round(data[:, :-2]) == np.array(plane)).all(1)
        labels = (np.asarray(self.points.features["kind"]) == FOREGROUND).astype(np.int64)
        return data[here, -2:], labels[here]

    def _shapes_on(self, plane: tuple[int, ...]) -> list[dict[str, Any]]:
        asks = []
        for vertices, kind in zip(self.shapes.data, self.shapes.shape_type, strict=True):
            data = self._to_image(self.shapes, np.asarray(vertices, dtype=float))
            if not (np.round(data[:, :-2]) == np.array(plane)).all():
                continue
            ask = shape_prompt(data[:, -2:], kind, self._image_shape())
            if ask is not None:
                asks.append(ask)
        return asks

    def _image_shape(self) -> tuple[int, int]:
        data = self.image.data[0] if self.image.multiscale else self.image.data
        last = -1 if self.image.rgb else None
        h, w = data.shape[:last][-2:]
        return int(h), int(w)


def shape_prompt(yx: NDArray[np.float64], kind: str, image_shape: tuple[int, int]) -> dict[str, Any] | None:
    """A drawn shape as a prompt: a rectangle is its box, any other area its box and a mask.

    Parameters
    ----------
    yx : ndarray of float
        (V, 2) vertices in level-0 pixels; four corners for a rectangle or ellipse.
    kind : str
        napari's shape type.
    image_shape : (int, int)
        The shape is cut at the image's border.

    Returns
    -------
    dict or None
        Keywords of `Predictor.predict`; None for lines, for shapes still without area, and outside the image.

    Examples
    --------
    >>> shape_prompt(np.array([[2.0, 3.0], [2.0, 9.0], [7.0, 9.0], [7.0, 3.0]]), "rectangle", (10, 10))
    {'box': (2.5, 3.5, 7.5, 9.5)}
    """
    if kind == "line" or len(yx) < 3:
        return None
    # napari's pixel centres are integers; a box's sides lie between pixels.
    low = np.clip(yx.min(0) + 0.5, 0, image_shape)
    high = np.clip(yx.max(0) + 0.5, 0, image_shape)
    if (high - low < _MIN_BOX_PX).any():
        return None
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    if kind == "rectangle" or (high - low).max() > _LARGEST_AREA_PX:
        return {"box": box}
    y0, x0 = (int(v) for v in np.floor(low))
    y1, x1 = (int(v) for v in np.ceil(high))
    if kind == "ellipse":
        centre, radii = (yx.min(0) + yx.max(0) + 1) / 2, np.ptp(yx, axis=0) / 2  # of the whole, uncut ellipse
        y, x = np.mgrid[y0:y1, x0:x1] + 0.5
        inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1
    else:
        inside = polygon2mask((y1 - y0, x1 - x0), yx - (y0, x0))
    if not inside.any():
        return {"box": box}
    return {"box": box, "mask": MaskPrompt(inside, (y0, x0, y1, x1))}


def _with_points(ask: dict[str, Any], yx: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Add the points that lie in a box."""
    y0, x0, y1, x1 = ask["box"]
    inside = (yx >= (y0 - 0.5, x0 - 0.5)).all(1) & (yx <= (y1, x1)).all(1)
    return {**ask, "points": yx[inside], "point_labels": labels[inside]} if inside.any() else ask


def placement(image: ImageLayer) -> dict[str, Any]:
    """Transform keywords that lay a layer exactly on an image layer."""
    return {
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
    }


def translate_to(image: ImageLayer, origin: Sequence[float]) -> NDArray[np.float64]:
    """Translation of a crop that starts at `origin` of the image's data."""
    zero = np.array(image.data_to_world([0.0] * len(origin)))
    moved = np.array(image.data_to_world(list(origin))) - zero
    linear = np.linalg.inv(image.affine.linear_matrix)
    out: NDArray[np.float64] = np.asarray(image.translate) + linear @ moved
    return out


def masks_of(predictions: list[Prediction], candidate: int | None = None) -> list[tuple[Any, Any]]:
    """Masks and boxes to show: the best of each prediction, or its candidate."""
    return [(p.mask_at(p.best if candidate is None else candidate), p.bbox) for p in predictions]
