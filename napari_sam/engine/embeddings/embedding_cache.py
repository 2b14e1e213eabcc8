"""A cache of embeddings: on the device, on the host, and in a store on disk, least recently used out first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch
    from torch import Tensor

    from napari_sam.engine.normalisation import Normalisation
    from napari_sam.engine.windows import Window

DEFAULT_LIMIT_BYTES = 1 << 30
PIXELS_VERSION = 1
"""Version of how a window's pixels are read, scaled and normalised; part of every key."""


class CacheWarning(UserWarning):
    """Embeddings cannot be kept on disk; predictions continue without."""


@dataclass(frozen=True)
class EmbeddingKey:
    """Everything that an embedding depends on.

    Attributes
    ----------
    image : str
        `ImageSource.identity`: resolved address with size and time of change, never the pixels.
    image_shape : (int, int)
        Height and width of level 0.
    weights : str
        SHA-256 of the network's weights.
    precision : str
        Number format of the runner, such as "bfloat16".
    normalisation : Normalisation
        Values that become black and white.
    window : Window
        The window, which includes its scale.
    what : str
        "embedding", or the name of something derived from it, such as the objects that the dense decoder sees.
    persistent : bool
        Whether `image` names the same pixels in another process; if not, nothing is written to disk.
    version : int
        `PIXELS_VERSION`.
    """

    image: str
    image_shape: tuple[int, int]
    weights: str
    precision: str
    normalisation: Normalisation
    window: Window
    what: str = "embedding"
    persistent: bool = False
    version: int = PIXELS_VERSION

    def of(self, what: str) -> EmbeddingKey:
        """Return the key of something derived from this embedding."""
        return replace(self, what=what)


@runtime_checkable
class EmbeddingStore(Protocol):
    """Embeddings that outlive the process. Methods may be called from several threads, and none raises.

    Attributes
    ----------
    limit_bytes : int
        Upper bound of the size.
    problem : str or None
        Why nothing can be written any more; None while writing works. A `CacheWarning` reports it once.
    """

    limit_bytes: int
    problem: str | None

    def __contains__(self, key: object) -> bool: ...

    def get(self, key: EmbeddingKey) -> Tensor | None:
        """Return the value of a key, on the CPU; None if it is missing or damaged."""
        ...

    def touch(self, key: EmbeddingKey) -> bool:
        """Return whether there is a value, and mark it as the most recently used."""
        ...

    def put(self, key: EmbeddingKey, value: Tensor, *, wait: bool = False) -> None:
        """Write a value in the background; without `wait` it may be skipped when writing is slow."""
        ...

    def flush(self) -> None:
        """Wait until everything is written."""
        ...


class EmbeddingCache:
    """A thread-safe cache of embeddings: memory first, then the disk.

    Embeddings on a GPU are held there within `limit_bytes`; those evicted from it are held in the host's memory,
    within the same limit. On a CPU there is one memory. A store on disk, if there is one, gets everything whose key
    is persistent, and is read where the memory has nothing.

    Parameters
    ----------
    limit_bytes : int
        Upper bound of what a memory holds; the newest embedding is kept even if it alone exceeds it.
    store : EmbeddingStore, optional
        Store for embeddings that outlive the process.

    Examples
    --------
    >>> import torch
    >>> cache = EmbeddingCache(limit_bytes=8)
    >>> cache.put("a", torch.zeros(1)); cache.put("b", torch.zeros(1)); cache.put("c", torch.zeros(1))
    >>> "a" in cache, "c" in cache, cache.size_bytes
    (False, True, 8)
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES, store: EmbeddingStore | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.store = store
        self._host: LRU[Hashable, Tensor] = LRU(limit_bytes=limit_bytes)
        self._device: LRU[Hashable, Tensor] = LRU(limit_bytes=limit_bytes, on_evict=self._move_to_host)

    @property
    def size_bytes(self) -> int:
        """Bytes held in memory now, on the device and on the host."""
        return self._host.size_bytes + self._device.size_bytes

    @property
    def problem(self) -> str | None:
        """Why nothing can be written to disk; None while writing works."""
        return None if self.store is None else self.store.problem

    def __contains__(self, key: Hashable) -> bool:
        if key in self._host or key in self._device:
            return True
        store = self._store_for(key)
        return store is not None and key in store

    def __len__(self) -> int:
        return len(self._host) + len(self._device)

    def holds(self, key: Hashable, embedding: Tensor) -> bool:
        """Return whether this very tensor is in memory under a key."""
        return self._host.peek(key) is embedding or self._device.peek(key) is embedding

    def has_disk(self, key: Hashable) -> bool:
        """Return whether there is a store that accepts this key."""
        return self._store_for(key) is not None

    def touch(self, key: Hashable) -> bool:
        """Return whether a key is where it is to last, and mark it as recently used.

        That is the store where it accepts the key, else the memory.
        """
        store = self._store_for(key)
        if store is not None and isinstance(key, EmbeddingKey):
            return store.touch(key)
        return self._in_memory(key) is not None

    def get(self, key: Hashable, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Tensor | None:
        """Return the embedding of a key, now the most recently used; None if there is none.

        Parameters
        ----------
        key : hashable
            An `EmbeddingKey`; any other key is looked up in memory only.
        device : torch.device, optional
            Device of the returned tensor; the embedding is held there from then on.
        dtype : torch.dtype, optional
            Number format of the returned tensor: a store holds half precision.
        """
        embedding = self._in_memory(key)
        if embedding is not None and (device is None or embedding.device.type == device.type):
            return embedding
        if embedding is None:
            store = self._store_for(key)
            embedding = store.get(key) if store is not None and isinstance(key, EmbeddingKey) else None
            if embedding is None:
                return None
        embedding = embedding.to(device=device, dtype=dtype or embedding.dtype)
        self._hold(key, embedding)
        return embedding

    def put(self, key: Hashable, embedding: Tensor, *, memory: bool = True, wait: bool = False) -> None:
        """Hold an embedding, and evict the least recently used ones beyond the limit.

        Parameters
        ----------
        key : hashable
            As in `get`.
        embedding : Tensor
            On any device.
        memory : bool
            Whether to hold it in memory, too, where the store accepts it.
        wait : bool
            Wait for a slow store rather than skip the write.
        """
        store = self._store_for(key)
        if memory or store is None:
            self._hold(key, embedding)
        if store is not None and isinstance(key, EmbeddingKey):
            store.put(key, embedding, wait=wait)

    def flush(self) -> None:
        """Wait until everything is on disk."""
        if self.store is not None:
            self.store.flush()

    def clear(self) -> None:
        """Remove everything from memory; the store keeps its content."""
        self._host.clear()
        self._device.clear()

    def _store_for(self, key: Hashable) -> EmbeddingStore | None:
        return self.store if isinstance(key, EmbeddingKey) and key.persistent else None

    def _in_memory(self, key: Hashable) -> Tensor | None:
        on_device = self._device.get(key)
        return self._host.get(key) if on_device is None else on_device

    def _hold(self, key: Hashable, embedding: Tensor) -> None:
        if embedding.device.type == "cpu":
            self._host.put(key, embedding)
        else:
            self._host.pop(key)  # first: what the device evicts may need its space
            self._device.put(key, embedding)

    def _move_to_host(self, key: Hashable, embedding: Tensor) -> None:
        self._host.put(key, embedding.cpu())
