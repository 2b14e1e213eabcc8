"""An object that a network with a memory follows: its memory, and the window that it is seen in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from napari_sam.engine.windows import window_around
from src_models.networks.sam2.config import MEMORY_FRAMES, POINTER_FRAMES
from src_models.video.frame_tracker import Conditioning
from src_models.video.object_memory import FrameMemory, ObjectMemory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.windows import Window

_PROMPTED_FRAMES = 32  # that a plane is compared with: the nearest
_ROOM = 1 / 8  # least distance of an object from the side of its window, over the window's side
_GROWTH = 1 / 4  # and over the object's long side


@dataclass
class FollowedObject:
    """State of one object.

    Attributes
    ----------
    window : Window
        Window that it is seen in.
    memory : ObjectMemory
        What the network remembers, by position of the plane in the pass.
    last : tuple or None
        Position, mask (h, w) and box of the plane on which it was found last.
    reverse : bool or None
        Direction of the pass.
    after_start : dict of int to FrameMemory
        What was remembered first on the way forward.
    """

    window: Window
    memory: ObjectMemory = field(default_factory=lambda: ObjectMemory(POINTER_FRAMES))
    last: tuple[int, NDArray[np.bool_], Box] | None = None
    reverse: bool | None = None
    after_start: dict[int, FrameMemory] = field(default_factory=dict)

    def conditioning(self, time: int, length: int) -> Conditioning:
        """Return what conditions a plane of the pass, which has `length` planes."""
        reverse = bool(self.reverse)
        frames = self.memory.frames(time, reverse, _PROMPTED_FRAMES, self.window)
        if not frames:  # the last planes are missing: the latest that is remembered in this window
            known = [m for m in self.memory.tracked.values() if m.tokens is not None and m.place == self.window]
            frames = [(MEMORY_FRAMES - 2, memory) for memory in known[-1:]]
        return Conditioning(frames, self.memory.pointers(time, reverse, _PROMPTED_FRAMES, length))

    def begin(self, time: int, mask: NDArray[np.bool_], box: Box, *, reverse: bool) -> None:
        """Begin a pass at a prompted plane, or pass through it.

        The way back starts with what was remembered first on the way out, as if that had not been forgotten since.
        """
        if self.reverse is not None and self.reverse != reverse:
            self.memory.tracked = dict(self.after_start)
        self.reverse = reverse
        self.window = self.memory.prompted[time].place  # type: ignore[assignment]
        self.last = time, mask, box

    def prompt(self, time: int, memory: FrameMemory) -> None:
        """Remember a prompted plane."""
        self.memory.prompt(time, _reduced(memory, self.window))

    def track(self, time: int, memory: FrameMemory) -> None:
        """Remember a plane of the pass; the maps of all but the latest planes are dropped."""
        memory = _reduced(memory, self.window)
        self.memory.track(time, memory)
        for earlier in list(self.memory.tracked)[: 1 - MEMORY_FRAMES]:
            self.memory.tracked[earlier] = replace(self.memory.tracked[earlier], tokens=None, place=None)
        if not self.reverse and len(self.after_start) < POINTER_FRAMES - 1:
            self.after_start[time] = memory

    def replace_map(self, time: int, memory: FrameMemory) -> None:
        """Give the memory of a plane the map of another window; its pointer stays."""
        where = self.memory.prompted if time in self.memory.prompted else self.memory.tracked
        if time in where:
            memory = replace(memory, pointer=where[time].pointer)
        where[time] = _reduced(memory, self.window)


def fits(window: Window, box: Box, image_shape: tuple[int, int]) -> bool:
    """Return whether a window shows an object with room on all sides where the image continues."""
    margin = round(_ROOM * max(window.shape) / 2)
    return window.holds(box.grow(margin).clip(image_shape))


def window_of(box: Box, side: float, image_shape: tuple[int, int], img_size: int) -> Window:
    """Return a window that shows an object with room to move.

    Parameters
    ----------
    box : Box
        (y0, x0, y1, x1) of the object, level-0 pixels.
    side : float
        Smallest side of the window, level-0 pixels.
    image_shape : (int, int)
        Height and width of a plane.
    img_size : int
        Side of the network's input.
    """
    margin = round(max(_ROOM * side, _GROWTH * max(box.shape)))
    return window_around(box.grow(margin).clip(image_shape), side, image_shape, img_size)


def _reduced(memory: FrameMemory, window: Window) -> FrameMemory:
    """Return a memory without its mask, which is kept elsewhere."""
    return replace(memory, logits=torch.zeros(0), place=window)
