"""Jobs run one after another, and only the newest of a kind counts."""

from __future__ import annotations

import threading

import pytest

from napari_sam.errors import CancelledError
from napari_sam.widgets.engine_thread import EngineThread


@pytest.fixture
def thread(qtbot):
    made = EngineThread()
    yield made
    made.close()


@pytest.fixture
def outcomes(thread):
    collected = []
    thread.finished.connect(collected.append)
    return collected


def wait_until_idle(qtbot, thread, outcomes, count):
    qtbot.waitUntil(lambda: not thread.busy and len(outcomes) == count, timeout=60_000)


def test_the_value_of_a_job_arrives_in_the_gui_thread(qtbot, thread):
    seen = []
    thread.finished.connect(lambda outcome: seen.append((outcome.value, threading.get_ident())))
    thread.submit("predict", lambda _: 42)
    qtbot.waitUntil(lambda: bool(seen), timeout=60_000)
    assert seen == [(42, threading.get_ident())]


def test_a_newer_job_replaces_one_that_waits(qtbot, thread, outcomes):
    go, ran = threading.Event(), []
    thread.submit("other", lambda _: go.wait(60))
    thread.submit("predict", lambda _: ran.append("old"))
    thread.submit("predict", lambda _: ran.append("new"))
    go.set()
    wait_until_idle(qtbot, thread, outcomes, 3)
    assert ran == ["new"]
    assert [thread.is_current(outcome) for outcome in outcomes] == [True, False, True]


def test_a_running_job_is_told_to_stop(qtbot, thread, outcomes):
    begun = threading.Event()

    def job(cancelled):
        begun.set()
        while not cancelled():
            pass
        raise CancelledError("cancelled")

    thread.submit("predict", job)
    begun.wait(60)
    thread.cancel("predict")
    wait_until_idle(qtbot, thread, outcomes, 1)
    assert outcomes[0].error is None
    assert not thread.is_current(outcomes[0])


def test_an_exception_is_the_outcome(qtbot, thread, outcomes):
    def fail(_):
        raise ValueError("bad")

    thread.submit("predict", fail)
    wait_until_idle(qtbot, thread, outcomes, 1)
    assert isinstance(outcomes[0].error, ValueError)
    assert thread.is_current(outcomes[0])


def test_a_closed_thread_takes_no_jobs(thread):
    thread.close()
    thread.submit("predict", pytest.fail)
    assert thread.closed
    assert not thread.busy


def test_a_thread_that_is_closed_while_jobs_wait_is_busy_no_longer(qtbot, thread):
    begun, go, ran = threading.Event(), threading.Event(), []
    thread.submit("other", lambda _: begun.set() or go.wait(60))
    thread.submit("predict", lambda _: ran.append("waited"))
    qtbot.waitUntil(begun.is_set, timeout=60_000)
    thread.close()
    go.set()
    qtbot.waitUntil(lambda: not thread.busy, timeout=60_000)
    assert not ran
