"""Carry objects from plane to plane by the memory of the network (SAM 2)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.logit_fields import LogitGrid, span_of
from napari_sam.engine.interactive.prompts import MaskPrompt, Prompt, parse_prompt
from napari_sam.engine.interactive.rendering import render_masks
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.propagation.carrier import CarriedMask
from napari_sam.engine.propagation.carriers.candidate_choice import belonging_parts
from napari_sam.engine.propagation.carriers.followed_object import FollowedObject, fits, window_of
from napari_sam.engine.propagation.carriers.memory_state import pack_object, unpack_object
from napari_sam.engine.propagation.carriers.prompt_carrier import absent
from napari_sam.engine.propagation.plane_mask import in_frame, mask_iou
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.engine.propagation.resumable_carrier import by_object
from napari_sam.engine.windows import Hints, coarser_window, cut_by
from napari_sam.errors import CancelledError, PromptError
from src_models.networks.sam2.network import Sam2
from src_models.video.frame_tracker import FrameTracker, computing
from src_models.video.video_frames import network_pixels
from src_models.video.video_settings import VideoSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.engine.propagation.plane_views import PlaneView, PlaneViews
    from napari_sam.engine.windows import Window
    from src_models.video.frame_tracker import Conditioning, FrameFeatures
    from src_models.video.object_memory import FrameMemory

_MOST_REDUCED = 4096  # side of the largest window whose masks are reduced with antialiasing, level-0 pixels


class MemoryCarrier:
    """Carry objects by what the network remembers of them, with SAM 2.

    A pass through planes that the network sees whole gives what the official video predictor gives for these frames.
    On larger planes every object is followed in a window; when it comes near to the window's side, the window moves,
    and the last plane is remembered anew in it. Objects that share a window are followed together, and their planes
    are encoded once.

    Parameters
    ----------
    views : PlaneViews
        The planes.
    planes : sequence of int
        Planes to pass: the frames of the video.
    settings : PropagationSettings, optional
        When an object is followed, and when not.
    cancelled : callable, optional
        Called between the steps; return True to stop.
    tracker : FrameTracker, optional
        Runs the network; by default that of `views`.

    Raises
    ------
    PromptError
        If the network has no memory.
    """

    uses_later_prompts = True

    def __init__(
        self,
        views: PlaneViews,
        planes: Sequence[int],
        settings: PropagationSettings | None = None,
        cancelled: Callable[[], bool] | None = None,
        *,
        tracker: FrameTracker | None = None,
    ) -> None:
        runner = views.runner
        if tracker is None:
            if not isinstance(runner.net, Sam2):
                raise PromptError(
                    f"carry is 'memory', and the model {views.model!r} has none",
                    parameter="carry",
                    remedy="use 'prompt', or a SAM 2 model",
                )
            tracker = FrameTracker(runner.net, len(planes))
        self.settings = PropagationSettings() if settings is None else settings
        self._views, self._planes = views, list(planes)
        self._times = {plane: time for time, plane in enumerate(self._planes)}
        self._tracker = tracker
        self._device, self._dtype, self._side = runner.device, runner.dtype, int(runner.img_size)
        self._img_size = runner.img_size
        self._batch = VideoSettings().objects_per_batch
        self._cancelled = cancelled
        self._along_time = views.source.axis == "t"
        self._objects: dict[int, FollowedObject] = {}

    @property
    def patience(self) -> int | None:
        """Number of planes on end on which an object may be absent; any number of frames of a movie."""
        return None if self._along_time else self.settings.gap

    def prompt(self, view: PlaneView, prompts: Mapping[int, PlanePrompt]) -> dict[int, CarriedMask]:
        """As `Carrier.prompt`; with one point the best of three masks is taken, as in the official predictor."""
        return {
            i: self._given(view, i, prompt.mask)
            if prompt.is_answer and prompt.mask is not None
            else self._answered(view, i, prompt)
            for i, prompt in prompts.items()
        }

    def begin(self, view: PlaneView, answers: Mapping[int, CarriedMask], *, reverse: bool) -> None:
        """As `Carrier.begin`."""
        for i, answer in answers.items():
            self._objects[i].begin(self._times[view.plane], answer.mask, answer.box, reverse=reverse)

    def carry(self, view: PlaneView, objects: Sequence[int], *, reverse: bool) -> dict[int, CarriedMask]:
        """As `Carrier.carry`."""
        for i in objects:
            self._keep_in_window(i, view.image.shape)
        found = self._track(view, objects)
        cut = [i for i, (_, is_cut) in found.items() if is_cut and self._widen(i, found[i][0], view.image.shape)]
        if cut:
            found |= self._track(view, cut)
        return {i: self._checked(view, i, answer) for i, (answer, _) in found.items()}

    def combine(
        self, view: PlaneView, object_: int, found: CarriedMask, earlier: CarriedMask, weight: float
    ) -> CarriedMask:
        """As `Carrier.combine`: the newer mask, which knows all prompts."""
        return found

    def state(self) -> dict[str, NDArray[np.generic]]:
        """As `StatefulCarrier.state`."""
        return {
            f"{i}/{name}": values
            for i, followed in self._objects.items()
            for name, values in pack_object(followed).items()
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """As `StatefulCarrier.restore`."""
        self._objects = {
            i: unpack_object(arrays, self._img_size, self._device) for i, arrays in by_object(state).items()
        }

    def _answered(self, view: PlaneView, i: int, given: PlanePrompt) -> CarriedMask:
        """Answer points, a box, and a mask to correct; a mask that the window cuts is sought in a coarser one."""
        shape = view.image.shape
        prompt = parse_prompt(shape, **given.as_keywords())
        window = self._objects[i].window if i in self._objects else None
        if window is None or not window.holds(prompt.extent):
            window = choose_window(prompt, shape, self._img_size, Hints())
        while True:
            features = self._features(view, window)
            with self._computing():
                answer = self._tracker.answer(features, *self._in_network(prompt, window, features), None)
            logits = _on_host(answer)
            span = span_of(logits[None], window) if cut_by(logits, window, shape) else None
            wider = None if span is None else coarser_window(window, _union(prompt.extent, span), shape)
            if wider is None:
                break
            window = wider
        self._remember(view, i, window, features, answer)
        return _carried(answer, window)

    def _given(self, view: PlaneView, i: int, mask: MaskPrompt) -> CarriedMask:
        """Take a mask as the answer."""
        shape, box = view.image.shape, Box(*mask.bbox)
        window = self._objects[i].window if i in self._objects else None
        if window is None or not fits(window, box, shape):
            window = choose_window(Prompt(mask=mask), shape, self._img_size, Hints())
        features = self._features(view, window)
        inside = torch.from_numpy(network_mask(mask, window, self._side)).to(self._device)
        with self._computing():
            answer = self._tracker.given(features, inside)
        self._remember(view, i, window, features, answer)
        return CarriedMask(mask.mask, box, 1.0)

    def _remember(self, view: PlaneView, i: int, window: Window, features: FrameFeatures, answer: FrameMemory) -> None:
        """Remember the answer to a prompt."""
        with self._computing():
            (memory,) = self._tracker.remembered(features, [answer], binarise=True)
        followed = self._objects.setdefault(i, FollowedObject(window))
        followed.window = window
        followed.prompt(self._times[view.plane], memory)

    def _track(self, view: PlaneView, objects: Sequence[int]) -> dict[int, tuple[CarriedMask, bool]]:
        """Find objects by their memories, those with the same window together; also tell if the window cuts them."""
        time, shape = self._times[view.plane], view.image.shape
        groups: defaultdict[tuple[Window, tuple[int, int]], list[tuple[int, Conditioning]]] = defaultdict(list)
        found: dict[int, tuple[CarriedMask, bool]] = {}
        for i in objects:
            followed = self._objects[i]
            conditioning = followed.conditioning(time, self._tracker.length)
            if not conditioning.frames:
                found[i] = absent("nothing is remembered of its surroundings"), False
                continue
            groups[followed.window, conditioning.layout].append((i, conditioning))
        for (window, _), group in groups.items():
            features = self._features(view, window)
            for batch in (group[k : k + self._batch] for k in range(0, len(group), self._batch)):
                if self._cancelled is not None and self._cancelled():
                    raise CancelledError("following the objects was cancelled")
                with self._computing():
                    memories = self._tracker.track(features, [conditioning for _, conditioning in batch])
                for (i, _), memory in zip(batch, memories, strict=True):
                    self._objects[i].track(time, memory)
                    found[i] = _carried(memory, window), cut_by(_on_host(memory), window, shape)
        return found

    def _keep_in_window(self, i: int, shape: tuple[int, int]) -> None:
        """Move the window of an object that came near to its side."""
        followed = self._objects[i]
        if followed.last is not None and not fits(followed.window, followed.last[2], shape):
            self._move(followed, window_of(followed.last[2], max(followed.window.shape), shape, self._img_size))

    def _widen(self, i: int, answer: CarriedMask, shape: tuple[int, int]) -> bool:
        """Show an object that its window cuts in another window; return whether there is one."""
        followed = self._objects[i]
        if followed.last is None:
            return False
        both = answer.box.union(followed.last[2])
        window: Window | None = window_of(both, max(followed.window.shape), shape, self._img_size)
        if window == followed.window:
            window = coarser_window(followed.window, both, shape)
        return window is not None and self._move(followed, window)

    def _move(self, followed: FollowedObject, window: Window) -> bool:
        """Remember the last plane of an object in another window; return whether that is possible."""
        if followed.last is None or window == followed.window:
            return False
        time, mask, box = followed.last
        memory = followed.memory.latest(time)
        if memory is None:
            return False
        features = self._features(self._views.view(self._planes[time]), window)
        logits = self._mask_logits(MaskPrompt(mask, box), window, features)
        with self._computing():
            (moved,) = self._tracker.remembered(features, [replace(memory, logits=logits)], binarise=True)
        followed.window = window
        followed.replace_map(time, moved)
        return True

    def _checked(self, view: PlaneView, i: int, answer: CarriedMask) -> CarriedMask:
        """Return an answer if it is the object, else why it is not; in a movie, objects may jump."""
        followed = self._objects[i]
        if answer.absent:
            return answer
        if not self._along_time:
            if answer.score < self.settings.least_score:
                return absent(f"confidence {answer.score:.2f} below {self.settings.least_score:g}")
            if followed.last is not None and not mask_iou(answer.mask, answer.box, *followed.last[1:]):
                return absent("jump: no overlap with the plane before")
        earlier = None if followed.last is None else in_frame(*followed.last[1:], answer.box)
        followed.last = self._times[view.plane], answer.mask, answer.box
        if earlier is not None and belonging_parts(answer.mask, earlier)[1] > 1:
            return replace(answer, events=("split",))
        return answer

    def _features(self, view: PlaneView, window: Window) -> FrameFeatures:
        """Return what the network sees of a window, cached."""
        packed = view.engine.embedder.encoded(window, "frame", self._encode, self._cancelled)
        with self._computing():
            return self._tracker.split(packed)

    def _encode(self, pixels: NDArray[np.uint8]) -> Tensor:
        with self._computing():
            return self._tracker.encode(network_pixels(pixels, self._side).to(self._device))

    def _in_network(
        self, prompt: Prompt, window: Window, features: FrameFeatures
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return coordinates, labels and mask of a prompt, as `FrameTracker.answer` takes them."""
        coords, labels = (torch.from_numpy(values).to(self._device) for values in prompt.in_window(window))
        mask = None if prompt.mask is None else self._mask_logits(prompt.mask, window, features)
        return coords, labels, mask

    def _mask_logits(self, mask: MaskPrompt, window: Window, features: FrameFeatures) -> Tensor:
        """Return a mask as low-res logits (1, 4h, 4w) of a window."""
        logits = Prompt(mask=mask).mask_logits(window, 4 * features.shape[0])
        return torch.from_numpy(np.asarray(logits, np.float32))[None].to(self._device)

    def _computing(self) -> AbstractContextManager[None]:
        return computing(self._device, self._dtype)


