"""Selection by the mouse: a click on an object, a rectangle or a lasso around objects."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from napari.layers import Shapes

from napari_sam.layers.objects.selection_outline import SELECTED
from napari_sam.layers.placement import TEMPORARY, placement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

BAND_NAME = "SAM selection"
PICK, RECTANGLE, LASSO = "pick", "rectangle", "lasso"
_LEAST_MOVE_PX = 4  # on the screen; a hand that clicks moves less
_STEP_PX = 3
_LINE_PX = 2.0


class Combine(Enum):
    """How what was clicked or encircled changes the selection."""

    REPLACE = "replace"
    ADD = "add"
    REMOVE = "remove"

    @classmethod
    def of(cls, modifiers: Sequence[object]) -> Combine:
        """Return what the keys mean that are held: Shift adds, Control removes."""
        held = {getattr(m, "name", str(m)) for m in modifiers}
        if "Control" in held:
            return cls.REMOVE
        return cls.ADD if "Shift" in held else cls.REPLACE


class MouseEvent(Protocol):
    """What napari tells about the mouse."""

    button: int
    modifiers: Sequence[object]
    type: str
    position: Sequence[float]
    pos: Sequence[float]


class SelectionBand:
    """Layer that takes the mouse while objects are selected, and shows the rectangle or lasso that is drawn.

    Parameters
    ----------
    image : napari.layers.Image
        Image that the objects belong to.
    on_click : callable
        Called with (y, x), in level-0 pixels, and the `Combine` of a click.
    on_area : callable
        Called with the corners (n, 2) as (y, x) of what was drawn, and its `Combine`.

    Attributes
    ----------
    layer : napari.layers.Shapes
        The layer; add it to the viewer.
    """

    def __init__(
        self,
        image: ImageLayer,
        on_click: Callable[[tuple[float, float], Combine], None],
        on_area: Callable[[NDArray[np.float64], Combine], None],
    ) -> None:
        self._image, self._on_click, self._on_area = image, on_click, on_area
        self._tool = PICK
        self.layer = Shapes(
            ndim=image.ndim,
            name=BAND_NAME,
            edge_color=SELECTED,
            face_color="#00000000",
            metadata={TEMPORARY: True},
            **placement(image),
        )
        self.layer.mode = "pan_zoom"
        self.layer.mouse_drag_callbacks.append(self._on_press)

    @property
    def tool(self) -> str:
        """Tool in use: "pick", "rectangle" or "lasso"."""
        return self._tool

    @tool.setter
    def tool(self, tool: str) -> None:
        self._tool = tool
        self.layer.mode = "pan_zoom"
        self.layer.mouse_pan = tool == PICK

    def _on_press(self, layer: Shapes, event: MouseEvent) -> Iterator[None]:
        if event.button != 1:
            return
        how, at = Combine.of(event.modifiers), self._point(event)
        leading, path = at[:-2], [at[-2:]]
        pressed = last = np.asarray(event.pos, dtype=float)
        has_moved, pixel = False, 1.0
        yield
        while event.type == "mouse_move":
            here = np.asarray(event.pos, dtype=float)
            if not has_moved and (moved := float(np.hypot(*(here - pressed)))) >= _LEAST_MOVE_PX:
                has_moved = True
                pixel = float(np.hypot(*(self._point(event)[-2:] - path[0]))) / moved
            if self._tool != PICK and has_moved and np.hypot(*(here - last)) >= _STEP_PX:
                last = here
                path.append(self._point(event)[-2:])
                self._draw(leading, self._corners(path), pixel)
            yield
        layer.data = []
        if not has_moved:
            self._on_click((float(at[-2]), float(at[-1])), how)
        elif self._tool != PICK:
            path.append(self._point(event)[-2:])
            self._on_area(self._corners(path), how)

    def _point(self, event: MouseEvent) -> NDArray[np.float64]:
        """Return where the mouse is, (..., y, x), in level-0 pixels."""
        return np.asarray(self._image.world_to_data(event.position), dtype=float)

    def _corners(self, path: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        if self._tool == LASSO:
            return np.array(path)
        (y0, x0), (y1, x1) = path[0], path[-1]
        return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])

    def _draw(self, leading: NDArray[np.float64], corners: NDArray[np.float64], pixel: float) -> None:
        """Show what is drawn as a closed line, on a plane; `pixel` is the size of a screen pixel in image pixels."""
        closed = np.vstack([corners, corners[:1]])
        line = np.hstack([np.tile(np.round(leading), (len(closed), 1)), closed])
        self.layer.data = []
        self.layer.add([line], shape_type="path", edge_width=_LINE_PX * max(pixel, 1e-6), edge_color=SELECTED)
