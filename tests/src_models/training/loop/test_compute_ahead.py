"""Items computed ahead of their use."""

from __future__ import annotations

import threading

import pytest

from src_models.training.loop.compute_ahead import computed_ahead


def test_items_come_in_order_from_several_threads():
    assert list(computed_ahead(str, range(3, 9), ahead=4, workers=3)) == ["3", "4", "5", "6", "7", "8"]


def test_no_more_items_are_computed_ahead_than_asked():
    started = []
    items = computed_ahead(lambda i: started.append(i) or i, range(10), ahead=2)
    assert next(items) == 0
    items.close()
    assert max(started) <= 1


def test_an_error_is_raised_where_its_item_is_due():
    def compute(index):
        if index == 1:
            raise OSError("unreadable")
        return index

    items = computed_ahead(compute, range(3), ahead=3)
    assert next(items) == 0
    with pytest.raises(OSError, match="unreadable"):
        next(items)


def test_closing_ends_the_threads():
    items = computed_ahead(str, range(3), ahead=1)
    next(items)
    items.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("compute-ahead")]


def test_an_empty_range_has_no_items():
    assert list(computed_ahead(str, range(4, 4), ahead=3)) == []
