"""The engine: a prompt chooses a window, the window is embedded once, the decoder answers in image pixels."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from napari_sam.engine.cache import EmbeddingCache
from napari_sam.engine.instances import blend, check_region, cover, dense_side
from napari_sam.engine.normalisation import Normalisation, decide
from napari_sam.engine.prediction import Prediction, mask_bbox, stability_scores, tidy_mask, upsample_masks
from napari_sam.engine.prompts import Prompt, parse_prompt
from napari_sam.engine.windows import Hints, Window, choose_window, coarser_window
from napari_sam.errors import CancelledError, CheckpointError, NoImageError, PromptError, UnknownModelError
from src_models.checkpoints import load_dense_decoder, load_sam, weights_fingerprint
from src_models.dense_decoder import DenseDecoder
from src_models.instances import HYPOTHESIS_LOGIT, WatershedSettings, hypothesis, seeded_watershed
from src_models.registry import model_names
from src_models.runtime import Runner
from src_models.sam import Sam

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from napari_sam.engine.sources import ImageSource

_TIDY_LIMIT_PX = 1 << 24
_READ_LIMIT = 2  # a region is read at most this much finer than the network sees it, along each axis


@dataclass(frozen=True)
class _Task:
    """One object on its way: where it stands in the caller's list, its prompt, its windows so far."""

    index: int
    prompt: Prompt
    window: Window
    levels: tuple[int, ...]


