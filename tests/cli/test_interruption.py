"""Stopping at signals."""

from __future__ import annotations

import signal
import threading

import pytest

from napari_sam.cli.interruption import interruptible
from napari_sam.errors import CancelledError


def interrupt(*numbers, error=None):
    """Send signals to interruptible work, which then fails."""
    with interruptible("stopping") as cancelled:
        assert not cancelled()
        for number in numbers:
            signal.raise_signal(number)
            assert cancelled()
        if error is not None:
            raise error


def test_a_signal_cancels_the_work_and_is_raised_at_the_end(capsys):
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT)
    assert "stopping" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_stops_at_once():
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGINT, signal.SIGINT, error=AssertionError("the second signal did not stop the work"))


def test_cancelled_work_ends_as_interrupted():
    with pytest.raises(KeyboardInterrupt):
        interrupt(signal.SIGTERM, error=CancelledError("stopped"))


def test_work_that_cancels_itself_is_an_error():
    with pytest.raises(CancelledError):
        interrupt(error=CancelledError("stopped"))


def test_work_in_another_thread_handles_no_signals():
    seen = []

    def work():
        with interruptible("stopping") as cancelled:
            seen.append(cancelled())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
