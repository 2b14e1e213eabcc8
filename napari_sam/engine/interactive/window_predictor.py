"""Answer prompts: choose a window, decode, follow what the window cuts, refine the outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.decoder_runner import DecoderRunner
from napari_sam.engine.interactive.logit_fields import LogitField, LogitGrid
from napari_sam.engine.interactive.mask_cleanup import tidy_grid
from napari_sam.engine.interactive.prediction import Prediction, PredictionContext, PredictionSettings
from napari_sam.engine.interactive.prediction_builder import build_prediction
from napari_sam.engine.interactive.prompt_task import DecodedResult, PromptTask, new_task
from napari_sam.engine.interactive.prompts import Prompt, parse_prompt
from napari_sam.engine.interactive.refinement import refine
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.interactive.window_escalation import WindowEscalation
from napari_sam.engine.memory import trim_heap
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import Embedder
    from napari_sam.engine.interactive.second_look import SecondLook
    from napari_sam.engine.windows import Hints, Window

PROMPT_KEYS = ("points", "point_labels", "box", "mask")


class WindowPredictor:
    """Segment objects of one image by prompts.

    Parameters
    ----------
    embedder : Embedder
        The network, looking at an image.
    tidy : bool
        Drop specks and fill holes in masks (`tidy_mask`).
    decoder : DecoderRunner, optional
        Decodes prompts; by default with the embedder's network.
    second_look : SecondLook, optional
        When to look at an object again; never by default.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        tidy: bool = False,
        decoder: DecoderRunner | None = None,
        second_look: SecondLook | None = None,
    ) -> None:
        self.embedder, self.tidy = embedder, tidy
        self.second_look = second_look
        self._decoder = DecoderRunner(embedder) if decoder is None else decoder

    @property
    def decoder(self) -> DecoderRunner:
        """Decodes prompts in windows of the image."""
        return self._decoder

    def looking_through(self, embedder: Embedder) -> WindowPredictor:
        """Return a predictor for the image of another embedder, with the same settings."""
        return WindowPredictor(embedder, tidy=self.tidy, second_look=self.second_look)

    def choose_window(self, prompt: Mapping[str, Any], hints: Hints) -> Window:
        """Return the window that a prompt, given as in `predict_many`, is decoded in first."""
        shape = self.embedder.image.shape
        return choose_window(parse_prompt(shape, **prompt), shape, self.embedder.img_size, hints)

    def predict_many(
        self,
        prompts: Sequence[Mapping[str, Any]],
        settings: PredictionSettings,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Prediction]:
        """Segment one object for each prompt; those that share a window are decoded together.

        Parameters
        ----------
        prompts : sequence of mapping
            Each with some of the keys `PROMPT_KEYS`, as `parse_prompt` takes them.
        settings : PredictionSettings
            How they are answered.
        progress : callable, optional
            Called with the number of objects done and their total.
        cancelled : callable, optional
            Called between the steps; return True to stop.

        Returns
        -------
        list of Prediction
            In the order of `prompts`.

        Raises
        ------
        NoImageError
            If no image was set.
        PromptError
            If a prompt is not valid, or its object too large.
        CancelledError
            If `cancelled()` returned True.
        """
        image = self.embedder.image
        context = PredictionContext(
            settings.hints,
            settings.multimask,
            settings.refine,
            self.embedder.normalisation,
            image.shape,
            tuple(getattr(image, "plane", ())),
            tuple(getattr(image, "selected", ())),
        )
        parsed = [_parse(i, prompt, image.shape, len(prompts)) for i, prompt in enumerate(prompts)]
        tasks = []
        for i, (given, prompt) in enumerate(zip(prompts, parsed, strict=True)):
            window = choose_window(prompt, image.shape, self.embedder.img_size, settings.hints)
            kind = self.embedder.model.kind
            tasks.append(new_task(i, prompt, window, given.get("mask"), context, kind=kind))
        return self._run(tasks, settings.multimask, progress, cancelled)

    def _run(
        self,
        tasks: list[PromptTask],
        multimask: bool,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> list[Prediction]:
        """Decode tasks, window by window, until each has a result."""
        done: dict[int, Prediction] = {}
        total = len(tasks)
        escalation = WindowEscalation(self.embedder.image.shape, self.tidy)
        while tasks:
            group = [t for t in tasks if t.place == tasks[0].place]
            tasks = [t for t in tasks if t.place != tasks[0].place]
            for task, result in zip(group, self._decoder.decode(group, multimask, cancelled), strict=True):
                try:
                    following = self._next_step(escalation, DecodedResult(task, *result))
                    if isinstance(following, PromptTask):
                        tasks.append(following)
                    else:
                        done[task.index] = self._finish(following, cancelled)
                except PromptError as error:  # the object is too large
                    raise _numbered(error, task.index, total) from None
            if progress is not None:
                progress(len(done), total)
        trim_heap(max((Box(*p.bbox).area for p in done.values()), default=0))
        return [done[i] for i in range(total)]

    def _next_step(self, escalation: WindowEscalation, result: DecodedResult) -> PromptTask | DecodedResult:
        """Return the task in another window, or the result to use."""
        shape, look = self.embedder.image.shape, self.second_look
        if look is not None and result.task.first_look is not None:
            return look.better(result, shape)
        following = escalation.next_step(result.task, result.logits, result.predicted_iou)
        if isinstance(following, PromptTask):
            return following
        chosen = following or result
        return (look and look.next_task(chosen, shape)) or chosen

    def _finish(self, result: DecodedResult, cancelled: Callable[[], bool] | None) -> Prediction:
        """Build the prediction of a task whose last window is large enough."""
        task, logits, predicted_iou = result.task, result.logits, result.predicted_iou
        best = int(predicted_iou.argmax())
        outline = self._refine(task, LogitGrid(logits[best], task.window), cancelled)
        model = self.embedder.model.name
        prediction = build_prediction(task, logits, predicted_iou, outline, model=model, tidy=self.tidy)
        prediction.show_on(self.embedder.image)
        return prediction

    def _refine(
        self, task: PromptTask, grid: LogitGrid, cancelled: Callable[[], bool] | None
    ) -> tuple[LogitField, int] | None:
        """Return the mask with its outline at a finer level and the side of the finer windows; None to leave it."""
        if task.finest is None or task.finest >= max(task.window.shape):
            return None
        points, labels = task.prompt.points, task.prompt.point_labels

        def decode(window: Window, mask: NDArray[np.float32], deepest: NDArray[np.float64]) -> NDArray[np.float32]:
            inside = np.array([window.holds((y, x, y, x)) for y, x in points], bool)
            prompt = Prompt(np.concatenate([points[inside], deepest]), np.concatenate([labels[inside], [1, 0]]))
            return self._decoder.decode_detail(prompt, window, mask, cancelled)

        grid = tidy_grid(grid, task.seeds if self.tidy else None)
        return refine(grid, task.finest, self.embedder.image.shape, decode)


def _parse(index: int, prompt: Mapping[str, Any], shape: tuple[int, int], total: int) -> Prompt:
    unknown = sorted(set(prompt) - set(PROMPT_KEYS))
    if unknown:
        raise PromptError(f"prompt has the key {unknown[0]!r}", remedy="use points, point_labels, box or mask")
    try:
        return parse_prompt(shape, **prompt)
    except PromptError as error:
        raise _numbered(error, index, total) from None


def _numbered(error: PromptError, index: int, total: int) -> PromptError:
    """Return an error that names the prompt's position where there are several."""
    if total == 1:
        return error
    return PromptError(f"prompt {index}: {error.message}", parameter=error.parameter, remedy=error.remedy)
