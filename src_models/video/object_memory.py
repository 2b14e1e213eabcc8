"""What is remembered of one object: its prompted frames, and the latest frames in which it was tracked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from src_models.networks.sam2.config import MEMORY_FRAMES, POINTER_FRAMES

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor


@dataclass(frozen=True)
class FrameMemory:
    """An object in one frame.

    Attributes
    ----------
    logits : Tensor
        (1, 4h, 4w) low-res logits, float32; -1024 everywhere if the object is absent.
    object_score : Tensor
        (1,) logit of its presence.
    predicted_iou : Tensor
        (1,) predicted IoU of the mask.
    pointer : Tensor
        (256,) object pointer, float32.
    tokens : Tensor or None
        (h * w, 64) memory of the frame, bfloat16; None until it is needed.
    reverse : bool or None
        Direction in which the frame was passed; None if it was not yet.
    place : hashable or None
        Part of the frame that the tokens lie in. Tokens of another part do not condition a frame; pointers do.
    """

    logits: Tensor
    object_score: Tensor
    predicted_iou: Tensor
    pointer: Tensor
    tokens: Tensor | None = None
    reverse: bool | None = None
    place: Hashable = None


@dataclass
class ObjectMemory:
    """State of one object.

    Attributes
    ----------
    history_frames : int
        Largest number of tracked frames.
    prompted : dict of int to FrameMemory
        Frames with prompts, by index.
    pending : dict of int to FrameMemory
        Answers to prompts since the last propagation, which are not in the memory yet.
    tracked : dict of int to FrameMemory
        Latest frames without prompts in which the object was tracked, the latest last.
    points : dict of int to (Tensor, Tensor)
        Coordinates and labels of all prompts on a frame.
    """

    history_frames: int
    prompted: dict[int, FrameMemory] = field(default_factory=dict)
    pending: dict[int, FrameMemory] = field(default_factory=dict)
    tracked: dict[int, FrameMemory] = field(default_factory=dict)
    points: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def latest(self, frame: int) -> FrameMemory | None:
        """Return the last answer on a frame, if it is remembered."""
        for frames in (self.pending, self.prompted, self.tracked):
            if frame in frames:
                return frames[frame]
        return None

    def passed(self, frame: int) -> bool | None:
        """Return the direction in which a frame was passed; None if it was not, or is forgotten."""
        for frames in (self.prompted, self.tracked):
            if frame in frames:
                return frames[frame].reverse
        return None

    def prompt(self, frame: int, memory: FrameMemory) -> None:
        """Add a prompted frame to the memory."""
        self.tracked.pop(frame, None)
        self.prompted[frame] = memory

    def mark(self, frame: int, reverse: bool) -> None:
        """Note that a prompted frame was passed."""
        self.prompted[frame] = replace(self.prompted[frame], reverse=reverse)

    def track(self, frame: int, memory: FrameMemory) -> None:
        """Add a tracked frame to the memory, and forget the earliest one beyond the limit."""
        self.tracked.pop(frame, None)
        self.tracked[frame] = memory
        while len(self.tracked) > self.history_frames:
            del self.tracked[next(iter(self.tracked))]

    def frames(self, frame: int, reverse: bool, limit: int, place: Hashable = None) -> list[tuple[int, FrameMemory]]:
        """Return the memories that condition a frame, with the index of their temporal position.

        Parameters
        ----------
        frame : int
            Index of the frame.
        reverse : bool
            Whether the video is passed backwards.
        limit : int
            Largest number of prompted frames: the nearest.
        place : hashable, optional
            Part of the frames that is seen.
        """
        seen = [other for other, memory in self.prompted.items() if memory.place == place]
        near = sorted(seen, key=lambda other: abs(other - frame))[:limit]
        chosen = [(MEMORY_FRAMES - 1, self.prompted[other]) for other in sorted(near)]
        step = 1 if reverse else -1
        for distance in range(MEMORY_FRAMES - 1, 0, -1):
            memory = self.tracked.get(frame + step * distance)
            if memory is not None and memory.place == place:
                chosen.append((distance - 1, memory))
        return chosen

    def pointers(self, frame: int, reverse: bool, limit: int, length: int) -> list[tuple[int, Tensor]]:
        """Return the object pointers that condition a frame, with their distances in time.

        Only prompted frames that were passed before count, besides the latest tracked ones.

        Parameters
        ----------
        frame, reverse, limit
            As in `frames`.
        length : int
            Number of frames in the video.
        """
        sign = -1 if reverse else 1
        near = sorted(self.prompted, key=lambda other: abs(other - frame))[:limit]
        chosen = [
            ((frame - other) * sign, self.prompted[other].pointer)
            for other in sorted(near)
            if (frame - other) * sign >= 0
        ]
        for distance in range(1, min(length, POINTER_FRAMES)):
            memory = self.tracked.get(frame - sign * distance)
            if memory is not None:
                chosen.append((distance, memory.pointer))
        return chosen
