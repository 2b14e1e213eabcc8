"""The bounded mapping: what it holds, what it evicts and when it reports that."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src_models.lru import LRU


def test_the_least_recently_used_value_is_evicted_first():
    lru = LRU(limit_count=3)
    for key in "abc":
        lru.put(key, key.upper())
    lru.get("a")
    lru.put("d", "D")
    assert list(lru) == ["c", "a", "d"]


def test_peek_does_not_count_as_use():
    lru = LRU(limit_count=2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.peek("a") == 1
    lru.put("c", 3)
    assert lru.peek("a") is None


def test_sizes_are_bytes_of_arrays_by_default():
    lru = LRU(limit_bytes=24)
    for key in "abcd":
        lru.put(key, np.zeros(1))
    assert (list(lru), lru.size_bytes, len(lru)) == (["b", "c", "d"], 24, 3)


def test_putting_a_key_again_replaces_its_value_and_size():
    lru = LRU(limit_bytes=100, size_of=len)
    lru.put("a", "x" * 60)
    lru.put("a", "x" * 30)
    assert (lru.get("a"), lru.size_bytes) == ("x" * 30, 30)


@pytest.mark.parametrize(("keep_newest", "held"), [(True, ["b"]), (False, [])])
def test_a_value_larger_than_the_limit_stays_only_where_the_newest_is_kept(keep_newest, held):
    lru = LRU(limit_bytes=10, size_of=len, keep_newest=keep_newest)
    lru.put("a", "x" * 5)
    lru.put("b", "x" * 50)
    assert list(lru) == held
    assert lru.size_bytes == 50 * len(held)


def test_both_limits_hold_together():
    lru = LRU(limit_count=2, limit_bytes=10, size_of=len)
    for key, size in (("a", 1), ("b", 1), ("c", 1), ("d", 10)):
        lru.put(key, "x" * size)
    assert list(lru) == ["d"]


def test_evicted_values_are_reported_once_removed_ones_never():
    evicted = []
    lru = LRU(limit_count=1, on_evict=lambda key, value: evicted.append((key, value)))
    lru.put("a", 1)
    lru.put("b", 2)
    lru.pop("b")
    lru.put("c", 3)
    lru.clear()
    assert evicted == [("a", 1)]


def test_the_eviction_callback_may_use_the_mapping():
    lru = LRU(limit_count=1, on_evict=lambda key, value: lru.pop("b"))
    lru.put("a", 1)
    lru.put("b", 2)
    assert len(lru) == 0


def test_a_value_is_computed_only_where_there_is_none():
    lru, computed = LRU(limit_count=1), []
    for _ in range(2):
        assert lru.get_or_compute("a", lambda: computed.append(1) or "A") == "A"
    assert computed == [1]


def test_a_limit_is_required():
    with pytest.raises(ValueError, match="limit_count"):
        LRU()


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), max_size=40))
def test_the_size_is_that_of_the_values_and_within_the_limit(puts):
    lru = LRU(limit_bytes=50, size_of=int)
    for key, size in puts:
        lru.put(key, size)
        assert lru.size_bytes == sum(lru.peek(k) for k in lru)
        assert lru.size_bytes <= 50
        assert lru.peek(key) == size


def test_many_threads_leave_a_consistent_mapping():
    lru = LRU(limit_count=5, limit_bytes=1000, size_of=int)

    def work(seed):
        rng = np.random.default_rng(seed)
        for key in rng.integers(0, 20, 500).tolist():
            if lru.get(key) is None:
                lru.put(key, 10)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lru) == 5
    assert lru.size_bytes == 50
