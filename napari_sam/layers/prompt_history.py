"""The order in which prompts were drawn, so that the last one can be taken back and drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Points, Shapes
    from numpy.typing import NDArray

    from napari_sam.layers.prompt_layers import PromptLayers

POINT, SHAPE = "point", "box"


@dataclass(frozen=True)
class _TakenBack:
    """A prompt that was taken back."""

    name: str
    vertices: NDArray[np.float64]
    kind: str  # foreground or background for a point, the type of a shape


class PromptHistory:
    """Undo and redo of the prompts on the prompt layers of an image.

    Parameters
    ----------
    prompts : PromptLayers
        The layers.
    """

    def __init__(self, prompts: PromptLayers) -> None:
        self._prompts = prompts
        self._order: list[str] = []  # a name for each prompt, in the order of drawing
        self._taken_back: list[_TakenBack] = []
        self._is_own_change = False
        self.update()

    def update(self) -> None:
        """Notice what was drawn or removed since the last call; a new prompt ends the redo."""
        for name, layer in ((POINT, self._prompts.points), (SHAPE, self._prompts.shapes)):
            difference = len(layer.data) - self._order.count(name)
            if difference > 0 and not self._is_own_change:
                self._taken_back.clear()
            self._order += [name] * difference
            for _ in range(-difference):
                self._order.pop(len(self._order) - 1 - self._order[::-1].index(name))

    def clear(self) -> None:
        """Forget what was taken back, as after the prompts were used or cleared."""
        self._taken_back.clear()
        self.update()

    def can_undo(self, plane: tuple[int, ...]) -> bool:
        """Whether there is a prompt on a plane."""
        return self._last_on(plane) is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is a prompt to draw again."""
        return bool(self._taken_back)

    def undo(self, plane: tuple[int, ...]) -> str | None:
        """Remove the prompt drawn last on a plane; return "point" or "box", or None if there is none."""
        self.update()
        last = self._last_on(plane)
        if last is None:
            return None
        name, index = last
        layer = self._layer(name)
        if name == POINT:
            kind = str(self._prompts.points.features["kind"].iloc[index])
        else:
            kind = str(self._prompts.shapes.shape_type[index])
        self._taken_back.append(_TakenBack(name, np.array(layer.data[index], dtype=float), kind))
        self._is_own_change = True
        layer.selected_data = {index}
        layer.remove_selected()
        self.update()
        self._is_own_change = False
        return name

    def redo(self) -> str | None:
        """Draw the prompt that was taken back last again; return "point" or "box", or None if there is none."""
        self.update()
        if not self._taken_back:
            return None
        prompt = self._taken_back.pop()
        self._is_own_change = True
        if prompt.name == POINT:
            kind = self._prompts.kind
            self._prompts.set_kind(prompt.kind)
            self._prompts.points.add(prompt.vertices)
            self._prompts.set_kind(kind)
        else:
            self._prompts.shapes.add(prompt.vertices, shape_type=prompt.kind)
        self.update()
        self._is_own_change = False
        return prompt.name

    def _layer(self, name: str) -> Points | Shapes:
        return self._prompts.points if name == POINT else self._prompts.shapes

    def _last_on(self, plane: tuple[int, ...]) -> tuple[str, int] | None:
        """Return the name of the last prompt on a plane, and its index in its layer."""
        for position in reversed(range(len(self._order))):
            name = self._order[position]
            index = self._order[:position].count(name)
            if self._prompts.plane_of(self._layer(name), index) == plane:
                return name, index
        return None
