"""From a prompt and its window to an answer: decode, follow what the window cuts, refine the outline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prediction import (
    LARGE_PX,
    Asked,
    LargePrediction,
    Prediction,
    common_span,
    render_masks,
    stability_scores,
    tidy_mask,
)
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.interactive.refinement import refine, settled
from napari_sam.engine.interactive.rendering import MASK_THRESHOLD, LogitField, LogitGrid
from napari_sam.engine.memory import trim_heap
from napari_sam.engine.windows import LARGEST_MASK_PX, Window, coarser_window, cut_by
from napari_sam.errors import CancelledError, PromptError
from src_models.watershed import HYPOTHESIS_LOGIT, hypothesis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.image_source import ImageSource
    from src_models.runtime import Runner

_DOUBT, _SURE = 0.45, 0.7  # predicted IoU: inside a large, even object it is about 0.3, elsewhere hardly below 0.5
_DOUBTS = 3  # times that a window is asked because the one before did not know
_LEAP = 4.0  # side of that window over the side of the one before


@dataclass(frozen=True)
class Task:
    """One object on its way.

    Attributes
    ----------
    index : int
        Where it stands in the caller's list.
    prompt : Prompt
        What was asked.
    window : Window
        Where it is asked now.
    levels : tuple of int
        Sides of its windows so far, level-0 pixels.
    finest : int or None
        Side of the windows that its outline is refined with, at least; None not to refine.
    asked : Asked
        What was asked besides the prompt.
    doubts : int
        How often it may still be asked at a much coarser level because the network did not know.
    fallback : LowConfidenceResult or None
        The first answer, when the network did not know.
    """

    index: int
    prompt: Prompt
    window: Window
    levels: tuple[int, ...]
    finest: int | None
    asked: Asked
    doubts: int = 0
    fallback: LowConfidenceResult | None = None


@dataclass(frozen=True)
class LowConfidenceResult:
    """An answer that the network itself does not believe in, kept until a coarser window knows better."""

    task: Task
    logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]


class Answering(ABC):
    """What a predictor does with prompts once their windows are chosen."""

    model: str
    runner: Runner
    tidy: bool
    hypotheses: bool

    @property
    @abstractmethod
    def image(self) -> ImageSource:
        """The image that was set."""

    @property
    def img_size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.runner.img_size

    @abstractmethod
    def embed(self, window: Window, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """The embedding of a window, with all that a prompt there needs."""

    @abstractmethod
    def _embedding(self, window: Window, cancelled: Callable[[], bool] | None) -> Tensor: ...

    @abstractmethod
    def _objects(self, window: Window, embedding: Tensor) -> NDArray[np.int32]: ...

    def _task(self, index: int, prompt: Prompt, window: Window, earlier: Any, asked: Asked) -> Task:
        """A prompt on its window; `earlier` is what the caller gave as a mask."""
        if prompt.logits is not None and prompt.window is None:
            prompt = replace(prompt, window=window)  # low-res logits without a window belong to the first one
        side = max(window.shape)
        if isinstance(earlier, Prediction) and earlier.levels[-1] < max(earlier.window.shape):
            side = min(side, earlier.levels[-1])  # its outline was refined: that of the next answer is, too
        finest = None if asked.refine is False else self.img_size if asked.refine else max(side, self.img_size)
        size_unknown = prompt.box is None and earlier is None and not asked.hints.diameter_px
        doubts = _DOUBTS if size_unknown and self.runner.kind == "default" else 0
        return Task(index, prompt, window, (max(window.shape),), finest, asked, doubts)

    def _answers(
        self,
        tasks: list[Task],
        multimask: bool,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> list[Prediction]:
        """Answer tasks, those that share a window together."""
        done: dict[int, Prediction] = {}
        total = len(tasks)
        while tasks:
            group = [t for t in tasks if t.window == tasks[0].window]
            tasks = [t for t in tasks if t.window != tasks[0].window]
            for task, (logits, iou) in zip(group, self._decode(group, multimask, cancelled), strict=True):
                try:
                    again = self._again(task, logits, iou)
                    if isinstance(again, Task):
                        tasks.append(again)
                    else:
                        done[task.index] = self._finished(again.task, again.logits, again.predicted_iou, cancelled)
                except PromptError as error:  # too large an object
                    raise (PromptError(f"prompt {task.index}: {error}") if total > 1 else error) from None
            if progress is not None:
                progress(len(done), total)
        trim_heap(max((_area(p.bbox) for p in done.values()), default=0))
        return [done[i] for i in range(total)]

    def _decode(
        self, group: list[Task], multimask: bool, cancelled: Callable[[], bool] | None
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Low-res logits (M, H, W) and predicted IoU (M,) of prompts that share a window."""
        window = group[0].window
        embedding = self.embed(window, cancelled)
        if cancelled is not None and cancelled():
            raise CancelledError("decoding was cancelled")
        side = 4 * embedding.shape[-1]
        masks = [self._mask_prompt(task, side) for task in group]
        if self.hypotheses:
            objects = self._objects(window, embedding)
            masks = [self._suggested(t, objects, side) if m is None else m for t, m in zip(group, masks, strict=True)]
        coords = [task.prompt.in_window(window) for task in group]
        decoded = self.runner.decode(embedding, coords, masks, multimask, window.network_shape)
        return list(zip(decoded.logits.numpy(), decoded.predicted_iou.numpy(), strict=True))

    def _mask_prompt(self, task: Task, side: int) -> NDArray[np.float32] | None:
        """The mask prompt of a task in the frame of its window."""
        logits, window = task.prompt.logits, task.prompt.window
        if logits is None:
            return task.prompt.mask_logits(task.window, side)
        if logits.shape[-1] != side:
            raise PromptError(f"mask prompt of shape {logits.shape}: this model's low-res logits are {side} x {side}")
        if window is None or window == task.window:
            return logits
        if len(task.levels) > 1 and (len(task.prompt.points) or task.prompt.box is not None):
            return None  # its window has cut the object: it would say where the object must end
        return settled(LogitGrid(logits, window)).cells_of(task.window, side)

    def _suggested(self, task: Task, objects: NDArray[np.int32], side: int) -> NDArray[np.float32] | None:
        """The object under a prompt as (side, side) low-res logits, if there is one."""
        prompt, window = task.prompt, task.window
        pitch = self.img_size / objects.shape[1]  # pixels of the network's input per pixel of the objects
        corners = None if prompt.box is None else window.to_network(np.array(prompt.box).reshape(2, 2)) / pitch
        points = window.to_network(prompt.points) / pitch if len(prompt.points) else prompt.points
        box = None if corners is None else tuple(corners.ravel().tolist())
        found = hypothesis(objects, points, prompt.point_labels, box)
        if found is None:
            return None
        if len(found) != side:  # micro-sam's decoder answers at the input's resolution
            at = ((np.arange(side) + 0.5) * len(found) / side).astype(np.int64)
            found = found[np.ix_(at, at)]
        return np.where(found, HYPOTHESIS_LOGIT, -HYPOTHESIS_LOGIT).astype(np.float32)

    def _again(
        self, task: Task, logits: NDArray[np.float32], predicted_iou: NDArray[np.float32]
    ) -> Task | LowConfidenceResult:
        """What to ask next, or the answer to give."""
        answer = LowConfidenceResult(task, logits, predicted_iou)
        sure = float(predicted_iou.max())
        if task.fallback is None or sure >= _SURE:
            coarser = self._coarser(task, LogitGrid(logits[int(predicted_iou.argmax())], task.window))
            if coarser is not None or sure >= _DOUBT:
                return coarser or answer
        kept = task.fallback or answer
        window = coarser_window(task.window, task.prompt.extent, self.image.shape, _LEAP) if task.doubts else None
        if window is None or not window.holds(task.prompt.extent):
            return kept
        levels = (*task.levels, max(window.shape))
        return replace(task, window=window, levels=levels, doubts=task.doubts - 1, fallback=kept)

    def _coarser(self, task: Task, grid: LogitGrid) -> Task | None:
        """The same question one level coarser, if the window cut the mask; else None."""
        shape = self.image.shape
        if not cut_by(grid.values, task.window, shape):
            return None
        if self.tidy:  # perhaps only a speck is cut
            grid = self._settled(task, grid)
            if not cut_by(grid.values, task.window, shape):
                return None
        found = grid.span()
        if found is None:
            return None
        _check_size(task, found)
        extent = task.prompt.extent
        both = (*np.minimum(found[:2], extent[:2]).tolist(), *np.maximum(found[2:], extent[2:]).tolist())
        window = coarser_window(task.window, both, shape)
        if window is None or not window.holds(extent):
            return None
        return replace(task, window=window, levels=(*task.levels, max(window.shape)))

    def _settled(self, task: Task, grid: LogitGrid) -> LogitGrid:
        """Logits without what lies in the padding and, for a tidy predictor, without specks and holes."""
        if not self.tidy:
            return settled(grid)
        rows, cols = grid.used
        seeds = task.window.to_network(task.prompt.points[task.prompt.point_labels == 1]) / grid.cell
        return settled(grid, tidy_mask(grid.values[:rows, :cols] > MASK_THRESHOLD, np.floor(seeds)))

    def _outline(
        self, task: Task, grid: LogitGrid, cancelled: Callable[[], bool] | None
    ) -> tuple[LogitField, int] | None:
        """The mask with its outline at the fine level, and the side of the windows that said so."""
        if task.finest is None or task.finest >= max(task.window.shape):
            return None
        points, labels = task.prompt.points, task.prompt.point_labels

        def ask(window: Window, mask: NDArray[np.float32], hints: NDArray[np.float64]) -> NDArray[np.float32]:
            if cancelled is not None and cancelled():
                raise CancelledError("refining was cancelled")
            inside = np.array([window.holds((y, x, y, x)) for y, x in points], bool)
            prompt = Prompt(np.concatenate([points[inside], hints]), np.concatenate([labels[inside], [1, 0]]))
            embedding = self._embedding(window, cancelled)
            decoded = self.runner.decode(embedding, [prompt.in_window(window)], [mask], True, window.network_shape)
            out: NDArray[np.float32] = decoded.logits[0].numpy()
            return out

        return refine(self._settled(task, grid), task.finest, self.image.shape, ask)

    def _finished(
        self,
        task: Task,
        logits: NDArray[np.float32],
        predicted_iou: NDArray[np.float32],
        cancelled: Callable[[], bool] | None,
    ) -> Prediction:
        """The answer to a task whose last window was large enough."""
        best = int(predicted_iou.argmax())
        parts: list[LogitField] = [LogitGrid(one, task.window) for one in logits]
        outline = self._outline(task, LogitGrid(logits[best], task.window), cancelled)
        levels = task.levels
        if outline is not None:
            parts[best], levels = outline[0], (*levels, outline[1])
        rest: dict[str, Any] = {
            "predicted_iou": predicted_iou,
            "stability_score": stability_scores(logits),
            "low_res_logits": logits,
            "best": best,
            "window": task.window,
            "levels": levels,
            "model": self.model,
            "prompt": task.prompt,
            "asked": task.asked,
        }
        region = common_span(parts)
        if region is None or _area(region) <= LARGE_PX:
            seeds = task.prompt.points[task.prompt.point_labels == 1] if self.tidy else None
            masks, bbox = render_masks(parts, task.window, seeds)
            return Prediction(masks=masks, bbox=bbox, **rest)
        return self._large(task, parts, outline is not None, rest)

    def _large(self, task: Task, parts: list[LogitField], refined: bool, rest: dict[str, Any]) -> Prediction:
        """An answer whose masks are computed when asked for."""
        best = rest["best"]
        parts = [
            part if refined and i == best else self._settled(task, LogitGrid(rest["low_res_logits"][i], task.window))
            for i, part in enumerate(parts)
        ]
        own, region = common_span([parts[best]]), common_span(parts)
        if own is not None:
            _check_size(task, own)
        if region is None or _area(region) > LARGEST_MASK_PX:  # another candidate is too large: it is cut
            y0, x0 = task.window.bbox[:2]
            region = own or (y0, x0, y0 + 1, x0 + 1)
        return LargePrediction(parts, region, **rest)


def _area(region: Sequence[int]) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])


def _check_size(task: Task, found: tuple[int, int, int, int]) -> None:
    """Refuse an object whose mask would not fit into memory."""
    if _area(found) <= LARGEST_MASK_PX:
        return
    y, x = (f"{v:g}" for v in task.prompt.extent[:2])
    raise PromptError(
        f"the object at ({y}, {x}) spans {found[2] - found[0]} x {found[3] - found[1]} px or more, and a mask may span "
        f"{LARGEST_MASK_PX} px (16384 x 16384): add a background point, draw a box around a part of it, or open a "
        "coarser scale level of the image"
    )
