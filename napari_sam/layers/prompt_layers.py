"""The layers that prompts are drawn on, and their conversion into prompts of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from napari.layers import Labels, Points, Shapes
from napari.utils.colormaps import CyclicLabelColormap
from skimage.draw import polygon2mask

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.layers.insert_layer import insert_unselected
from napari_sam.layers.placement import (
    TEMPORARY,
    data_to_image,
    image_plane_shape,
    placement,
    set_changed,
    translate_to,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction

    MaskCrop = tuple[NDArray[np.bool_], tuple[int, int, int, int]]

POINTS_NAME = "SAM points"
SHAPES_NAME = "SAM boxes"
PREVIEW_NAME = "SAM preview"
FOREGROUND, BACKGROUND = "foreground", "background"
_COLOURS = ["#2dd4bf", "#f43f5e"]  # distinct for the colour-blind, too; the symbol differs as well
_SYMBOLS = {FOREGROUND: "disc", BACKGROUND: "x"}
_PREVIEW_COLOURS = [
    (0.0, 0.85, 1.0, 1.0),
    (0.65, 1.0, 0.2, 1.0),
    (1.0, 0.45, 0.9, 1.0),
    (1.0, 0.8, 0.1, 1.0),
    (1.0, 0.15, 0.1, 1.0),  # of what lies on saved objects
]  # brighter than napari's label colours, so that a preview is never taken for an accepted object
_COVERED = len(_PREVIEW_COLOURS) - 1  # number of that colour in the preview: napari begins with the second colour
_HIGHLIGHTED = 3
_PREVIEW_OPACITY, _FAINT = 0.55, 0.25
_LARGEST_OUTLINE_PX = 1 << 22  # napari draws outlines in the GUI thread
_SMALL_PX = 40  # smaller objects get a thinner outline
_MIN_BOX_PX = 1.0
_LARGEST_AREA_PX = 8192  # larger shapes are used as boxes: a mask of them would block the GUI thread


class PromptKeywords(TypedDict, total=False):
    """Keywords of `Predictor.predict` that describe one object."""

    points: NDArray[np.float64]
    point_labels: NDArray[np.int64]
    box: tuple[float, float, float, float]
    mask: MaskPrompt


@dataclass
class PromptLayers:
    """Points, boxes and the preview that belong to one image layer.

    Attributes
    ----------
    image : napari.layers.Image
        Image to segment.
    points : napari.layers.Points
        Foreground and background points.
    shapes : napari.layers.Shapes
        Boxes and other areas.
    preview : napari.layers.Labels
        Current masks, before they are accepted.
    """

    image: ImageLayer
    points: Points
    shapes: Shapes
    preview: Labels

    @classmethod
    def create(cls, viewer: ViewerModel, image: ImageLayer) -> PromptLayers:
        """Add the three layers above the image, ready for clicks."""
        ndim = image.ndim
        transform = placement(image)
        preview = Labels(
            np.zeros((1,) * ndim, np.uint16),
            name=PREVIEW_NAME,
            opacity=_PREVIEW_OPACITY,
            metadata={TEMPORARY: True},
            **transform,
        )
        preview.colormap = CyclicLabelColormap(colors=np.array([*_PREVIEW_COLOURS]), background_value=0)
        shapes = Shapes(
            ndim=ndim, name=SHAPES_NAME, edge_color="#facc15", face_color="#00000000", edge_width=1, **transform
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
            **transform,
        )
        for layer in (preview, shapes):
            insert_unselected(viewer, len(viewer.layers), layer)
        viewer.add_layer(points)
        created = cls(image, points, shapes, preview)
        created.set_kind(FOREGROUND)
        return created

    def move_to(self, viewer: ViewerModel, image: ImageLayer) -> None:
        """Empty the layers and lay them on another image of as many axes, above all other layers.

        Much quicker than new layers: napari takes about 0.1 s of the GUI thread to add a layer, and as long to remove
        it.
        """
        self.clear()
        self.image = image
        transform = placement(image)
        for layer in (self.preview, self.shapes, self.points):
            if str(layer.mode) != "pan_zoom":
                layer.mode = "pan_zoom"
            layer.visible = True
            set_changed(layer, transform)
        if list(viewer.layers)[-3:] != [self.preview, self.shapes, self.points]:
            for layer in (self.preview, self.shapes, self.points):
                viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
        self.set_kind(FOREGROUND)

    @property
    def layers(self) -> list[Points | Shapes | Labels]:
        """Points, shapes and preview."""
        return [self.points, self.shapes, self.preview]

    @property
    def kind(self) -> str:
        """Kind of the next point, foreground or background."""
        return str(self.points.feature_defaults["kind"].iloc[0])

    @property
    def has_only_background(self) -> bool:
        """Whether there are points, on any plane, and none of them is foreground."""
        kinds = np.asarray(self.points.features["kind"])
        return bool(len(kinds)) and not (kinds == FOREGROUND).any()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn, on any plane."""
        return not len(self.points.data) and not len(self.shapes.data)

    def end_shape(self) -> bool:
        """End the shape that is being drawn, such as a polygon whose corners are clicked; return False without one."""
        is_drawing = bool(getattr(self.shapes, "_is_creating", False))
        if is_drawing:
            self.shapes._finish_drawing()
        return is_drawing

    def set_kind(self, kind: str) -> None:
        """Make the next point foreground or background."""
        self.points.selected_data = set()
        self.points.feature_defaults = {"kind": kind}
        self.points.current_symbol = _SYMBOLS[kind]
        self.points.current_face_color = _COLOURS[0] if kind == FOREGROUND else _COLOURS[1]

    def deselect(self) -> None:
        """Select no point, unless the user selects points to move them: napari draws selected points in blue."""
        if str(self.points.mode) == "add":
            self.points.selected_data = set()

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
        """Remove the masks from the preview."""
        self.preview.data = np.zeros((1,) * self.image.ndim, np.uint16)

    def show(
        self,
        masks: list[MaskCrop],
        plane: tuple[int, ...],
        outline: bool = False,
        covered: Sequence[MaskCrop] = (),
        current: int | None = None,
    ) -> None:
        """Show masks on a plane of the image, numbered from 1, without the numbers of the warning colour.

        Parameters
        ----------
        masks : list of (ndarray of bool, (int, int, int, int))
            Crops (h, w) and their (y0, x0, y1, x1), in level-0 pixels.
        plane : tuple of int
            Index along the leading axes.
        outline : bool
            Draw outlines instead of areas, so that the image below stays visible.
        covered : sequence of (ndarray of bool, (int, int, int, int))
            Parts of the masks that lie on saved objects, and get a warning colour.
        current : int, optional
            Index of the mask to highlight: the others then share one colour.
        """
        if not masks:
            self.clear_preview()
            return
        boxes = np.array([bbox for _, bbox in masks])
        (top, left), (bottom, right) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        crop = np.zeros((bottom - top, right - left), np.uint16)
        colours = len(_PREVIEW_COLOURS)
        numbers = [n for n in range(1, colours * len(masks) + colours) if n % colours != _COVERED][: len(masks)]
        if current is not None:
            numbers = [_HIGHLIGHTED if i == current else 1 for i in range(len(masks))]
        for number, (mask, (y0, x0, y1, x1)) in [*zip(numbers, masks, strict=True), *((_COVERED, c) for c in covered)]:
            crop[y0 - top : y1 - top, x0 - left : x1 - left][mask] = number
        drawn = outline and crop.size <= _LARGEST_OUTLINE_PX
        if drawn:  # napari draws no outline along the border of the data
            crop, top, left = np.pad(crop, 1), top - 1, left - 1
        self.preview.contour = 0  # otherwise napari computes the outline of the old data once more
        self.preview.data = crop[(None,) * len(plane)]
        self.preview.scale = self.image.scale  # the 3-D view may have reduced it
        self.preview.translate = translate_to(self.image, (*plane, top, left))
        self.preview.contour = (2 if min(crop.shape) > _SMALL_PX else 1) if drawn else 0
        self.preview.opacity = 1.0 if drawn else _FAINT if outline else _PREVIEW_OPACITY

    def prompts(self, plane: tuple[int, ...], one_per_box: bool, only_background: bool = False) -> list[PromptKeywords]:
        """Convert what is drawn on a plane into keywords of `Predictor.predict`, one dict per object.

        Parameters
        ----------
        plane : tuple of int
            Index along the leading axes.
        one_per_box : bool
            Make each box or area, with the points inside it, an object of its own. Otherwise, and without any
            box, everything is one object, and only the last of several shapes counts.
        only_background : bool
            Accept background points alone, because a mask will go with them.

        Returns
        -------
        list of dict
            Empty if nothing is drawn.
        """
        yx, labels = self._points_on(plane)
        shapes = self._shapes_on(plane)
        if one_per_box and shapes:
            return [_with_points(shape, yx, labels) for shape in shapes]
        prompt: PromptKeywords = shapes[-1].copy() if shapes else {}
        if len(yx):
            prompt["points"], prompt["point_labels"] = yx, labels
        meaningless = bool(len(yx)) and not labels.any() and not shapes and not only_background
        return [prompt] if prompt and not meaningless else []

    def remove_outside(self) -> bool:
        """Remove the points outside the image, which no prompt may have; return whether there were any."""
        if not len(self.points.data):
            return False
        yx = self._to_image(self.points, np.asarray(self.points.data))[:, -2:]
        outside = ((yx < -0.5) | (yx > image_plane_shape(self.image)[-2:])).any(1)
        if outside.any():
            self.points.selected_data = set(np.flatnonzero(outside).tolist())
            self.points.remove_selected()
        return bool(outside.any())

    def plane_of(self, layer: Points | Shapes, index: int) -> tuple[int, ...]:
        """Return the plane of the image that a prompt lies on, as index along the leading axes."""
        vertex = np.atleast_2d(np.asarray(layer.data[index], dtype=float))[:1]
        return tuple(int(v) for v in np.round(self._to_image(layer, vertex)[0, :-2]))

    def _to_image(self, layer: Points | Shapes, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert coordinates of a prompt layer into level-0 pixels of the image."""
        return data_to_image(layer, self.image, data)

    def _points_on(self, plane: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        if not len(self.points.data):
            return np.zeros((0, 2)), np.zeros(0, np.int64)
        data = self._to_image(self.points, np.asarray(self.points.data))
        on_plane = (np.round(data[:, :-2]) == np.array(plane)).all(1)
        labels = (np.asarray(self.points.features["kind"]) == FOREGROUND).astype(np.int64)
        return data[on_plane, -2:], labels[on_plane]

    def _shapes_on(self, plane: tuple[int, ...]) -> list[PromptKeywords]:
        prompts = []
        h, w = image_plane_shape(self.image)[-2:]
        for vertices, kind in zip(self.shapes.data, self.shapes.shape_type, strict=True):
            data = self._to_image(self.shapes, np.asarray(vertices, dtype=float))
            if not (np.round(data[:, :-2]) == np.array(plane)).all():
                continue
            prompt = shape_prompt(data[:, -2:], kind, (h, w))
            if prompt is not None:
                prompts.append(prompt)
        return prompts


def shape_prompt(yx: NDArray[np.float64], kind: str, image_shape: tuple[int, int]) -> PromptKeywords | None:
    """Convert a drawn shape into a prompt: a rectangle into a box, any other area into a box and a mask.

    Parameters
    ----------
    yx : ndarray of float
        (V, 2) vertices in level-0 pixels; four corners for a rectangle or ellipse.
    kind : str
        Shape type of napari.
    image_shape : (int, int)
        Height and width of the image, at whose border the shape is cut.

    Returns
    -------
    dict or None
        Keywords of `Predictor.predict`; None for lines, for shapes without area, and outside the image.

    Examples
    --------
    >>> shape_prompt(np.array([[2.0, 3.0], [2.0, 9.0], [7.0, 9.0], [7.0, 3.0]]), "rectangle", (10, 10))
    {'box': (2.5, 3.5, 7.5, 9.5)}
    """
    box = shape_box(yx, kind, image_shape)
    if box is None:
        return None
    mask = shape_mask(yx, kind, box)
    return {"box": box} if mask is None else {"box": box, "mask": mask}


def shape_box(
    yx: NDArray[np.float64], kind: str, image_shape: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """Return the box (y0, x0, y1, x1) of a drawn shape inside the image; None if the shape is no area there."""
    if kind == "line" or len(yx) < 3:
        return None
    # napari's pixel centres are integers; the sides of a box lie between pixels.
    low = np.clip(yx.min(0) + 0.5, 0, image_shape)
    high = np.clip(yx.max(0) + 0.5, 0, image_shape)
    if (high - low < _MIN_BOX_PX).any():
        return None
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def shape_mask(yx: NDArray[np.float64], kind: str, box: tuple[float, float, float, float]) -> MaskPrompt | None:
    """Return the pixels of a drawn shape inside its box; None for a rectangle, or if there are none or too many."""
    if kind == "rectangle" or max(box[2] - box[0], box[3] - box[1]) > _LARGEST_AREA_PX:
        return None
    y0, x0 = (int(v) for v in np.floor(box[:2]))
    y1, x1 = (int(v) for v in np.ceil(box[2:]))
    if kind == "ellipse":
        centre, radii = (yx.min(0) + yx.max(0) + 1) / 2, np.ptp(yx, axis=0) / 2  # of the whole, uncut ellipse
        y, x = np.mgrid[y0:y1, x0:x1] + 0.5
        inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1
    else:
        inside = polygon2mask((y1 - y0, x1 - x0), yx - (y0, x0))
    return MaskPrompt(inside, (y0, x0, y1, x1)) if inside.any() else None


def _with_points(prompt: PromptKeywords, yx: NDArray[np.float64], labels: NDArray[np.int64]) -> PromptKeywords:
    """Add the points that lie in the prompt's box."""
    y0, x0, y1, x1 = prompt["box"]
    inside = (yx >= (y0 - 0.5, x0 - 0.5)).all(1) & (yx <= (y1, x1)).all(1)
    if not inside.any():
        return prompt
    return {**prompt, "points": yx[inside], "point_labels": labels[inside]}


def masks_of(predictions: list[Prediction], candidate: int | list[int] | None = None) -> list[MaskCrop]:
    """Return mask and box of each prediction: its best mask, or the given candidate, one for all or one for each."""
    chosen = (
        candidate if isinstance(candidate, list) else [p.best if candidate is None else candidate for p in predictions]
    )
    return [(p.mask_at(index), p.bbox) for p, index in zip(predictions, chosen, strict=True)]
