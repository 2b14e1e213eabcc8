"""The predictor: segment objects of an image by points, boxes and masks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torch.nn import functional as F

from napari_sam.engine.automatic.dense_maps import check_region
from napari_sam.engine.automatic.magnification import find_instances
from napari_sam.engine.embeddings.embedder import Embedder
from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache, EmbeddingStore
from napari_sam.engine.embeddings.window_objects import used_cells
from napari_sam.engine.interactive.prediction import PredictionSettings
from napari_sam.engine.interactive.second_look import SecondLook
from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.windows import Hints
from napari_sam.io.embedding_store import ZarrEmbeddingStore
from napari_sam.io.images.open_image import open_image
from napari_sam.stack_predictor import StackPredictor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey
    from napari_sam.engine.embeddings.priority_lock import PriorityLock
    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.normalisation import Normalisation
    from napari_sam.engine.windows import Window
    from napari_sam.text.text_detector import TextDetector
    from napari_sam.text.text_search import TextSearch
    from src_models.networks.promptable import PromptableNetwork
    from src_models.runtime import Runner
    from src_models.watershed_settings import WatershedSettings


class Predictor(StackPredictor):
    """Segment objects of one image by points, boxes and masks, and follow them through a stack.

    Parameters
    ----------
    model : str, Path, PromptableNetwork or LoadedModel
        Name of a registered model, a checkpoint file, or a network. A `LoadedModel` is shared, and `device`,
        `precision` and `client` do not apply.
    device : str
        "auto", "cpu", "cuda" or "mps".
    precision : str
        "auto", "float32", "bfloat16" or "float16".
    cache : str, Path, int, EmbeddingCache or EmbeddingStore, optional
        A folder keeps embeddings on disk, at most 32 GiB, for this and other processes (another limit:
        `ZarrEmbeddingStore(folder, limit_bytes)`); a number is the limit of the memory in bytes. By default 1 GiB in
        memory and nothing on disk. Arrays in memory have no lasting name: their embeddings never go to disk.
    tidy : bool, optional
        Drop specks and fill holes in masks (`tidy_mask`). By default only masks of the built-in model are tidied;
        those of SAM checkpoints stay exactly as the reference gives them.
    second_look : bool, optional
        Decode a prompt again in a window laid around its first mask where the first score is middling, and keep the
        better result. By default where the model has a mask judge, whose scores can tell.
    hypotheses : bool, optional
        Give the mask decoder the object that the dense decoder sees under a prompt, as a rough mask. By default where
        the model was trained for it.
    client : distributed.Client, optional
        Dask cluster that encodes images, such as a machine with a GPU; prompts are decoded in this process. While no
        worker answers, images are encoded in this process too.

    Raises
    ------
    ModelError
        If the model, device or precision is not available.
    SettingsError
        If `client` is not a client, or Dask is not installed.

    Notes
    -----
    Methods may be called from several threads; one window is embedded at a time.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((64, 64), np.uint8)
    >>> image[20:40, 20:40] = 200
    >>> predictor = Predictor(device="cpu")
    >>> predictor.set_image(image)
    >>> p = predictor.predict(points=[(30, 30)])
    >>> p.masks.shape[0], p.predicted_iou.shape
    (3, (3,))
    """

    def __init__(
        self,
        model: str | Path | PromptableNetwork | LoadedModel = "default",
        device: str = "auto",
        precision: str = "auto",
        cache: EmbeddingCache | EmbeddingStore | str | os.PathLike[str] | int | None = None,
        *,
        tidy: bool | None = None,
        hypotheses: bool | None = None,
        second_look: bool | None = None,
        client: object = None,
    ) -> None:
        loaded = model if isinstance(model, LoadedModel) else LoadedModel.load(model, device, precision, client)
        hypotheses = loaded.uses_hypotheses if hypotheses is None else hypotheses
        tidy = loaded.kind == "default" if tidy is None else tidy
        look = SecondLook() if (loaded.runner.has_judge if second_look is None else second_look) else None
        embedder = Embedder(loaded, make_cache(cache), hypotheses=hypotheses)
        self.engine = WindowPredictor(embedder, tidy=tidy, second_look=look)

    @classmethod
    def of(cls, engine: WindowPredictor) -> Predictor:
        """Return a predictor around an engine."""
        predictor = cls.__new__(cls)
        predictor.engine = engine
        return predictor

    def sharing(self) -> Predictor:
        """Return a predictor for another image, with the same network, cache and lock."""
        return Predictor.of(self.engine.looking_through(self.embedder.sharing()))

    @property
    def embedder(self) -> Embedder:
        """The network with its cache, looking at the image."""
        return self.engine.embedder

    @property
    def runner(self) -> Runner:
        """The network on its device."""
        return self.embedder.model.runner

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.embedder.model.name

    @property
    def model_is_named(self) -> bool:
        """Whether another process can load the model by its name."""
        return self.embedder.model.is_named

    @property
    def weights(self) -> str:
        """Fingerprint of the network's weights."""
        return self.embedder.model.weights

    @property
    def device(self) -> str:
        """Device the network runs on."""
        return str(self.runner.device)

    @property
    def img_size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.embedder.img_size

    @property
    def tidy(self) -> bool:
        """Whether specks and holes in masks are removed."""
        return self.engine.tidy

    @property
    def hypotheses(self) -> bool:
        """Whether the mask decoder gets objects of the dense decoder as rough masks."""
        return self.embedder.hypotheses

    @property
    def cache(self) -> EmbeddingCache:
        """Cache of the embeddings; may be replaced."""
        return self.embedder.cache

    @cache.setter
    def cache(self, cache: EmbeddingCache) -> None:
        self.embedder.cache = cache

    @property
    def priority_lock(self) -> PriorityLock:
        """Lock that lets predictions run before background work."""
        return self.embedder.priority_lock

    @property
    def can_dense(self) -> bool:
        """Whether the model finds all objects of a window at once, if need be with a decoder to download."""
        return self.embedder.model.has_dense_decoder

    @property
    def image(self) -> ImageSource:
        """The current image.

        Raises
        ------
        NoImageError
            If none was set.
        """
        return self.embedder.image

    @property
    def normalisation(self) -> Normalisation:
        """Values that become black and white, for the whole image."""
        return self.embedder.normalisation

    def set_image(self, source: Any, channels: Sequence[int] | None = None) -> None:
        """Set the image.

        Parameters
        ----------
        source
            Whatever `open_image` accepts: a path, an array, a list of scale levels, a napari Image layer.
        channels : sequence of int, optional
            Channels to use as red, green and blue, or the one to use as grey.

        Raises
        ------
        ImageError
            If it cannot be opened.
        """
        self.set_source(open_image(source, channels=channels))

    def set_source(self, image: ImageSource, normalisation: Normalisation | None = None) -> None:
        """Set an open image; reads nothing beyond a sample of its coarsest level."""
        self.embedder.set_source(image, normalisation)

    def predict(  # noqa: PLR0913 - the public contract
        self,
        points: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: Sequence[float] | None = None,
        mask: Any = None,
        multimask: bool = True,
        *,
        text: str | None = None,
        detector: TextSearch | TextDetector | str | Path | None = None,
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
            An earlier prediction to refine, a rough region, booleans or integers of the image's shape that are not 0
            in the region, or low-res logits.
        multimask : bool
            Three masks for an ambiguous prompt, or one.
        text : str, optional
            A phrase such as "nuclei larger than 50 µm": the object that fits best; points correct the choice, and a
            box is the part of the image that is searched.
        detector : TextSearch, TextDetector, str or Path, optional
            Open-vocabulary model for words outside the vocabulary: a folder of OWLv2, Grounding DINO, CLIPSeg or SAM 3
            (extra "text"); or a search with its own vocabulary.
        hints : Hints, optional
            Knowledge about the object's size besides the prompts.
        refine : bool, optional
            Whether the outline of a mask from a coarse window is improved with at most 16 windows at a finer level.
            By default where the object was larger than the window first chosen for it; True for every window coarser
            than full resolution.
        cancelled : callable, optional
            Called between the steps; return True to stop.

        Returns
        -------
        Prediction

        Raises
        ------
        NoImageError
            If no image was set.
        PromptError
            If the prompt is empty, not finite or outside the image, or its object spans more than 16384 x 16384 px; if
            the text cannot be read or answered, or nothing fits it.
        CancelledError
            If `cancelled()` returned True.
        """
        prompt: dict[str, Any] = {"points": points, "point_labels": point_labels, "box": box, "mask": mask}
        if text is not None:
            from napari_sam.text.text_prompt import prompt_of_text  # noqa: PLC0415 - only phrases need it

            prompt = prompt_of_text(text, self, prompt, detector, cancelled)
        return self.predict_many([prompt], multimask, hints=hints, refine=refine, cancelled=cancelled)[0]

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
        multimask, hints, refine, cancelled
            As in `predict`.
        progress : callable, optional
            Called with the number of objects done and their total.

        Returns
        -------
        list of Prediction
            In the order of `prompts`.

        Raises
        ------
        PromptError
            As in `predict`; names the prompt's position in the list when there are several. Nothing is computed.
        """
        settings = PredictionSettings(bool(multimask), hints or Hints(), None if refine is None else bool(refine))
        return self.engine.predict_many(prompts, settings, progress, cancelled)

    def instances(
        self,
        region: tuple[int, int, int, int] | None = None,
        *,
        diameter_px: float | None = None,
        settings: WatershedSettings | None = None,
        branches: str = "auto",
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> NDArray[np.int32]:
        """Find all objects of a region at once, by the model's dense decoder, a seeded watershed and prompts.

        Parameters
        ----------
        region : (int, int, int, int), optional
            (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
        diameter_px : float, optional
            Typical diameter of the objects, level-0 pixels: large objects are searched at a coarser level, small ones
            magnified. By default it is estimated from a few samples of the region (`estimate_scale`).
        settings : WatershedSettings, optional
            Thresholds and smoothing; by default those that suit the model.
        branches : {"auto", "both", "dense"}
            Whether to prompt the mask decoder with each object of the watershed, and with candidates below its
            thresholds, and keep what scores best; "auto" does with the default model.
        progress : callable, optional
            Called with the number of windows done and their total.
        cancelled : callable, optional
            Called between windows; return True to stop.

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
            If `cancelled()` returned True.
        """
        bbox = check_region(region, self.image.shape)
        return find_instances(self, bbox, diameter_px, settings, progress, cancelled, branches=branches)

    def dense_maps(self, window: Window, cancelled: Callable[[], bool] | None = None) -> NDArray[np.float32]:
        """Return foreground, distance to the centre and to the boundary of a window: (3, h, w) in level-0 pixels.

        Raises
        ------
        PromptError
            If the model has no dense decoder.
        ModelError
            If micro-sam's decoder for it cannot be downloaded or read.
        CancelledError
            If `cancelled()` returned True.
        """
        self.embedder.model.load_dense_decoder()
        maps = self.runner.dense(self.embedder.embedding(window, cancelled))
        rows, cols = used_cells(window.network_shape, maps.shape[1], self.img_size)
        resized = F.interpolate(maps[None, :, :rows, :cols], size=window.shape, mode="bilinear", align_corners=False)
        out: NDArray[np.float32] = resized[0].numpy()
        return out

    def embed(self, window: Window, cancelled: Callable[[], bool] | None = None, *, background: bool = False) -> Tensor:
        """Return the embedding (1, 256, h, w) of a window; see `Embedder.embed`."""
        return self.embedder.embed(window, cancelled, background=background)

    def is_embedded(self, window: Window) -> bool:
        """Return whether a prompt on this window needs no encoding."""
        return self.embedder.is_embedded(window)

    def window_for(self, hints: Hints | None = None, **prompt: Any) -> Window:
        """Return the window that `predict` would choose for a prompt, given as its keywords."""
        return self.engine.choose_window(prompt, hints or Hints())

    def pixels(self, window: Window, shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB pixels of a window as the network sees them, not yet padded."""
        return self.embedder.pixels(window, shape)

    def key(self, window: Window) -> EmbeddingKey:
        """Return the cache key of a window's embedding."""
        return self.embedder.key(window)


def make_cache(cache: EmbeddingCache | EmbeddingStore | str | os.PathLike[str] | int | None) -> EmbeddingCache:
    """Return the embedding cache that the argument `cache` of `Predictor` stands for."""
    if isinstance(cache, EmbeddingCache):
        return cache
    if cache is None or isinstance(cache, int):
        return EmbeddingCache() if cache is None else EmbeddingCache(cache)
    store = ZarrEmbeddingStore(cache) if isinstance(cache, str | os.PathLike) else cache
    return EmbeddingCache(store=store)
