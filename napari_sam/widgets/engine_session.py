"""The engine as the dock uses it: a model and an image that may change, and the jobs for its thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache
from src_models.checkpoints.registry import model_info, model_names

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari_sam.engine.embeddings.prefetch import Prefetcher
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.windows import Hints, Window
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.layers.prompt_layers import PromptKeywords
    from napari_sam.predictor import Predictor

    IsCancelled = Callable[[], bool]


class PredictorLoader(Protocol):
    """Load a model."""

    def __call__(self, model: str, cache: EmbeddingCache, device: str = "auto") -> Predictor:
        """Return the predictor of a model by name or path."""
        ...


_AHEAD = {"default": 16, "vit_t": 9}  # windows in view that are embedded before a click
_AHEAD_OF_LARGE = 2


@dataclass(frozen=True)
class Answer:
    """Predictions for what is drawn.

    Attributes
    ----------
    predictions : list of Prediction
        One per object.
    plane : tuple of int
        Index along the leading axes of the image.
    """

    predictions: list[Prediction]
    plane: tuple[int, ...]


def load_predictor(model: str, cache: EmbeddingCache, device: str = "auto") -> Predictor:
    """Load a model by name or path; imports torch, so called by worker threads."""
    from napari_sam.predictor import Predictor  # noqa: PLC0415 - imports torch

    return Predictor(model, device, cache=cache)


def is_quick(model: str) -> bool:
    """Whether a model is quick enough to embed many windows in advance."""
    return model in _AHEAD


class EngineSession:
    """A predictor that is loaded on first use and follows the choice of the model.

    Parameters
    ----------
    model : str
        Name or path of the model.
    loader : callable
        Returns the predictor of a model, given its name or path and the embedding cache, and the keyword `device`
        unless that is "auto".

    Attributes
    ----------
    model : str
        Name or path of the model to use.
    device : str
        Device to run it on, as `choose_device` takes it.
    """

    def __init__(self, model: str = "default", loader: PredictorLoader = load_predictor) -> None:
        self.model, self.device = model, "auto"
        self._loader = loader
        self._cache = EmbeddingCache()
        self._loaded: tuple[tuple[str, str], Predictor] | None = None  # with model and device
        self._lock = threading.RLock()
        self._known: dict[Hashable, Prediction] = {}  # answers to the boxes drawn so far
        self._known_for: Hashable = None
        self._last_window: Window | None = None
        self._prefetcher: Prefetcher | None = None
        self._prepared_image: str | None = None

    @property
    def predictor(self) -> Predictor | None:
        """The predictor in use; None before it is loaded."""
        is_current = self._loaded is not None and self._loaded[0] == (self.model, self.device)
        return self._loaded[1] if self._loaded is not None and is_current else None

    @property
    def kind(self) -> str:
        """Kind of the network in use; before a checkpoint of one's own is loaded, its path."""
        if self.predictor is not None:
            return self.predictor.runner.kind
        return model_info(self.model).kind if self.model in model_names() else self.model

    def predict_job(
        self, image: Image, plane: tuple[int, ...], prompts: list[PromptKeywords], hints: Hints
    ) -> Callable[[IsCancelled], Answer]:
        """Return a job that answers prompts; of several boxes it only predicts those that are new."""
        model = self.model

        def job(cancelled: IsCancelled) -> Answer:
            predictor = self._predictor_of(model, image)
            scope = (model, image.identity, image.contrast_limits, plane, hints)
            if scope != self._known_for:
                self._known, self._known_for = {}, scope
            if len(prompts) == 1:
                predictions = predictor.predict_many(prompts, hints=hints, cancelled=cancelled)
            else:
                keys = [_key(prompt) or number for number, prompt in enumerate(prompts)]
                new = {key: p for key, p in zip(keys, prompts, strict=True) if key not in self._known}
                predicted = predictor.predict_many(list(new.values()), hints=hints, cancelled=cancelled)
                answers = self._known | dict(zip(new, predicted, strict=True))
                predictions = [answers[key] for key in keys]
                self._known = {key: p for key, p in answers.items() if not isinstance(key, int)}
            self._last_window = predictions[0].window
            return Answer(predictions, plane)

        return job

    def prepare_job(self, image: Image, hints: Hints) -> Callable[[IsCancelled], None]:
        """Return a job that loads the model and embeds the middle of the image."""
        model = self.model

        def job(cancelled: IsCancelled) -> None:
            predictor = self._predictor_of(model, image)
            h, w = image.shape
            window = predictor.window_for(hints, points=[(h / 2, w / 2)])
            predictor.embed(window, cancelled)
            self._last_window = window

        return job

    def prefetch(
        self, image: Image, view: tuple[int, int, int, int], cursor: tuple[float, float] | None, hints: Hints
    ) -> None:
        """Embed what is in view in the background, nearest to the cursor first; return at once.

        Does nothing before the model is loaded and was given the image.
        """
        prefetcher = self._prefetcher
        if prefetcher is not None and self.predictor is prefetcher.predictor and image.identity == self._prepared_image:
            prefetcher.update(view, cursor, hints)

    def close(self) -> None:
        """Stop embedding in the background."""
        with self._lock:
            if self._prefetcher is not None:
                self._prefetcher.close()
                self._prefetcher = None

    def describe(self, answer: Answer | None, milliseconds: float | None) -> str:
        """Return one line on model, device, window, embedding and speed."""
        predictor = self.predictor
        if predictor is None:
            return f"{self.model}: not loaded yet"
        precision = str(predictor.runner.dtype).removeprefix("torch.")
        parts = [f"{self.model} on {predictor.device}, {precision}"]
        if answer is not None:
            window = answer.predictions[0].window
            parts.append(f"window {max(window.shape)} px at {max(window.scale):.2g}x")
            if milliseconds is not None:
                parts.append(f"answered in {milliseconds:.0f} ms")
        is_embedded = self._last_window is not None and predictor.is_embedded(self._last_window)
        state = "ready" if is_embedded else "not yet"
        parts.append(f"embedding {state} ({self._cache.size_bytes / 2**20:.0f} MiB kept)")
        return " · ".join(parts)

    def load(self, model: str) -> Predictor:
        """Return the predictor of a model, loading it if necessary; slow, so called by worker threads."""
        with self._lock:
            wanted = (model, self.device)
            if self._loaded is None or self._loaded[0] != wanted:
                self._last_window = None  # the new predictor has no image yet, and the GUI thread may ask at any time
                is_automatic = self.device == "auto"
                load = self._loader if is_automatic else partial(self._loader, device=self.device)
                self._read_precomputed()
                self._loaded = (wanted, load(model, self._cache))
                if self._prefetcher is not None:
                    self._prefetcher.close()
                from napari_sam.engine.embeddings.prefetch import Prefetcher  # noqa: PLC0415 - imports torch

                self._prefetcher = Prefetcher(self._loaded[1], _AHEAD.get(model, _AHEAD_OF_LARGE))
            return self._loaded[1]

    def _read_precomputed(self) -> None:
        """Read embeddings from the folder of precomputed ones, if there is one."""
        from napari_sam.io.embedding_store import ZarrEmbeddingStore, default_folder  # noqa: PLC0415 - imports torch

        folder = default_folder()
        if self._cache.store is None and folder.is_dir():
            self._cache.store = ZarrEmbeddingStore(folder)

    def _predictor_of(self, model: str, image: Image) -> Predictor:
        """Return the predictor of a model, with the image set; runs in the engine's thread only."""
        with self._lock:
            predictor = self.load(model)
            if image.identity != self._prepared_image and self._prefetcher is not None:
                self._prefetcher.clear()
            predictor.set_source(image)
            self._prepared_image = image.identity
            return predictor


def _key(prompt: PromptKeywords) -> Hashable:
    """Return a key that tells prompts apart; None if comparing them would be expensive."""
    if "mask" in prompt:
        return None
    points = prompt.get("points")
    drawn = None if points is None else (points.tobytes(), prompt["point_labels"].tobytes())
    return prompt["box"], drawn
