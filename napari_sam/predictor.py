"""The predictor people use: the engine's, fed with anything `open_image` opens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from napari_sam.engine.interactive.window_predictor import WindowPredictor
from napari_sam.io.embedding_store import ZarrEmbeddingStore
from napari_sam.io.images.open_image import open_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache, EmbeddingStore
    from src_models.networks.sam import Sam


class Predictor(WindowPredictor):
    """Segment objects of one image by points, boxes and masks.

    Parameters
    ----------
    model, device, precision
        As in `napari_sam.engine.interactive.window_predictor.WindowPredictor`.
    cache : str, Path, int, EmbeddingCache or EmbeddingStore, optional
        A folder keeps embeddings on disk, 32 GiB of them at most, for this and other processes (another limit:
        `ZarrEmbeddingStore(folder, limit_bytes)`); a number is the limit of the memory in bytes. By default 1 GiB in
        memory and nothing on disk. Arrays in memory have no name that lasts, so theirs never go to disk.
    tidy, hypotheses
        As in `WindowPredictor`.

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
        model: str | Path | Sam = "default",
        device: str = "auto",
        precision: str = "auto",
        cache: EmbeddingCache | EmbeddingStore | str | os.PathLike[str] | int | None = None,
        *,
        tidy: bool | None = None,
        hypotheses: bool | None = None,
    ) -> None:
        kept = ZarrEmbeddingStore(cache) if isinstance(cache, str | os.PathLike) else cache
        super().__init__(model, device, precision, kept, tidy=tidy, hypotheses=hypotheses)

    def set_image(self, source: Any, channels: Sequence[int] | None = None) -> None:
        """Choose the image.

        Parameters
        ----------
        source
            Whatever `open_image` accepts: a path, an array, a list of scale levels, a napari Image layer.
        channels : sequence of int, optional
            Channels to see as red, green and blue, or the one to see as grey.

        Raises
        ------
        ImageError
            If it cannot be opened.
        """
        self.set_source(open_image(source, channels=channels))