def network_mask(mask: MaskPrompt, window: Window, side: int) -> NDArray[np.bool_]:
    """Return a mask at the pixels of the network's input, (side, side), as the official predictor reduces it."""
    if max(window.shape) > _MOST_REDUCED:
        logits = Prompt(mask=mask).mask_logits(window, side)
        return np.asarray(logits, np.float32) > 0
    inside = torch.from_numpy(in_frame(mask.mask, Box(*mask.bbox), Box(*window.bbox)))[None, None].float()
    if inside.shape[-2:] != (side, side):
        inside = F.interpolate(inside, (side, side), mode="bilinear", antialias=True, align_corners=False)
    reduced: NDArray[np.bool_] = (inside[0, 0] >= 0.5).numpy()
    return reduced


def _carried(memory: FrameMemory, window: Window) -> CarriedMask:
    """Return what was decoded in a window as a mask; its score is the predicted IoU times the object's probability."""
    if float(memory.object_score) <= 0:
        return absent("the network sees no object")
    (mask,), box = render_masks([LogitGrid(_on_host(memory), window)], window)
    if not mask.any():
        return absent("the network found nothing there")
    score = float(memory.predicted_iou.clamp(0, 1) * memory.object_score.sigmoid())
    return CarriedMask(mask, box, score)


def _on_host(memory: FrameMemory) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = memory.logits[0].float().cpu().numpy()
    return logits


def _union(extent: tuple[float, float, float, float], box: Box) -> tuple[float, float, float, float]:
    return min(extent[0], box.y0), min(extent[1], box.x0), max(extent[2], box.y1), max(extent[3], box.x1)
