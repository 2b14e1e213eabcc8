"""Embed the windows of an image: once each, predictions first."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache, EmbeddingKey
from napari_sam.engine.embeddings.priority_lock import PriorityLock
from napari_sam.engine.embeddings.window_objects import WindowObjects, detect_objects, objects_key
from napari_sam.engine.normalisation import Normalisation, choose_normalisation
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import source_shape
from napari_sam.errors import CancelledError, NoImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.loaded_model import LoadedModel
    from napari_sam.engine.windows import Window


class EmbedderHolder(Protocol):
    """Anything that holds an embedder, such as a predictor."""

    @property
    def embedder(self) -> Embedder:
        """The embedder."""
        ...


class ReadPixels(Protocol):
    """Reads the pixels of a window, as `read_window` does."""

    def __call__(  # noqa: D102
        self, image: ImageSource, normalisation: Normalisation, window: Window, shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]: ...


class Embedder:
    """A network, its cache and its lock, looking at one image.

    Parameters
    ----------
    model : LoadedModel
        The network.
    cache : EmbeddingCache, optional
        Cache for embeddings; 1 GiB in memory by default.
    hypotheses : bool
        Whether prompts need the objects that the dense decoder sees in a window.
    lock : PriorityLock, optional
        Serialises the use of the device; one of its own by default.
    read_pixels : callable, optional
        Reads the pixels of a window; `read_window` by default.

    Notes
    -----
    Methods may be called from several threads; one window is embedded at a time.
    """

    def __init__(
        self,
        model: LoadedModel,
        cache: EmbeddingCache | None = None,
        *,
        hypotheses: bool = False,
        lock: PriorityLock | None = None,
        read_pixels: ReadPixels = read_window,
    ) -> None:
        self.model = model
        self.cache = EmbeddingCache() if cache is None else cache
        self.hypotheses = hypotheses
        self.priority_lock = PriorityLock() if lock is None else lock
        self._read_pixels = read_pixels
        self._image: ImageSource | None = None
        self._normalisation = Normalisation()
        self._image_lock = threading.RLock()

    @property
    def img_size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.model.runner.img_size

    @property
    def image(self) -> ImageSource:
        """The current image.

        Raises
        ------
        NoImageError
            If none was set.
        """
        if self._image is None:
            raise NoImageError("no image is set", remedy="call set_image(...) first")
        return self._image

    @property
    def normalisation(self) -> Normalisation:
        """Values that become black and white, for the whole image."""
        return self._normalisation

    def set_source(self, image: ImageSource, normalisation: Normalisation | None = None) -> None:
        """Set the image; reads nothing beyond a sample of its coarsest level."""
        chosen = choose_normalisation(image) if normalisation is None else normalisation
        with self._image_lock:
            self._image, self._normalisation = image, chosen

    def sharing(self) -> Embedder:
        """Return an embedder for another image, with the same network, cache and lock."""
        return Embedder(
            self.model,
            self.cache,
            hypotheses=self.hypotheses,
            lock=self.priority_lock,
            read_pixels=self._read_pixels,
        )

    def key(self, window: Window) -> EmbeddingKey:
        """Return the cache key of a window's embedding."""
        with self._image_lock:  # image and normalisation must belong together
            image, normalisation = self.image, self._normalisation
        return EmbeddingKey(
            image=image.identity,
            image_shape=image.shape,
            weights=self.model.weights,
            precision=str(self.model.runner.dtype).removeprefix("torch."),
            normalisation=normalisation,
            window=window,
            persistent=bool(getattr(image, "persistent", False)),
        )

    @property
    def needs_objects(self) -> bool:
        """Whether a prompt needs what the dense decoder sees: as a rough mask, or for the mask judge."""
        runner = self.model.runner
        return self.hypotheses or (runner.has_judge and runner.has_dense)

    def objects_key(self, key: EmbeddingKey) -> EmbeddingKey:
        """Return the cache key of the objects seen in an embedding, from that of the embedding."""
        model = self.model
        return objects_key(key, dense_in_weights=model.dense_in_weights, with_maps=model.runner.has_judge)

    def is_embedded(self, window: Window) -> bool:
        """Return whether a prompt on this window needs no encoding."""
        return self.key(window) in self.cache

    def pixels(self, window: Window, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB pixels of a window as the network takes them; see `read_window`.

        A network that stretches windows resizes them itself, from the pixels that were read.
        """
        image = self.image
        if shape is None and window.stretches:
            shape = source_shape(image.levels, window)
        return self._read_pixels(image, self._normalisation, window, shape)

    def read(self, window: Window) -> tuple[EmbeddingKey, NDArray[np.uint8]]:
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

    def embed(self, window: Window, cancelled: Callable[[], bool] | None = None, *, background: bool = False) -> Tensor:
        """Return the embedding of a window, and cache everything that a prompt there needs.

        Parameters
        ----------
        window : Window
            The window.
        cancelled : callable, optional
            Called between the steps; return True to stop.
        background : bool
            Run with low priority.

        Returns
        -------
        Tensor
            (1, 256, h, w).

        Raises
        ------
        CancelledError
            If `cancelled()` returned True.
        """
        embedding = self.embedding(window, cancelled, background=background)
        if self.needs_objects:
            with self.priority_lock.background(cancelled) if background else nullcontext():
                self.objects(window, embedding)
        return embedding

    def embedding(
        self, window: Window, cancelled: Callable[[], bool] | None = None, *, background: bool = False
    ) -> Tensor:
        """Return the embedding of a window, without detecting objects in it; parameters as in `embed`."""
        runner = self.model.runner
        cached = self.cache.get(self.key(window), runner.device, runner.dtype)
        if cached is not None:
            return cached
        _raise_if(cancelled)
        with nullcontext() if background else self.priority_lock.pause_background():
            key, pixels = self.read(window)  # before the lock is taken: a slow source must not delay a click
            with self.priority_lock.background(cancelled) if background else self.priority_lock:
                cached = self.cache.get(key, runner.device, runner.dtype)
                if cached is not None:  # another thread was faster
                    return cached
                _raise_if(cancelled)
                with runner.one_window():
                    embedding = runner.encode([pixels])
                self.cache.put(key, embedding)
                return embedding

    def mirrored(self, window: Window, cancelled: Callable[[], bool] | None = None) -> Tensor:
        """Return the embedding of a window mirrored left to right, cached in memory; parameters as in `embed`."""
        runner = self.model.runner
        return self.encoded(window, "mirrored", lambda pixels: runner.encode([pixels[:, ::-1]]), cancelled)

    def encoded(
        self,
        window: Window,
        what: str,
        encode: Callable[[NDArray[np.uint8]], Tensor],
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Return the pixels of a window encoded in some way, cached in memory.

        Parameters
        ----------
        window : Window
            The window.
        what : str
            Name of the encoding, for the cache.
        encode : callable
            Takes the `pixels` of the window.
        cancelled : callable, optional
            As in `embed`.
        """
        runner = self.model.runner
        key = replace(self.key(window).of(what), persistent=False)
        cached = self.cache.get(key, runner.device, runner.dtype)
        if cached is not None:
            return cached
        _raise_if(cancelled)
        with self.priority_lock.pause_background():
            _, pixels = self.read(window)
            with self.priority_lock, runner.one_window():
                embedding = encode(pixels)
        self.cache.put(key, embedding)
        return embedding

    def objects(self, window: Window, embedding: Tensor) -> WindowObjects:
        """Return the objects in a window, cached; see `detect_objects`."""
        key = self.key(window)
        cached = self.cache.get(self.objects_key(key))
        if cached is not None:
            return WindowObjects.unpacked(cached)
        with self.model.runner.one_window():
            found = detect_objects(self.model.runner, window, embedding)
        if self.cache.holds(key, embedding):  # the embedding may be that of the previous image
            self.cache.put(self.objects_key(key), found.packed())
        return found


def _raise_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise CancelledError("encoding was cancelled")
