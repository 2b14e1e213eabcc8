"""The remaining time of a run."""

from __future__ import annotations

import pytest

from napari_sam.widgets.run_controls import RemainingTime, duration


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (61, "1 min"), (7200, "2 h 0 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_pace_since_the_first_progress_gives_the_remaining_time():
    times = iter([0.0, 10.0, 100.0])
    remaining = RemainingTime(lambda: next(times))
    assert not remaining.has_begun
    assert remaining.seconds(4, 10) is None
    assert remaining.seconds(6, 10) == 20
    remaining.begin()
    assert remaining.seconds(6, 10) is None
