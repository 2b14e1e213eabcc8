"""Follow objects through a video: prompts on any frame, corrections, and propagation in both directions."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src_models.model_errors import VideoError
from src_models.networks.prompt_encoder import BOTTOM_RIGHT, NEGATIVE, POSITIVE, TOP_LEFT
from src_models.networks.sam2.network import Sam2
from src_models.runtime import choose_device, choose_precision
from src_models.video.frame_tracker import Conditioning, FrameTracker, computing
from src_models.video.object_memory import ObjectMemory
from src_models.video.video_frames import Frames, VideoFrames
from src_models.video.video_settings import VideoSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import ArrayLike, NDArray

    from src_models.video.object_memory import FrameMemory


@dataclass(frozen=True, repr=False)
class FrameObjects:
    """Objects in one frame.

    Attributes
    ----------
    frame : int
        Index of the frame.
    object_ids : tuple
        Names of the N objects.
    logits : Tensor
        (N, 4h, 4w) low-res logits, float32 on the CPU; -1024 for absent objects.
    object_score : Tensor
        (N,) logits of the objects' presence.
    predicted_iou : Tensor
        (N,) predicted IoU of the masks.
    shape : (int, int)
        Height and width of the frame, in pixels.
    """

    frame: int
    object_ids: tuple[Hashable, ...]
    logits: Tensor
    object_score: Tensor
    predicted_iou: Tensor
    shape: tuple[int, int]

    def __repr__(self) -> str:
        return f"<FrameObjects {', '.join(map(str, self.object_ids))} in frame {self.frame}>"

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) masks at the size of the frame."""
        out = np.zeros((len(self.object_ids), *self.shape), bool)
        for mask, logits in zip(out, self.logits, strict=True):  # one at a time: frames may be large
            enlarged = F.interpolate(logits[None, None], size=self.shape, mode="bilinear", align_corners=False)
            mask[:] = (enlarged[0, 0] > 0).numpy()
        return out


