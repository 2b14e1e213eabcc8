"""Compute the items of a sequence ahead of their use, in threads."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

Item = TypeVar("Item")


def computed_ahead(
    compute: Callable[[int], Item], indices: range, *, ahead: int, workers: int = 1
) -> Generator[Item, None, None]:
    """Compute an item for every index, in order, some of them ahead of their use.

    Parameters
    ----------
    compute : callable
        Takes an index; runs in a thread.
    indices : range
        The indices.
    ahead : int
        Number of items computed or being computed before the next one is used.
    workers : int
        Number of threads.

    Yields
    ------
    object
        The items. An error of `compute` is raised here.

    Examples
    --------
    >>> list(computed_ahead(lambda i: i * i, range(2, 6), ahead=3))
    [4, 9, 16, 25]
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="compute-ahead")
    waiting: deque[Future[Item]] = deque()
    remaining = iter(indices)
    try:
        for _ in indices:
            while len(waiting) < ahead and (index := next(remaining, None)) is not None:
                waiting.append(pool.submit(compute, index))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
