"""The engine as the widget uses it: a model that may change, an image that may change, jobs for the worker."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache
from napari_sam.engine.embeddings.prefetch import Prefetcher
from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.io.embedding_store import ZarrEmbeddingStore, default_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.windows import Hints, Window
    from napari_sam.io.images.open_image import Image

_AHEAD, _AHEAD_OF_LARGE = {"default": 16, "vit_t": 9}, 2  # windows in view that are embedded before a click


@dataclass(frozen=True)
class Answer:
    """What the engine found for what was drawn.

    Attributes
    ----------
    predictions : list of Prediction
        One per object.
    plane : tuple of int
        Index along the image's leading axes.
    """

    predictions: list[Prediction]
    plane: tuple[int, ...]


class EngineSession:
    """A predictor that is loaded when first needed and follows the widget's choice of model.

    Attributes
    ----------
    model : str
        Name or path of the model to use.
    """

    def __init__(self, model: str = "default") -> None:
        self.model = model
        folder = default_folder()  # only where something was precomputed
        self._cache = EmbeddingCache(store=ZarrEmbeddingStore(folder) if folder.is_dir() else None)
        self._loaded: tuple[str, WindowPredictor] | None = None
        self._lock = threading.RLock()
        self._known: dict[Any, Prediction] = {}
        self._known_for: Any = None
        self._looked_at: Window | None = None
        self._prefetcher: Prefetcher | None = None
        self._prepared: Any = None

    @property
    def predictor(self) -> WindowPredictor | None:
        """The predictor in use, once it is loaded."""
        return self._loaded[1] if self._loaded is not None and self._loaded[0] == self.model else None

    def predict_job(
        self, image: Image, plane: tuple[int, ...], asks: list[dict[str, Any]], hints: Hints
    ) -> Callable[[Callable[[], bool]], Answer]:
        """A job for the worker that answers prompts; boxes answered before are not asked again."""
        model = self.model

        def job(cancelled: Callable[[], bool]) -> Answer:
            predictor = self._ready(model, image)
            scope = (model, image.identity, image.contrast_limits, plane, hints)
            if scope != self._known_for:
                self._known, self._known_for = {}, scope
            if len(asks) == 1:
                predictions = predictor.predict_many(asks, hints=hints, cancelled=cancelled)
            else:
                keys = [_key(ask) or i for i, ask in enumerate(asks)]
                new = {k: a for k, a in zip(keys, asks, strict=True) if k not in self._known}
                found = predictor.predict_many(list(new.values()), hints=hints, cancelled=cancelled)
                answers = self._known | dict(zip(new, found, strict=True))
                predictions = [answers[k] for k in keys]
                self._known = {k: p for k, p in answers.items() if not isinstance(k, int)}
            self._looked_at = predictions[0].window
            return Answer(predictions, plane)

        return job

    def prefetch_job(self, image: Image, hints: Hints) -> Callable[[Callable[[], bool]], None]:
        """A job for the worker that loads the model and embeds the middle of the image."""
        model = self.model

        def job(cancelled: Callable[[], bool]) -> None:
            predictor = self._ready(model, image)
            h, w = image.shape
            window = predictor.window_for(hints, points=[(h / 2, w / 2)])
            predictor.embed(window, cancelled)
            self._looked_at = window

        return job

    def look_at(
        self, image: Image, view: tuple[int, int, int, int], cursor: tuple[float, float] | None, hints: Hints
    ) -> None:
        """Embed what is in view while nobody clicks, nearest to the cursor first; returns at once.

        Does nothing before the model is loaded and has seen the image.
        """
        prefetcher = self._prefetcher
        if prefetcher is not None and self.predictor is prefetcher.predictor and image.identity == self._prepared:
            prefetcher.update(view, cursor, hints)

    def close(self) -> None:
        """Stop working in the background."""
        with self._lock:
            if self._prefetcher is not None:
                self._prefetcher.close()
                self._prefetcher = None

    def describe(self, answer: Answer | None, milliseconds: float | None) -> str:
        """One line on model, device, window, embedding and speed."""
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
        seen = self._looked_at is not None and predictor.is_embedded(self._looked_at)
        parts.append(f"embedding {'ready' if seen else 'not yet'} ({self._cache.size_bytes / 2**20:.0f} MiB kept)")
        return " · ".join(parts)

    def load(self, model: str) -> WindowPredictor:
        """The predictor for a model, whatever it looks at; takes its time, so it is called by workers."""
        with self._lock:
            if self._loaded is None or self._loaded[0] != model:
                self._loaded = (model, WindowPredictor(model, cache=self._cache))
                if self._prefetcher is not None:
                    self._prefetcher.close()
                self._prefetcher = Prefetcher(self._loaded[1], _AHEAD.get(model, _AHEAD_OF_LARGE))
            return self._loaded[1]

    def _ready(self, model: str, image: Image) -> WindowPredictor:
        """The predictor for a model, looking at an image; runs in the worker only."""
        with self._lock:
            predictor = self.load(model)
            if image.identity != self._prepared and self._prefetcher is not None:
                self._prefetcher.clear()
            predictor.set_source(image)
            self._prepared = image.identity
            return predictor


def _key(ask: dict[str, Any]) -> Any:
    """Something hashable that tells prompts apart; None if they cannot be told apart cheaply."""
    if "mask" in ask:
        return None
    points = ask.get("points")
    drawn = None if points is None else (points.tobytes(), ask["point_labels"].tobytes())
    return ask["box"], drawn
