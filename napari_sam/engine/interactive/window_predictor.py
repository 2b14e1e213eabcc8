"""The engine: a prompt chooses a window, the window is embedded once, the decoder answers in image pixels."""

from __future__ import annotations

import copy
import hashlib
import threading
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from napari_sam.engine.automatic.dense_maps import check_region
from napari_sam.engine.automatic.magnification import find_instances
from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache, EmbeddingKey, EmbeddingStore
from napari_sam.engine.embeddings.priority_lock import PriorityLock
from napari_sam.engine.interactive.answering import Answering
from napari_sam.engine.interactive.prediction import Asked
from napari_sam.engine.interactive.prompts import Prompt, parse_prompt
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.normalisation import Normalisation, decide
from napari_sam.engine.windows import Hints, Window, source_region
from napari_sam.errors import CancelledError, CheckpointError, NoImageError, PromptError, UnknownModelError
from src_models.checkpoints.checkpoint_files import load_dense_decoder, load_sam, weights_fingerprint
from src_models.checkpoints.registry import model_info, model_names
from src_models.networks.dense_decoder import DenseDecoder
from src_models.networks.sam import Sam
from src_models.runtime import Runner
from src_models.watershed import seeded_watershed
from src_models.watershed_settings import HYPOTHESES, WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.interactive.prediction import Prediction

_OBJECTS = f"objects-{hashlib.sha256(repr(HYPOTHESES).encode()).hexdigest()[:8]}"


