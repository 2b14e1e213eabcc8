"""Run the mask decoder on prompts and their window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.interactive.logit_fields import LogitGrid
from napari_sam.engine.interactive.mask_cleanup import extend_padding
from napari_sam.errors import CancelledError, PromptError
from src_models.runtime import WindowInfo
from src_models.watershed import HYPOTHESIS_LOGIT, hypothesis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import Embedder
    from napari_sam.engine.interactive.prompt_task import PromptTask
    from napari_sam.engine.interactive.prompts import Prompt
    from napari_sam.engine.windows import Window


class DecoderRunner:
    """Decode prompts in the windows of an image.

    Parameters
    ----------
    embedder : Embedder
        Gives the embeddings and, where the model uses them, the objects of a window.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def decode(
        self, tasks: Sequence[PromptTask], multimask: bool, cancelled: Callable[[], bool] | None = None
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Decode tasks that share a window and are all first or all second looks.

        Parameters
        ----------
        tasks : sequence of PromptTask
            At least one.
        multimask : bool
            Three masks per task, or one.
        cancelled : callable, optional
            Called between the steps; return True to stop.

        Returns
        -------
        list of (ndarray of float32, ndarray of float32)
            Low-res logits (M, H, W) and predicted IoU (M,) of each task.

        Raises
        ------
        PromptError
            If a mask prompt is not of the model's size.
        CancelledError
            If `cancelled()` returned True.
        """
        window = tasks[0].window
        embedding = self._embedder.embed(window, cancelled)
        if cancelled is not None and cancelled():
            raise CancelledError("decoding was cancelled")
        side = 4 * embedding.shape[-1]
        masks = [mask_prompt(task, side) for task in tasks]
        objects = self._embedder.objects(window, embedding) if self._embedder.needs_objects else None
        if objects is not None and self._embedder.hypotheses:
            img_size = self._embedder.img_size
            masks = [
                hypothesis_logits(task, objects.labels, side, img_size) if mask is None else mask
                for task, mask in zip(tasks, masks, strict=True)
            ]
        coords = [task.prompt.in_window(window) for task in tasks]
        accepted_px = (tasks[0].context.hints.last_px or 0.0) * max(window.scale)
        second = tasks[0].first_look is not None
        info = WindowInfo(
            window.network_shape,
            None if objects is None else objects.maps,
            accepted_px,
            self._embedder.mirrored(window, cancelled) if second else None,
        )
        decoded = self._embedder.model.runner.decode(embedding, coords, masks, multimask, info)
        return list(zip(decoded.logits.numpy(), decoded.predicted_iou.numpy(), strict=True))

    def decode_detail(
        self,
        prompt: Prompt,
        window: Window,
        mask: NDArray[np.float32],
        cancelled: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """Decode one prompt in a finer window, with a coarse mask as a mask prompt.

        Parameters
        ----------
        prompt : Prompt
            Points in the window.
        window : Window
            The finer window.
        mask : ndarray of float32
            (H, W) low-res logits of the coarse mask in that window.
        cancelled : callable, optional
            Called before the window is embedded; return True to stop.

        Returns
        -------
        ndarray of float32
            (M, H, W) low-res logits.

        Raises
        ------
        CancelledError
            If `cancelled()` returned True.
        """
        if cancelled is not None and cancelled():
            raise CancelledError("refining was cancelled")
        embedding = self._embedder.embedding(window, cancelled)
        runner = self._embedder.model.runner
        decoded = runner.decode(embedding, [prompt.in_window(window)], [mask], True)
        logits: NDArray[np.float32] = decoded.logits[0].numpy()
        return logits


def mask_prompt(task: PromptTask, side: int) -> NDArray[np.float32] | None:
    """Return the mask prompt of a task as (side, side) low-res logits of its window; None without one.

    Raises
    ------
    PromptError
        If low-res logits are not of the model's size.
    """
    prompt, first = task.prompt, task.first_look
    if first is not None:
        if first.task.window == task.window:
            return mask_prompt(first.task, side)
        return extend_padding(LogitGrid(first.best_logits, first.task.window)).cells_of(task.window, side)
    logits, window = prompt.logits, prompt.window
    if logits is None:
        return prompt.mask_logits(task.window, side)
    if logits.shape[-1] != side:
        raise PromptError(
            f"mask has the shape {logits.shape}, but the low-res logits of this model are {side} x {side}",
            parameter="mask",
            remedy="give low-res logits of a prediction by this model",
        )
    if window is None or window == task.window:
        return logits
    if len(task.levels) > 1 and (len(prompt.points) or prompt.box is not None):
        return None  # the object is cut by its window: the mask would end it there
    return extend_padding(LogitGrid(logits, window)).cells_of(task.window, side)


def hypothesis_logits(
    task: PromptTask, objects: NDArray[np.int32], side: int, img_size: int
) -> NDArray[np.float32] | None:
    """Return the object under a prompt as (side, side) low-res logits; None where prompt and objects disagree.

    Parameters
    ----------
    task : PromptTask
        The task.
    objects : ndarray of int32
        (H, W) labels of the task's window, in the network's frame.
    side : int
        Side of the result.
    img_size : int
        Side of the network's input.
    """
    prompt, window = task.prompt, task.window
    pitch = img_size / objects.shape[1]  # pixels of the network's input per pixel of the objects
    corners = None if prompt.box is None else window.to_network(np.array(prompt.box).reshape(2, 2)) / pitch
    points = window.to_network(prompt.points) / pitch if len(prompt.points) else prompt.points
    box = None if corners is None else tuple(corners.ravel().tolist())
    mask = hypothesis(objects, points, prompt.point_labels, box)
    if mask is None:
        return None
    if len(mask) != side:  # micro-sam's decoder works at the input's resolution
        nearest = ((np.arange(side) + 0.5) * len(mask) / side).astype(np.int64)
        mask = mask[np.ix_(nearest, nearest)]
    return np.where(mask, HYPOTHESIS_LOGIT, -HYPOTHESIS_LOGIT).astype(np.float32)
