"""Embeddings, least recently used out first: on the device, on the host, and in a store on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch
    from torch import Tensor

    from napari_sam.engine.interactive.windows import Window
    from napari_sam.engine.normalisation import Normalisation

DEFAULT_LIMIT_BYTES = 1 << 30
PIXELS_VERSION = 1
"""Counts up when a window's pixels are read, scaled or normalised in another way; part of every key."""


class CacheWarning(UserWarning):
    """Embeddings cannot be kept on disk; predictions go on without."""


@dataclass(frozen=True)
class EmbeddingKey:
    """All that an embedding depends on; whatever differs is another embedding.

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
        Which values become black and white.
    window : Window
        Where; its scale is in it.
    what : str
        "embedding", or the name of something made of it, such as the objects that the dense decoder sees.
    persistent : bool
        Whether `image` means the same pixels in another process; else nothing is written to disk.
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
        """The key of something made of this embedding."""
        return replace(self, what=what)


@runtime_checkable
class EmbeddingStore(Protocol):
    """Embeddings that outlive the process. Methods may be called from several threads, and none raises.

    Attributes
    ----------
    limit_bytes : int
        Upper bound of what is held.
    problem : str or None
        Why nothing can be written any more, once that is so. A `CacheWarning` says it once.
    """

    limit_bytes: int
    problem: str | None

    def __contains__(self, key: object) -> bool: ...

    def get(self, key: EmbeddingKey) -> Tensor | None:
        """The value of a key, on the CPU; None if it is not there or damaged."""
        ...

    def touch(self, key: EmbeddingKey) -> bool:
        """Whether a value is there; if so, it is now the most recently used."""
        ...

    def put(self, key: EmbeddingKey, value: Tensor, *, wait: bool = False) -> None:
        """Write a value, soon; without `wait` it may be left out when writing is slow."""
        ...

    def flush(self) -> None:
        """Wait until all is written."""
        ...


class EmbeddingCache:
    """A thread-safe cache of embeddings: memory first, then the disk.

    What lies on a GPU is held there within `limit_bytes`; what falls out is held in the host's memory, within the
    same limit again. On a CPU there is one memory. A store on disk, if there is one, gets everything whose key is
    persistent, and is asked where the memory has nothing.

    Parameters
    ----------
    limit_bytes : int
        Upper bound of what a memory holds; the newest embedding is kept even if it alone exceeds it.
    store : EmbeddingStore, optional
        Where embeddings are kept beyond the process.

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
        self._host, self._device = _Memory(), _Memory()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes held in memory now, on the device and on the host."""
        return self._host.size_bytes + self._device.size_bytes

    @property
    def problem(self) -> str | None:
        """Why nothing is written to disk any more; None while all is well."""
        return None if self.store is None else self.store.problem

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            if key in self._host.items or key in self._device.items:
                return True
        store = self._store_for(key)
        return store is not None and key in store

    def __len__(self) -> int:
        return len(self._host.items) + len(self._device.items)

    def holds(self, key: Hashable, embedding: Tensor) -> bool:
        """Whether this very tensor is in memory under a key."""
        with self._lock:
            return self._host.items.get(key) is embedding or self._device.items.get(key) is embedding

    def has_disk(self, key: Hashable) -> bool:
        """Whether there is a store that takes this key."""
        return self._store_for(key) is not None

    def touch(self, key: Hashable) -> bool:
        """Whether a key is where it is to last: in the store if that takes it, else in memory; now recently used."""
        store = self._store_for(key)
        if store is not None and isinstance(key, EmbeddingKey):
            return store.touch(key)
        with self._lock:
            return self._device.get(key) is not None or self._host.get(key) is not None

    def get(self, key: Hashable, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Tensor | None:
        """The embedding of a key, now the most recently used; None if it is not there.

        Parameters
        ----------
        key : hashable
            An `EmbeddingKey`; any other key is looked for in memory only.
        device : torch.device, optional
            Where it is wanted; from then on it is held there.
        dtype : torch.dtype, optional
            What it is wanted as: a store holds half precision.
        """
        with self._lock:
            found = self._device.get(key)
            if found is None:
                found = self._host.get(key)
        if found is not None and (device is None or found.device.type == device.type):
            return found
        if found is None:
            store = self._store_for(key)
            found = store.get(key) if store is not None and isinstance(key, EmbeddingKey) else None
            if found is None:
                return None
        found = found.to(device=device, dtype=dtype or found.dtype)
        self._keep(key, found)
        return found

    def put(self, key: Hashable, embedding: Tensor, *, memory: bool = True, wait: bool = False) -> None:
        """Keep an embedding, and drop the oldest ones beyond the limit.

        Parameters
        ----------
        key : hashable
            As in `get`.
        embedding : Tensor
            On any device.
        memory : bool
            Whether to hold it in memory, too, where the store takes it.
        wait : bool
            Wait for a slow store rather than leave it out there.
        """
        store = self._store_for(key)
        if memory or store is None:
            self._keep(key, embedding)
        if store is not None and isinstance(key, EmbeddingKey):
            store.put(key, embedding, wait=wait)

    def flush(self) -> None:
        """Wait until all that was put is on disk."""
        if self.store is not None:
            self.store.flush()

    def clear(self) -> None:
        """Forget everything in memory; what is on disk stays."""
        with self._lock:
            self._host, self._device = _Memory(), _Memory()

    def _store_for(self, key: Hashable) -> EmbeddingStore | None:
        return self.store if isinstance(key, EmbeddingKey) and key.persistent else None

    def _keep(self, key: Hashable, embedding: Tensor) -> None:
        on_host = embedding.device.type == "cpu"
        with self._lock:
            fallen = (self._host if on_host else self._device).put(key, embedding, self.limit_bytes)
            if not on_host:
                self._host.drop(key)
        for other, tensor in [] if on_host else fallen:
            held = tensor.cpu()  # outside the lock: a copy from the device takes milliseconds
            with self._lock:
                self._host.put(other, held, self.limit_bytes)


class _Memory:
    """One memory; its owner holds the lock."""

    def __init__(self) -> None:
        self.items: OrderedDict[Hashable, Tensor] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: Hashable) -> Tensor | None:
        if key in self.items:
            self.items.move_to_end(key)
        return self.items.get(key)

    def drop(self, key: Hashable) -> None:
        old = self.items.pop(key, None)
        self.size_bytes -= 0 if old is None else _bytes(old)

    def put(self, key: Hashable, embedding: Tensor, limit_bytes: int) -> list[tuple[Hashable, Tensor]]:
        """Keep it; returns what fell out for it."""
        self.drop(key)
        self.items[key] = embedding
        self.size_bytes += _bytes(embedding)
        fallen = []
        while self.size_bytes > limit_bytes and len(self.items) > 1:
            fallen.append(self.items.popitem(last=False))
            self.size_bytes -= _bytes(fallen[-1][1])
        return fallen


def _bytes(embedding: Tensor) -> int:
    return embedding.element_size() * embedding.nelement()