class WindowPredictor:
    """Segment objects of one image by prompts.

    Parameters
    ----------
    model : str, Path or Sam
        Name of a registered model, a checkpoint file, or a network.
    device : str
        "auto", "cpu", "cuda" or "mps".
    precision : str
        "auto", "float32", "bfloat16" or "float16".
    cache : EmbeddingCache or int, optional
        Where embeddings are kept, or its limit in bytes; 1 GiB in memory by default.
    tidy : bool, optional
        Drop specks and fill holes in masks (`tidy_mask`). By default only the built-in model's masks are tidied;
        those of SAM checkpoints stay exactly as the reference gives them.
    hypotheses : bool, optional
        Show the mask decoder the object that the dense decoder sees under a prompt, as a rough mask. By default
        where the model was trained for it.

    Raises
    ------
    ModelError
        If the model, device or precision cannot be had.

    Notes
    -----
    Methods may be called from several threads; one window is embedded at a time.
    """

    def __init__(
        self,
        model: str | Path | Sam = "default",
        device: str = "auto",
        precision: str = "auto",
        cache: EmbeddingCache | int | None = None,
        *,
        tidy: bool | None = None,
        hypotheses: bool | None = None,
    ) -> None:
        net = model if isinstance(model, Sam) else load_sam(model)
        self.model = model.kind if isinstance(model, Sam) else str(model)
        self.runner = Runner(net, device, precision)
        self.cache = cache if isinstance(cache, EmbeddingCache) else _new_cache(cache)
        self.tidy = net.kind == "default" if tidy is None else tidy
        self.hypotheses = isinstance(net.dense_decoder, DenseDecoder) if hypotheses is None else hypotheses
        self._weights = weights_fingerprint(net)
        self._image: ImageSource | None = None
        self._normalisation = Normalisation()
        self._lock = threading.RLock()

    @property
    def img_size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.runner.img_size

    @property
    def device(self) -> str:
        """Device the network runs on."""
        return str(self.runner.device)

    @property
    def image(self) -> ImageSource:
        """The image that was set.

        Raises
        ------
        NoImageError
            If none was.
        """
        if self._image is None:
            raise NoImageError("no image: call set_image(...) first")
        return self._image

    @property
    def normalisation(self) -> Normalisation:
        """Which values become black and white; one decision for the whole image."""
        return self._normalisation

    def set_source(self, image: ImageSource, normalisation: Normalisation | None = None) -> None:
        """Choose the image; reads nothing beyond a sample of its coarsest level."""
        chosen = decide(image) if normalisation is None else normalisation
        with self._lock:
            self._image, self._normalisation = image, chosen

    def predict(
        self,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: Sequence[float] | None = None,
        mask: Any = None,
        multimask: bool = True,
        *,
        hints: Hints | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Prediction:
        """Segment one object.

        Parameters
        ----------
        points : array_like, optional
            (P, 2) as (y, x) in level-0 pixels; pixel centres are integers.
        point_labels : array_like, optional
            (P,) 1 for foreground (the default), 0 for background.
        box : sequence of float, optional
            (y0, x0, y1, x1) in level-0 pixels.
        mask : Prediction, MaskPrompt or ndarray, optional
            An earlier prediction to refine, a rough region, or low-res logits.
        multimask : bool
            Three masks for an ambiguous prompt, or one.
        hints : Hints, optional
            What else is known of the object's size.
        cancelled : callable, optional
            Asked between the steps; when it returns True the work stops.

        Returns
        -------
        Prediction

        Raises
        ------
        NoImageError
            If no image was set.
        PromptError
            If the prompt is empty, not finite or outside the image.
        CancelledError
            If `cancelled` said so.
        """
        ask = {"points": points, "point_labels": point_labels, "box": box, "mask": mask}
        return self.predict_many([ask], multimask, hints=hints, cancelled=cancelled)[0]

    def predict_many(
        self,
        prompts: Sequence[Mapping[str, Any]],
        multimask: bool = True,
        *,
        hints: Hints | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Prediction]:
        """Segment many objects, batched through the decoder and grouped by window.

        Parameters
        ----------
        prompts : sequence of mapping
            Each with some of ``points``, ``point_labels``, ``box``, ``mask``, as in `predict`.
        multimask : bool
            Three masks per object, or one.
        hints : Hints, optional
            As in `predict`.
        progress : callable, optional
            Called with objects done and their total.
        cancelled : callable, optional
            As in `predict`.

        Returns
        -------
        list of Prediction
            In the order of `prompts`.

        Raises
        ------
        PromptError
            As in `predict`; names the prompt's place in the list when there are several. Nothing is computed.
        """
        image = self.image
        hints = hints or Hints()
        parsed = [self._parse(i, ask, image.shape, len(prompts)) for i, ask in enumerate(prompts)]
        windows = [choose_window(p, image.shape, self.img_size, hints) for p in parsed]
        tasks = [_Task(i, p, w, (max(w.shape),)) for i, (p, w) in enumerate(zip(parsed, windows, strict=True))]
        done: dict[int, Prediction] = {}
        while tasks:
            group = [t for t in tasks if t.window == tasks[0].window]
            tasks = [t for t in tasks if t.window != tasks[0].window]
            for task, prediction in zip(group, self._decode(group, multimask, cancelled), strict=True):
                again = self._coarser(task, prediction)
                if again is None:
                    done[task.index] = prediction
                else:
                    tasks.append(again)
            if progress is not None:
                progress(len(done), len(prompts))
        return [done[i] for i in range(len(prompts))]

    def instances(
        self,
        region: tuple[int, int, int, int] | None = None,
        *,
        diameter_px: float | None = None,
        settings: WatershedSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> NDArray[np.int32]:
        """Find all objects of a region at once, by the model's dense decoder and a seeded watershed.

        Parameters
        ----------
        region : (int, int, int, int), optional
            (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
        diameter_px : float, optional
            Typical diameter of the objects, level-0 pixels: large objects are looked for at a coarser level,
            small ones magnified. Without it the image is seen at full resolution.
        settings : WatershedSettings, optional
            Thresholds and smoothing.
        progress : callable, optional
            Called with windows done and their number.
        cancelled : callable, optional
            Asked between windows; when it returns True the work stops.

        Returns
        -------
        ndarray of int32
            (y1 - y0, x1 - x0), 0 is background, objects from 1.

        Raises
        ------
        NoImageError
            If no image was set.
        PromptError
            If the region lies outside the image, is too large to hold, or the model has no dense decoder.
        CancelledError
            If `cancelled` said so.
        """
        shape = self.image.shape
        bbox = check_region(region, shape)
        side = dense_side(diameter_px, self.img_size, shape)
        windows = cover(bbox, shape, side, self.img_size)
        maps = blend(windows, lambda window: self.dense_maps(window, cancelled), bbox, progress)
        return seeded_watershed(maps, settings or WatershedSettings())

    def dense_maps(self, window: Window, cancelled: Callable[[], bool] | None = None) -> NDArray[np.float32]:
        """Foreground, distance to the centre and to the boundary of a window: (3, h, w) in level-0 pixels.

        Raises
        ------
        PromptError
            If the model has no dense decoder.
        ModelError
            If micro-sam's decoder for it cannot be downloaded or read.
        CancelledError
            If `cancelled` said so.
        """
        if not self.runner.has_dense:
            self._fetch_dense()
        maps = self.runner.dense(self._embedding(window, cancelled))
        rows, cols = (max(1, round(n * maps.shape[1] / self.img_size)) for n in window.network_shape)
        resized = F.interpolate(maps[None, :, :rows, :cols], size=window.shape, mode="bilinear", align_corners=False)
        out: NDArray[np.float32] = resized[0].numpy()
        return out

    def _fetch_dense(self) -> None:
        """Get the decoder that micro-sam publishes beside a model."""
        missing = f"model {self.model!r} has no dense decoder; use 'default', or a micro-sam model that has one"
        with self._lock:
            if self.runner.has_dense:  # another thread was first
                return
            try:
                self.runner.attach_dense(load_dense_decoder(self.model))
            except UnknownModelError as error:
                raise PromptError(missing) from error
            except CheckpointError as error:
                if self.model in model_names():
                    raise  # what was downloaded is damaged
                raise PromptError(missing) from error

    def embed(self, window: Window, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """The embedding of a window, from the cache or computed now, with all that a prompt there needs.

        Parameters
        ----------
        window : Window
            Where.
        cancelled : callable, optional
            As in `predict`.

        Returns
        -------
        Tensor
            (1, 256, h, w).
        """
        embedding = self._embedding(window, cancelled)
        if self.hypotheses:
            self._objects(window, embedding)
        return embedding

    def _embedding(self, window: Window, cancelled: Callable[[], bool] | None) -> Tensor:
        key = self._key(window)
        found = self.cache.get(key)
        if found is not None:
            return found
        with self._lock:
            found = self.cache.get(key)  # another thread may have been first
            if found is not None:
                return found
            if cancelled is not None and cancelled():
                raise CancelledError("encoding was cancelled")
            embedding = self.runner.encode([self.pixels(window)])
            self.cache.put(key, embedding)
            return embedding

    def is_embedded(self, window: Window) -> bool:
        """Whether a prompt on this window needs no encoding."""
        return self._key(window) in self.cache

    def window_for(self, hints: Hints | None = None, **ask: Any) -> Window:
        """The window that `predict` would choose for a prompt, given as its keywords."""
        prompt = parse_prompt(self.image.shape, **ask)
        return choose_window(prompt, self.image.shape, self.img_size, hints or Hints())

    def pixels(self, window: Window) -> NDArray[np.uint8]:
        """What the network sees of a window: (h, w, 3) RGB, scaled, not yet padded."""
        image = self.image
        level, step = _best_level(image.levels, window)
        factors = [image.shape[i] / image.levels[level][i] for i in (0, 1)]
        y0, x0, y1, x1 = window.bbox
        h, w = image.levels[level]
        top, left = int(y0 / factors[0]), int(x0 / factors[1])
        bottom = min(h, max(top + 1, round(y1 / factors[0])))
        right = min(w, max(left + 1, round(x1 / factors[1])))
        raw = image.read(level, top, left, bottom, right, step)
        rgb = self._normalisation.apply(raw)
        nh, nw = window.network_shape
        if rgb.shape[:2] == (nh, nw):
            return rgb
        return np.asarray(Image.fromarray(rgb).resize((nw, nh), Image.Resampling.BILINEAR))

    def _key(self, window: Window) -> tuple[Any, ...]:
        return (self.image.identity, self._weights, str(self.runner.dtype), self._normalisation, window)

    def _parse(self, index: int, ask: Mapping[str, Any], shape: tuple[int, int], total: int) -> Prompt:
        unknown = sorted(set(ask) - {"points", "point_labels", "box", "mask"})
        if unknown:
            raise PromptError(f"prompt key {unknown[0]!r}: use points, point_labels, box or mask")
        try:
            return parse_prompt(shape, **ask)
        except PromptError as error:
            raise (PromptError(f"prompt {index}: {error}") if total > 1 else error) from None

    def _decode(self, group: list[_Task], multimask: bool, cancelled: Callable[[], bool] | None) -> list[Prediction]:
        """Answer prompts that share a window."""
        window = group[0].window
        embedding = self.embed(window, cancelled)
        if cancelled is not None and cancelled():
            raise CancelledError("decoding was cancelled")
        side = 4 * embedding.shape[-1]
        masks = [task.prompt.mask_logits(window, side) for task in group]
        if self.hypotheses:
            objects = self._objects(window, embedding)
            masks = [self._suggested(t, objects, side) if m is None else m for t, m in zip(group, masks, strict=True)]
        for task in group:
            logits = task.prompt.logits
            if logits is not None and logits.shape[-1] != side:
                raise PromptError(
                    f"mask prompt of shape {logits.shape}: this model's low-res logits are {side} x {side}"
                )
        coords = [task.prompt.in_window(window) for task in group]
        decoded = self.runner.decode(embedding, coords, masks, multimask)
        return [
            self._prediction(task, logits, iou)
            for task, logits, iou in zip(group, decoded.logits.numpy(), decoded.predicted_iou.numpy(), strict=True)
        ]

    def _objects(self, window: Window, embedding: Tensor) -> NDArray[np.int32]:
        """What the dense decoder sees in a window: labels (H, W) in the network's frame, 0 in the padding."""
        key = (*self._key(window), "objects")
        found = self.cache.get(key)
        if found is not None:
            return found.numpy()
        maps = self.runner.dense(embedding).numpy()
        rows, cols = (max(1, round(n * maps.shape[1] / self.img_size)) for n in window.network_shape)
        labels = np.zeros(maps.shape[1:], np.int32)
        labels[:rows, :cols] = seeded_watershed(maps[:, :rows, :cols], WatershedSettings())
        self.cache.put(key, torch.from_numpy(labels))
        return labels

    def _suggested(self, task: _Task, objects: NDArray[np.int32], side: int) -> NDArray[np.float32] | None:
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

    def _prediction(self, task: _Task, logits: NDArray[np.float32], predicted_iou: NDArray[np.float32]) -> Prediction:
        masks, bbox = upsample_masks(logits, task.window)
        if self.tidy and masks[0].size <= _TIDY_LIMIT_PX:
            seeds = task.prompt.points[task.prompt.point_labels == 1] - bbox[:2]
            masks = np.stack([tidy_mask(mask, seeds) for mask in masks])
        return Prediction(
            masks=masks,
            bbox=bbox,
            predicted_iou=predicted_iou,
            stability_score=stability_scores(logits),
            low_res_logits=logits,
            best=int(predicted_iou.argmax()),
            window=task.window,
            levels=task.levels,
            model=self.model,
            prompt=task.prompt,
        )

    def _coarser(self, task: _Task, prediction: Prediction) -> _Task | None:
        """The same question one level coarser, if the window cut the best mask; else None."""
        if task.prompt.logits is not None:
            return None  # the mask prompt belongs to this window
        found = mask_bbox(prediction.mask, prediction.bbox[:2])
        if found is None:
            return None
        y0, x0, y1, x1 = task.window.bbox
        top, left, bottom, right = task.window.inner_sides(self.image.shape)
        cut = (
            (top and found[0] <= y0)
            or (left and found[1] <= x0)
            or (bottom and found[2] >= y1)
            or (right and found[3] >= x1)
        )
        window = coarser_window(task.window, found, self.image.shape) if cut else None
        if window is None or not window.holds(task.prompt.extent):
            return None
        return _Task(task.index, task.prompt, window, (*task.levels, max(window.shape)))


def _new_cache(limit_bytes: int | None) -> EmbeddingCache:
    return EmbeddingCache() if limit_bytes is None else EmbeddingCache(limit_bytes)


def _best_level(levels: Sequence[tuple[int, int]], window: Window) -> tuple[int, int]:
    """The coarsest scale level that is at least as fine as the network sees, and a stride for reading it."""
    wanted = max(window.scale)  # pixels of the network's input per level-0 pixel
    level = 0
    for i, shape in enumerate(levels):
        if max(shape) / max(levels[0]) >= min(wanted, 1.0) * 0.999:
            level = i
    finer = (max(levels[level]) / max(levels[0])) / wanted
    return level, max(1, int(finer / _READ_LIMIT))
