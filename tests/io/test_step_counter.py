"""Counting, reporting and cancelling the steps of a task."""

from __future__ import annotations

import pytest

from napari_sam.errors import CancelledError
from napari_sam.io.step_counter import RESUME, StepCounter


def test_every_step_of_a_short_task_is_reported():
    reported = []
    counter = StepCounter(lambda done, total: reported.append((done, total)), None)
    counter.begin(3)
    for _ in range(3):
        counter.step()
    assert reported == [(1, 3), (2, 3), (3, 3)]


def test_a_long_task_reports_a_thousand_times():
    reported = []
    counter = StepCounter(lambda done, _: reported.append(done), None, total=50_000)
    for _ in range(50_000):
        counter.step()
    assert len(reported) <= 1001
    assert reported[-1] == 50_000


def test_a_cancelled_task_names_where_it_stopped_and_what_that_means():
    counter = StepCounter(None, lambda: True, task="transcode", consequence=RESUME, total=9)
    counter.step()
    with pytest.raises(CancelledError, match="transcode stopped at step 1 of 9; the same call resumes it"):
        counter.check()
