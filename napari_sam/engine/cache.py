"""Embeddings in memory, least recently used out first, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from torch import Tensor

DEFAULT_LIMIT_BYTES = 1 << 30


class EmbeddingCache:
    """A thread-safe store of embeddings.

    Parameters
    ----------
    limit_bytes : int
        Upper bound of what is held; the newest embedding is kept even if it alone exceeds it.

    Examples
    --------
    >>> import torch
    >>> cache = EmbeddingCache(limit_bytes=8)
    >>> cache.put("a", torch.zeros(1)); cache.put("b", torch.zeros(1)); cache.put("c", torch.zeros(1))
    >>> "a" in cache, "c" in cache, cache.size_bytes
    (False, True, 8)
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._items: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes held now."""
        return self._size

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Hashable) -> Tensor | None:
        """The embedding of a key, now the most recently used; None if it is not there."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: Hashable, embedding: Tensor) -> None:
        """Keep an embedding, and drop the oldest ones beyond the limit."""
        with self._lock:
            old = self._items.pop(key, None)
            self._size += _bytes(embedding) - (0 if old is None else _bytes(old))
            self._items[key] = embedding
            while self._size > self.limit_bytes and len(self._items) > 1:
                _, dropped = self._items.popitem(last=False)
                self._size -= _bytes(dropped)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._items.clear()
            self._size = 0


def _bytes(embedding: Tensor) -> int:
    return embedding.element_size() * embedding.nelement()
