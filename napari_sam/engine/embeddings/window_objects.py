"""Objects that the dense decoder sees in a window: rough masks for the mask decoder."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from src_models.watershed import seeded_watershed
from src_models.watershed_settings import HYPOTHESES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey
    from napari_sam.engine.windows import Window
    from src_models.runtime import Runner

_CONTENT = f"objects-{hashlib.sha256(repr(HYPOTHESES).encode()).hexdigest()[:8]}"


def objects_key(key: EmbeddingKey, *, dense_in_weights: bool) -> EmbeddingKey:
    """Return the cache key of the objects that belong to an embedding.

    Parameters
    ----------
    key : EmbeddingKey
        Key of the embedding.
    dense_in_weights : bool
        Whether the key's fingerprint covers the dense decoder; if not, the objects are kept in memory only.
    """
    derived = key.of(_CONTENT)
    return derived if dense_in_weights else replace(derived, persistent=False)


def detect_objects(runner: Runner, window: Window, embedding: Tensor) -> NDArray[np.int32]:
    """Return labels (H, W) of the objects in a window, in the network's frame; 0 in the padding.

    Parameters
    ----------
    runner : Runner
        A network with a dense decoder.
    window : Window
        The window.
    embedding : Tensor
        (1, 256, h, w) of the window.
    """
    maps = runner.dense(embedding).numpy()
    rows, cols = used_cells(window.network_shape, maps.shape[1], runner.img_size)
    labels = np.zeros(maps.shape[1:], np.int32)
    labels[:rows, :cols] = seeded_watershed(maps[:, :rows, :cols], HYPOTHESES, maps.shape[1] / runner.img_size)
    return labels


def used_cells(network_shape: tuple[int, int], side: int, img_size: int) -> tuple[int, int]:
    """Return the rows and columns of a (side, side) map that show the image; the rest is padding.

    >>> used_cells((256, 512), 128, 512)
    (64, 128)
    """
    rows, cols = (max(1, round(n * side / img_size)) for n in network_shape)
    return rows, cols