class WindowPredictor(Answering):
    """Segment objects of one image by prompts.

    Parameters
    ----------
    model : str, Path or Sam
        Name of a registered model, a checkpoint file, or a network.
    device : str
        "auto", "cpu", "cuda" or "mps".
    precision : str
        "auto", "float32", "bfloat16" or "float16".
    cache : EmbeddingCache, EmbeddingStore or int, optional
        Where embeddings are kept: a cache, a store beneath one of 1 GiB in memory, or the limit of the memory in
        bytes; 1 GiB and no store by default.
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
        cache: EmbeddingCache | EmbeddingStore | int | None = None,
        *,
        tidy: bool | None = None,
        hypotheses: bool | None = None,
    ) -> None:
        net = model if isinstance(model, Sam) else load_sam(model)
        self.model = model.kind if isinstance(model, Sam) else str(model)
        self.model_is_named = not isinstance(model, Sam)
        self.runner = Runner(net, device, precision)
        self.cache = _new_cache(cache)
        self.tidy = net.kind == "default" if tidy is None else tidy
        self.hypotheses = isinstance(net.dense_decoder, DenseDecoder) if hypotheses is None else hypotheses
        self._weights = weights_fingerprint(net)
        self._dense_in_weights = net.dense_decoder is not None
        self._image: ImageSource | None = None
        self._normalisation = Normalisation()
        self._lock = threading.RLock()
        self.priority_lock = PriorityLock()

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

    def sharing(self) -> Self:
        """A predictor with the same network, cache and turns, for another image; this one keeps its own."""
        twin = copy.copy(self)
        twin._lock = threading.RLock()
        twin._image, twin._normalisation = None, Normalisation()
        return twin

    @property
    def can_dense(self) -> bool:
        """Whether the model finds all objects of a window at once, by itself or with a decoder to download."""
        if self.runner.has_dense:
            return True
        return self.model_is_named and self.model in model_names() and model_info(self.model).decoder is not None

    @property
    def weights(self) -> str:
        """Fingerprint of the network's weights."""
        return self._weights

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
        refine: bool | None = None,
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
        refine : bool, optional
            Whether the outline of a mask from a coarse window is improved with windows at a finer level, at most 16.
            By default where the object was larger than the window first chosen for it; True for every window coarser
            than full resolution.
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
            If the prompt is empty, not finite or outside the image, or its object spans more than 16384 x 16384 px.
        CancelledError
            If `cancelled` said so.
        """
        ask = {"points": points, "point_labels": point_labels, "box": box, "mask": mask}
        return self.predict_many([ask], multimask, hints=hints, refine=refine, cancelled=cancelled)[0]

    def predict_many(
        self,
        prompts: Sequence[Mapping[str, Any]],
        multimask: bool = True,
        *,
        hints: Hints | None = None,
        refine: bool | None = None,
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
        refine : bool, optional
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
        place = (tuple(getattr(image, "plane", ())), tuple(getattr(image, "selected", ())))
        asked = Asked(hints, multimask, refine, self._normalisation, image.shape, *place)
        parsed = [self._parse(i, ask, image.shape, len(prompts)) for i, ask in enumerate(prompts)]
        tasks = []
        for i, (ask, prompt) in enumerate(zip(prompts, parsed, strict=True)):
            window = choose_window(prompt, image.shape, self.img_size, hints)
            tasks.append(self._task(i, prompt, window, ask.get("mask"), asked))
        return self._answers(tasks, multimask, progress, cancelled)

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
            small ones magnified. Without it a few samples of the region tell (`estimate_scale`).
        settings : WatershedSettings, optional
            Thresholds and smoothing; by default those that suit the model.
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
        bbox = check_region(region, self.image.shape)
        return find_instances(self, bbox, diameter_px, settings, progress, cancelled)

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
        self.need_dense()
        maps = self.runner.dense(self._embedding(window, cancelled))
        rows, cols = (max(1, round(n * maps.shape[1] / self.img_size)) for n in window.network_shape)
        resized = F.interpolate(maps[None, :, :rows, :cols], size=window.shape, mode="bilinear", align_corners=False)
        out: NDArray[np.float32] = resized[0].numpy()
        return out

    def need_dense(self) -> None:
        """Have a dense decoder: get the one that micro-sam publishes beside a model. Raises as `dense_maps`."""
        if self.runner.has_dense:
            return
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

    def embed(self, window: Window, cancelled: Callable[[], bool] | None = None, *, background: bool = False) -> Tensor:
        """The embedding of a window, from the cache or computed now, with all that a prompt there needs.

        Parameters
        ----------
        window : Window
            Where.
        cancelled : callable, optional
            As in `predict`.
        background : bool
            Let everything else have its turn first.

        Returns
        -------
        Tensor
            (1, 256, h, w).
        """
        embedding = self._embedding(window, cancelled, background=background)
        if self.hypotheses:
            with self.priority_lock.background(cancelled) if background else nullcontext():
                self._objects(window, embedding)
        return embedding

    def prepare(self, window: Window) -> tuple[EmbeddingKey, NDArray[np.uint8]]:
        """Read a window for encoding: the key of its embedding, and its `pixels`.

        Raises
        ------
        CancelledError
            If another image or normalisation was set meanwhile.
        """
        key = self.key(window)
        pixels = self.pixels(window)
        if self.key(window) != key:
            raise CancelledError("another image was set while a window was read")
        return key, pixels

    def _embedding(self, window: Window, cancelled: Callable[[], bool] | None, *, background: bool = False) -> Tensor:
        key = self.key(window)
        found = self.cache.get(key, self.runner.device, self.runner.dtype)
        if found is not None:
            return found
        if cancelled is not None and cancelled():
            raise CancelledError("encoding was cancelled")
        with nullcontext() if background else self.priority_lock.pause_background():
            key, pixels = self.prepare(window)  # before the turn begins: a slow source must not keep a click waiting
            with self.priority_lock.background(cancelled) if background else self.priority_lock:
                found = self.cache.get(key, self.runner.device, self.runner.dtype)
                if found is not None:  # another thread was first
                    return found
                if cancelled is not None and cancelled():
                    raise CancelledError("encoding was cancelled")
                embedding = self.runner.encode([pixels])
                self.cache.put(key, embedding)
                return embedding

    def is_embedded(self, window: Window) -> bool:
        """Whether a prompt on this window needs no encoding."""
        return self.key(window) in self.cache

    def window_for(self, hints: Hints | None = None, **ask: Any) -> Window:
        """The window that `predict` would choose for a prompt, given as its keywords."""
        prompt = parse_prompt(self.image.shape, **ask)
        return choose_window(prompt, self.image.shape, self.img_size, hints or Hints())

    def pixels(self, window: Window, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """What the network sees of a window: (h, w, 3) RGB, scaled, not yet padded; of `shape` if it is given."""
        image = self.image
        level, region, step = source_region(image.levels, window)
        raw = image.read(level, *region, step)
        rgb = self._normalisation.apply(raw)
        nh, nw = shape or window.network_shape
        if rgb.shape[:2] == (nh, nw):
            return rgb
        return np.asarray(Image.fromarray(rgb).resize((nw, nh), Image.Resampling.BILINEAR))

    def key(self, window: Window) -> EmbeddingKey:
        """What the embedding of a window is called in the cache."""
        with self._lock:  # of one image, not half of the next
            image, normalisation = self.image, self._normalisation
        return EmbeddingKey(
            image=image.identity,
            image_shape=image.shape,
            weights=self._weights,
            precision=str(self.runner.dtype).removeprefix("torch."),
            normalisation=normalisation,
            window=window,
            persistent=bool(getattr(image, "persistent", False)),
        )

    def _parse(self, index: int, ask: Mapping[str, Any], shape: tuple[int, int], total: int) -> Prompt:
        unknown = sorted(set(ask) - {"points", "point_labels", "box", "mask"})
        if unknown:
            raise PromptError(f"prompt key {unknown[0]!r}: use points, point_labels, box or mask")
        try:
            return parse_prompt(shape, **ask)
        except PromptError as error:
            raise (PromptError(f"prompt {index}: {error}") if total > 1 else error) from None

    def _objects(self, window: Window, embedding: Tensor) -> NDArray[np.int32]:
        """What the dense decoder sees in a window: labels (H, W) in the network's frame, 0 in the padding."""
        key = self.objects_key(self.key(window))
        found = self.cache.get(key)
        if found is not None:
            return found.numpy()
        labels = self.find_objects(window, embedding)
        if self.cache.holds(self.key(window), embedding):  # not when another image was set meanwhile
            self.cache.put(key, torch.from_numpy(labels))
        return labels

    def objects_key(self, key: EmbeddingKey) -> EmbeddingKey:
        """What the objects seen in an embedding are called in the cache."""
        objects = key.of(_OBJECTS)
        return objects if self._dense_in_weights else replace(objects, persistent=False)  # no key names the decoder

    def find_objects(self, window: Window, embedding: Tensor) -> NDArray[np.int32]:
        """Labels (H, W) of what the dense decoder sees, in the network's frame; 0 in the padding."""
        maps = self.runner.dense(embedding).numpy()
        rows, cols = (max(1, round(n * maps.shape[1] / self.img_size)) for n in window.network_shape)
        labels = np.zeros(maps.shape[1:], np.int32)
        labels[:rows, :cols] = seeded_watershed(maps[:, :rows, :cols], HYPOTHESES, maps.shape[1] / self.img_size)
        return labels


def _new_cache(cache: EmbeddingCache | EmbeddingStore | int | None) -> EmbeddingCache:
    if isinstance(cache, EmbeddingCache):
        return cache
    if cache is None or isinstance(cache, int):
        return EmbeddingCache() if cache is None else EmbeddingCache(cache)
    return EmbeddingCache(store=cache)
