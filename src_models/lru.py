"""A bounded, thread-safe mapping that drops its least recently used values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class LRU(Generic[K, V]):
    """Hold the most recently used values, within a number of values, of bytes, or both.

    Parameters
    ----------
    limit_count : int, optional
        Largest number of values.
    limit_bytes : int, optional
        Largest sum of the values' sizes.
    size_of : callable, optional
        Return the size of a value in bytes; its attribute ``nbytes`` by default. Called once for each value.
    keep_newest : bool
        Keep the newest value even if it alone exceeds `limit_bytes`.
    on_evict : callable, optional
        Called with key and value of everything that is dropped because of a limit, outside of the lock and in the
        thread that called `put`.

    Examples
    --------
    >>> recent = LRU(limit_count=2)
    >>> for key in "aba":
    ...     recent.put(key, key.upper())
    >>> recent.put("c", "C")
    >>> list(recent), recent.get("b"), recent.get("a")
    (['a', 'c'], None, 'A')
    """

    def __init__(
        self,
        *,
        limit_count: int | None = None,
        limit_bytes: int | None = None,
        size_of: Callable[[V], int] | None = None,
        keep_newest: bool = True,
        on_evict: Callable[[K, V], None] | None = None,
    ) -> None:
        if limit_count is None and limit_bytes is None:
            raise ValueError("give limit_count, limit_bytes, or both")
        self.limit_count, self.limit_bytes = limit_count, limit_bytes
        self._size_of = _nbytes if size_of is None else size_of
        self._keep_newest, self._on_evict = keep_newest, on_evict
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Sum of the values' sizes; 0 without `limit_bytes`."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._values

    def __iter__(self) -> Iterator[K]:
        with self._lock:
            return iter(list(self._values))  # least recently used first

    def get(self, key: K) -> V | None:
        """Return the value of a key and mark it as the most recently used; None without one."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def peek(self, key: K) -> V | None:
        """Return the value of a key without marking it as used; None without one."""
        with self._lock:
            entry = self._values.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V) -> None:
        """Set the value of a key, and drop the least recently used values beyond the limits."""
        size = self._size_of(value) if self.limit_bytes is not None else 0
        with self._lock:
            self._remove(key)
            self._values[key] = value, size
            self._size_bytes += size
            evicted = []
            while self._exceeds_limit():
                oldest, (dropped, its_size) = self._values.popitem(last=False)
                self._size_bytes -= its_size
                evicted.append((oldest, dropped))
        if self._on_evict is not None:
            for oldest, dropped in evicted:
                self._on_evict(oldest, dropped)

    def get_or_compute(self, key: K, compute: Callable[[], V]) -> V:
        """Return the value of a key, which `compute` makes where there is none.

        `compute` runs outside of the lock: two threads may compute the same value at the same time.
        """
        value = self.get(key)
        if value is None:
            value = compute()
            self.put(key, value)
        return value

    def pop(self, key: K) -> V | None:
        """Remove a key and return its value; None without one. `on_evict` is not called."""
        with self._lock:
            return self._remove(key)

    def clear(self) -> None:
        """Remove everything. `on_evict` is not called."""
        with self._lock:
            self._values.clear()
            self._size_bytes = 0

    def _remove(self, key: K) -> V | None:
        if key not in self._values:
            return None
        value, size = self._values.pop(key)
        self._size_bytes -= size
        return value

    def _exceeds_limit(self) -> bool:
        count = len(self._values)
        if self.limit_count is not None and count > self.limit_count:
            return True
        if self.limit_bytes is None or self._size_bytes <= self.limit_bytes:
            return False
        return count > (1 if self._keep_newest else 0)


def _nbytes(value: object) -> int:
    return int(value.nbytes)  # type: ignore[attr-defined]