class Sam2VideoPredictor:
    """Segment and track objects in a video with SAM 2.

    Every object has a memory of its own, so that objects can be added, corrected and removed at any time. The features
    of a frame are computed once for all objects, and objects with equally large memories pass the network together.
    What is kept does not grow with the length of the video (`VideoSettings`).

    Parameters
    ----------
    net : Sam2
        The network, which is copied.
    frames : Frames
        The video: anything with a length that returns (H, W, 3) or (H, W) uint8 frames by index.
    settings : VideoSettings, optional
        Limits of the memory.
    device, precision : str
        As in `Runner`.

    Raises
    ------
    VideoError
        If the video has no frames, or the network is not SAM 2.
    DeviceError
        If the device or precision is not available.

    Notes
    -----
    Answers are those of the official video predictor, with corrections that are kept: a prompt on a frame that was
    tracked before becomes part of the object's memory (``add_all_frames_to_correct_as_cond``).

    Coordinates are (x, y) in pixels of the frame, as in SAM.

    Examples
    --------
    >>> from src_models import build_sam2
    >>> video = [np.zeros((48, 64, 3), np.uint8)] * 3
    >>> predictor = Sam2VideoPredictor(build_sam2(), video, device="cpu")  # doctest: +SKIP
    >>> first = predictor.add_prompt(1, frame=0, points=[(20, 30)])  # doctest: +SKIP
    >>> [objects.frame for objects in predictor.propagate()]  # doctest: +SKIP
    [0, 1, 2]
    """

    def __init__(
        self,
        net: Sam2,
        frames: Frames,
        settings: VideoSettings | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        if not isinstance(net, Sam2):
            kind = getattr(net, "kind", type(net).__name__)
            raise VideoError(
                f"the network is {kind!r}, which has no memory", parameter="net", remedy="give one of load_sam2(...)"
            )
        self.settings = settings or VideoSettings()
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device, net.kind)
        copied = copy.deepcopy(net).eval().requires_grad_(False).to(self.device)
        self._tracker = FrameTracker(copied, len(frames))
        self.frames = VideoFrames(
            frames, self._tracker.features, net.img_size, self.settings.cached_frames, self.device
        )
        self._side = net.img_size
        self._objects: dict[Hashable, ObjectMemory] = {}

    @property
    def object_ids(self) -> tuple[Hashable, ...]:
        """Names of the objects, in the order in which they were added."""
        return tuple(self._objects)

    def add_prompt(
        self,
        object_id: Hashable,
        frame: int,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        keep_points: bool = False,
    ) -> FrameObjects:
        """Prompt an object on a frame, or correct it there.

        Parameters
        ----------
        object_id : hashable
            Name of the object; a new one adds an object.
        frame : int
            Index of the frame.
        points : array_like, optional
            (P, 2) x, y in pixels of the frame.
        labels : array_like of int, optional
            (P,) 1 for points on the object, 0 for points beside it; 1 for all by default.
        box : array_like, optional
            x0, y0, x1, y1 in pixels of the frame.
        keep_points : bool
            Add to the earlier points on this frame instead of replacing them.

        Returns
        -------
        FrameObjects
            The object on this frame. An earlier mask there serves as a mask prompt.

        Raises
        ------
        VideoError
            If the frame does not exist, or the prompt is empty or malformed.
        """
        self.frames.check(frame)
        shape = self.frames.shape(frame)
        coords, values = _parse_prompt(points, labels, box)
        given = (coords * torch.tensor([self._side / shape[1], self._side / shape[0]])).to(self.device)
        prompt = given, values.to(self.device)
        memory = self._objects.get(object_id) or ObjectMemory(self.settings.history_frames)
        earlier = memory.points.get(frame)
        if keep_points and earlier is not None:
            prompt = torch.cat([earlier[0], prompt[0]]), torch.cat([earlier[1], prompt[1]])
        latest, reverse = memory.latest(frame), memory.passed(frame)
        with self._computing():
            features = self.frames.features(frame)
            conditioning = None if reverse is None else self._conditioning(memory, frame, reverse)
            answer = self._tracker.answer(features, *prompt, None if latest is None else latest.logits, conditioning)
        memory.points[frame] = prompt
        return self._accept(object_id, memory, frame, replace(answer, reverse=reverse))

    def add_mask(self, object_id: Hashable, frame: int, mask: ArrayLike) -> FrameObjects:
        """Give the mask of an object on a frame.

        Parameters
        ----------
        object_id, frame
            As in `add_prompt`.
        mask : array_like of bool
            (H, W), of the size of the frame; empty if the object is absent.

        Raises
        ------
        VideoError
            If the frame does not exist, or the mask is of another size.
        """
        self.frames.check(frame)
        inside, shape = np.asarray(mask), self.frames.shape(frame)
        if inside.shape != shape:
            raise VideoError(
                f"mask has the shape {inside.shape}, and frame {frame} has {shape}",
                parameter="mask",
                remedy="give a mask of the size of the frame",
            )
        memory = self._objects.get(object_id) or ObjectMemory(self.settings.history_frames)
        values = torch.from_numpy((inside != 0).astype(np.float32))[None, None].to(self.device)
        side = self._side
        if shape != (side, side):
            values = F.interpolate(values, (side, side), mode="bilinear", antialias=True, align_corners=False)
        with self._computing():
            answer = self._tracker.given(self.frames.features(frame), values[0, 0] >= 0.5)
        memory.points.pop(frame, None)
        return self._accept(object_id, memory, frame, replace(answer, reverse=memory.passed(frame)))

    def remove_object(self, object_id: Hashable) -> None:
        """Forget an object.

        Raises
        ------
        VideoError
            If there is no such object.
        """
        if object_id not in self._objects:
            known = ", ".join(map(repr, self._objects)) or "none"
            raise VideoError(
                f"object_id is {object_id!r}", parameter="object_id", remedy="give the name of a known object"
            ) from KeyError(known)
        del self._objects[object_id]

    def reset(self) -> None:
        """Forget all objects; cached features of frames are kept."""
        self._objects.clear()

    def propagate(
        self,
        start: int | None = None,
        *,
        reverse: bool = False,
        max_frames: int | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[FrameObjects]:
        """Follow all objects from frame to frame.

        Parameters
        ----------
        start : int, optional
            First frame; by default the first prompted one, or the last if `reverse`.
        reverse : bool
            Pass the video backwards.
        max_frames : int, optional
            Number of frames after the first; by default up to the end of the video.
        cancelled : callable, optional
            Called before each frame; return True to stop. What was tracked so far stays.

        Yields
        ------
        FrameObjects
            All objects on each frame. Prompted frames are returned as they were answered.

        Raises
        ------
        VideoError
            If no object has a prompt, or `start` does not exist.
        """
        prompted = [f for m in self._objects.values() for f in (*m.prompted, *m.pending)]
        if not prompted:
            raise VideoError("no object has a prompt", remedy="call add_prompt(...) or add_mask(...) first")
        first = (max(prompted) if reverse else min(prompted)) if start is None else start
        self.frames.check(first)
        if max_frames is not None and max_frames < 0:
            raise VideoError(f"max_frames is {max_frames}", parameter="max_frames", remedy="give a number from 0")
        left = first if reverse else len(self.frames) - 1 - first
        count = 1 + (left if max_frames is None else min(left, max_frames))
        self._remember_prompts()
        return self._pass(
            range(first, first - count, -1) if reverse else range(first, first + count), reverse, cancelled
        )

    def _pass(self, frames: range, reverse: bool, cancelled: Callable[[], bool] | None) -> Iterator[FrameObjects]:
        for frame in frames:
            if cancelled is not None and cancelled():
                return
            yield self._step(frame, reverse)

    def _step(self, frame: int, reverse: bool) -> FrameObjects:
        """Find all objects on a frame and remember them."""
        found: dict[Hashable, FrameMemory] = {}
        groups: defaultdict[tuple[int, int], list[tuple[Hashable, Conditioning]]] = defaultdict(list)
        for object_id, memory in self._objects.items():
            if frame in memory.prompted:
                memory.mark(frame, reverse)
                found[object_id] = memory.prompted[frame]
            elif memory.prompted:
                conditioning = self._conditioning(memory, frame, reverse)
                groups[conditioning.layout].append((object_id, conditioning))
        size = self.settings.objects_per_batch
        for group in groups.values():
            for batch in (group[i : i + size] for i in range(0, len(group), size)):
                with self._computing():
                    tracked = self._tracker.track(self.frames.features(frame), [c for _, c in batch])
                for (object_id, _), memory_of_frame in zip(batch, tracked, strict=True):
                    found[object_id] = replace(memory_of_frame, reverse=reverse)
                    self._objects[object_id].track(frame, found[object_id])
        ids = tuple(object_id for object_id in self._objects if object_id in found)
        return self._result(frame, ids, [found[object_id] for object_id in ids])

    def _conditioning(self, memory: ObjectMemory, frame: int, reverse: bool) -> Conditioning:
        limit = self.settings.prompted_frames
        return Conditioning(
            memory.frames(frame, reverse, limit), memory.pointers(frame, reverse, limit, len(self.frames))
        )

    def _accept(self, object_id: Hashable, memory: ObjectMemory, frame: int, answer: FrameMemory) -> FrameObjects:
        """Keep the answer to a prompt; its tokens are computed when the object is propagated."""
        memory.pending[frame] = answer
        self._objects[object_id] = memory
        return self._result(frame, (object_id,), [answer])

    def _remember_prompts(self) -> None:
        """Encode the answers to all new prompts, the objects of a frame together."""
        by_frame: defaultdict[int, list[ObjectMemory]] = defaultdict(list)
        for memory in self._objects.values():
            for frame in memory.pending:
                by_frame[frame].append(memory)
        for frame, memories in by_frame.items():
            with self._computing():
                features = self.frames.features(frame)
                pending = [memory.pending.pop(frame) for memory in memories]
                remembered = self._tracker.remembered(features, pending, binarise=True)
            for memory, answer in zip(memories, remembered, strict=True):
                memory.prompt(frame, answer)

    def _result(self, frame: int, ids: tuple[Hashable, ...], memories: Sequence[FrameMemory]) -> FrameObjects:
        def joined(values: list[Tensor]) -> Tensor:
            return torch.cat(values).float().cpu() if values else torch.zeros(0)

        return FrameObjects(
            frame,
            ids,
            joined([memory.logits for memory in memories]),
            joined([memory.object_score for memory in memories]),
            joined([memory.predicted_iou for memory in memories]),
            self.frames.shape(frame),
        )

    def _computing(self) -> AbstractContextManager[None]:
        """Run the network without gradients, in the chosen precision."""
        return computing(self.device, self.dtype)


def _parse_prompt(points: ArrayLike | None, labels: ArrayLike | None, box: ArrayLike | None) -> tuple[Tensor, Tensor]:
    """Return coordinates (P, 2) and labels (P,) of points and a box, the box first; raise `VideoError` if malformed."""
    coords, values = np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
    if box is not None:
        corners = np.asarray(box, np.float32)
        if corners.shape != (4,) or not np.isfinite(corners).all() or (corners[:2] >= corners[2:]).any():
            raise VideoError(f"box is {box!r}", parameter="box", remedy="give x0, y0, x1, y1 with x0 < x1 and y0 < y1")
        coords, values = corners.reshape(2, 2), np.array([TOP_LEFT, BOTTOM_RIGHT], np.int64)
    if points is not None:
        xy = np.asarray(points, np.float32)
        if xy.ndim != 2 or xy.shape[1] != 2 or not np.isfinite(xy).all():
            raise VideoError(f"points is {points!r}", parameter="points", remedy="give finite pairs x, y")
        signs = np.full(len(xy), POSITIVE) if labels is None else np.asarray(labels)
        if signs.shape != (len(xy),) or not np.isin(signs, (NEGATIVE, POSITIVE)).all():
            raise VideoError(f"labels is {labels!r}", parameter="labels", remedy="give 0 or 1 for each point")
        coords, values = np.concatenate([coords, xy]), np.concatenate([values, signs.astype(np.int64)])
    if not len(coords):
        raise VideoError("the prompt is empty", parameter="points", remedy="give {points}, a {box}, or both")
    return torch.from_numpy(coords), torch.from_numpy(values)
