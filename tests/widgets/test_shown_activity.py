"""Activities are shown if they take a moment, and cost nothing otherwise."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_sam.widgets import shown_activity
from napari_sam.widgets.activities import DEVICES
from napari_sam.widgets.shown_activity import ShownActivity


@pytest.fixture
def activity(qtbot, monkeypatch):
    """An activity of a thread that is busy; `texts` are those in the dock, `opened` and `closed` those of napari."""
    texts, opened, closed = [], [], []

    def progress(total, desc):
        opened.append(desc)
        return SimpleNamespace(close=lambda: closed.append(desc))

    monkeypatch.setattr(shown_activity.napari.utils, "progress", progress)
    thread = SimpleNamespace(busy=True)
    made = ShownActivity(SimpleNamespace(show_progress=texts.append), thread)
    made.thread, made.texts, made.opened, made.closed = thread, texts, opened, closed
    return made


def test_a_short_job_is_not_shown(activity, qtbot):
    activity.begin("predict")
    activity.thread.busy = False
    activity.end()
    qtbot.wait(400)
    assert (activity.opened, activity.texts) == ([], [None])


def test_a_longer_one_is_shown_until_it_ends(activity, qtbot):
    activity.begin(DEVICES)
    qtbot.waitUntil(lambda: activity.texts == ["Loading torch"])
    activity.begin("predict")
    assert activity.texts[-1] == "Segmenting"
    activity.end()
    assert activity.opened == activity.closed == ["SAM: Loading torch"]
    assert activity.texts[-1] is None


def test_jobs_in_a_row_are_shown_as_soon_as_one_long_job(activity, qtbot):
    for kind in ("a", "b", "c"):
        activity.begin(kind)
        qtbot.wait(120)
    qtbot.waitUntil(lambda: len(activity.opened) == 1)
