"""The priority lock: predictions run before background work."""

from __future__ import annotations

import threading
import time

import pytest

from napari_sam.engine.embeddings.priority_lock import PriorityLock
from napari_sam.errors import CancelledError


def test_foreground_overtakes_waiting_background_work():
    lock, order = PriorityLock(), []

    def background():
        with lock.background():
            order.append("background")

    def foreground():
        with lock:
            order.append("foreground")

    with lock:
        threads = [threading.Thread(target=background)]
        threads[0].start()
        with lock.pause_background():
            threads.append(threading.Thread(target=foreground))
            threads[1].start()
            while lock.waiting < 2:
                time.sleep(0.001)
            assert not order
    threads[1].join()
    threads[0].join()
    assert order == ["foreground", "background"]


def test_background_work_never_starts_while_it_is_paused():
    lock, calls = PriorityLock(poll_s=0.001), []

    def cancelled():
        calls.append(1)
        return len(calls) > 3

    with lock.pause_background(), pytest.raises(CancelledError), lock.background(cancelled):
        pytest.fail("background work started")
    assert len(calls) == 4


def test_the_foreground_may_enter_twice():
    lock = PriorityLock()
    with lock, lock:
        assert lock.waiting == 0


def test_an_error_in_background_work_releases_the_lock():
    lock = PriorityLock()
    with pytest.raises(ZeroDivisionError), lock.background():
        1 / 0  # noqa: B018
    with lock.background(lambda: False):
        assert lock.waiting == 0
