"""What the dense decoder sees in a window: objects as rough masks for the mask decoder, maps for the mask judge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from src_models.watershed import seeded_watershed
from src_models.watershed_settings import HYPOTHESES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey
    from napari_sam.engine.windows import Window
    from src_models.runtime import Runner

_CONTENT = f"objects-{hashlib.sha256(repr(HYPOTHESES).encode()).hexdigest()[:8]}"
_BITS = 10  # of each of the three maps in the cache: steps of 0.001
_LEVELS = (1 << _BITS) - 1


@dataclass(frozen=True)
class WindowObjects:
    """Objects in a window, in the network's frame.

    Attributes
    ----------
    labels : ndarray of int32
        (H, W), 0 is background and padding, objects from 1.
    maps : Tensor or None
        (3, H, W) float32 maps of the dense decoder, in steps of 0.001; None unless the model's mask judge reads them.
    """

    labels: NDArray[np.int32]
    maps: torch.Tensor | None

    def packed(self) -> torch.Tensor:
        """Return one tensor for the cache: (H, W) labels, or (2 H, W) with the maps below them; int32."""
        labels = torch.from_numpy(self.labels)
        if self.maps is None:
            return labels
        levels = (self.maps * _LEVELS).round().to(torch.int32)
        return torch.cat([labels, levels[0] | levels[1] << _BITS | levels[2] << 2 * _BITS])

    @classmethod
    def unpacked(cls, packed: torch.Tensor) -> WindowObjects:
        """Return the objects of a tensor from `packed`."""
        side = packed.shape[1]  # windows are square in the network's frame
        values = packed.numpy()  # every click does this: NumPy needs no threads, which wait for each other
        labels, bits = values[:side], values[side:]
        if not len(bits):
            return cls(labels, None)
        maps = np.stack([bits >> shift & _LEVELS for shift in (0, _BITS, 2 * _BITS)]).astype(np.float32)
        maps /= _LEVELS
        return cls(labels, torch.from_numpy(maps))


def objects_key(key: EmbeddingKey, *, dense_in_weights: bool, with_maps: bool = False) -> EmbeddingKey:
    """Return the cache key of the objects that belong to an embedding.

    Parameters
    ----------
    key : EmbeddingKey
        Key of the embedding.
    dense_in_weights : bool
        Whether the key's fingerprint covers the dense decoder; if not, the objects are kept in memory only.
    with_maps : bool
        Whether the maps belong to them.
    """
    derived = key.of(f"{_CONTENT}-maps" if with_maps else _CONTENT)
    return derived if dense_in_weights else replace(derived, persistent=False)


def detect_objects(runner: Runner, window: Window, embedding: torch.Tensor) -> WindowObjects:
    """Find the objects in a window.

    Parameters
    ----------
    runner : Runner
        A network with a dense decoder.
    window : Window
        The window.
    embedding : Tensor
        (1, 256, h, w) of the window.
    """
    maps = runner.dense(embedding)
    rows, cols = used_cells(window.network_shape, maps.shape[1], runner.img_size)
    labels = np.zeros(maps.shape[1:], np.int32)
    visible = maps[:, :rows, :cols].numpy()
    labels[:rows, :cols] = seeded_watershed(visible, HYPOTHESES, maps.shape[1] / runner.img_size)
    if not runner.has_judge:
        return WindowObjects(labels, None)
    return WindowObjects.unpacked(WindowObjects(labels, maps).packed())  # rounded as those from the cache


def used_cells(network_shape: tuple[int, int], side: int, img_size: int) -> tuple[int, int]:
    """Return the rows and columns of a (side, side) map that show the image; the rest is padding.

    >>> used_cells((256, 512), 128, 512)
    (64, 128)
    """
    rows, cols = (max(1, round(n * side / img_size)) for n in network_shape)
    return rows, cols
