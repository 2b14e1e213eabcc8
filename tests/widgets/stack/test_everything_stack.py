"""The page "Everything" over a stack: which planes, and how a run is described, reported and continued."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.errors import CancelledError
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.stacks.stack_report import PlaneFailure, StackReport
from napari_sam.layers.stacks.tracks_layer import TRACKS_NAME
from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.dock_panel import EVERYTHING
from napari_sam.widgets.pages.everything_run import UnfinishedRun
from tests.widgets.test_dock_parts import FakeSession


class FakeEngine:
    """Writes one object through all planes."""

    def __init__(self):
        self.requests, self.left, self.stops = [], None, False

    def unfinished(self, path):
        return self.left

    def segment(self, request, hooks):
        self.requests.append(request)
        if self.stops:
            self.left = UnfinishedRun(replace(request.settings, side=512), 9, 4, request.axis)
            raise CancelledError("cancelled")
        square = np.ones((5, 5), bool)
        request.store.commit_planes(dict.fromkeys(range(9), (square, (0, 0, 5, 5), 0.9)))
        self.left = None
        failed = [PlaneFailure(3, "it is damaged")]
        return StackReport("dense", request.axis, 1, 1, 9, failed, 8, 1, 0, 512, {}, request.store)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def dock(qtbot, notifier, engine, follow_engine, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    session = FakeSession()
    session.load = lambda model: SimpleNamespace(can_dense=True)
    made = SamDock(ViewerModel(), session=session, engine=engine, follow_engine=follow_engine, notifier=notifier)
    qtbot.addWidget(made)
    yield made
    made.shutdown()


@pytest.fixture
def page(stack):
    """The page of a dock over a stack of 9 planes."""
    stack.panel.tabs.setCurrentIndex(EVERYTHING)
    return stack


def start(dock, qtbot):
    dock.everything.start()
    qtbot.waitUntil(lambda: not dock.everything.run.is_running, timeout=60_000)


@pytest.mark.parametrize("axis", ["z", "t"])
def test_objects_are_linked_along_the_chosen_axis(page, qtbot, engine, axis):
    page.panel.everything.choose_axis(axis)
    start(page, qtbot)
    (request,) = engine.requests
    assert (request.axis, request.image.plane_axes) == (axis, {axis: 9})
    assert "8 masks on 9" in page.panel.everything.run.message.text()
    assert "3: it is damaged. The objects pass over them." in page.panel.everything.run.message.text()


def test_gaps_are_filled_if_that_is_ticked(page, qtbot, engine):
    panel = page.panel.everything
    assert panel.fill_gaps.isHidden()
    panel.choose_axis("t")
    assert not panel.fill_gaps.isHidden()
    panel.fill_gaps.setChecked(True)
    start(page, qtbot)
    assert engine.requests[0].linking == FrameLinking(fill_gaps=True)
    panel.choose_axis("")
    start(page, qtbot)
    assert engine.requests[1].linking is None


def test_a_tracked_movie_gets_a_tracks_layer(page, qtbot):
    page.panel.everything.choose_axis("t")
    start(page, qtbot)
    qtbot.waitUntil(lambda: f"stack {TRACKS_NAME}" in page.viewer.layers, timeout=60_000)


def test_one_plane_is_segmented_as_before(page, qtbot, engine):
    start(page, qtbot)
    assert engine.requests[0].axis == ""
    assert engine.requests[0].image.plane == (4,)


def test_a_stopped_run_over_a_stack_is_continued_along_its_axis(page, qtbot, engine):
    page.panel.everything.choose_axis("z")
    engine.stops = True
    start(page, qtbot)
    assert "4 of 9 planes" in page.panel.everything.run.message.text()
    engine.stops = False
    page.panel.everything.choose_axis("")
    start(page, qtbot)
    assert [(r.axis, r.resume) for r in engine.requests] == [("z", None), ("z", True)]


def test_a_single_image_has_no_choice_of_planes(dock, qtbot):
    dock.viewer.add_image(np.zeros((40, 50)))
    qtbot.waitUntil(lambda: not dock.thread.busy, timeout=60_000)
    dock.panel.tabs.setCurrentIndex(EVERYTHING)
    assert dock.panel.everything.planes.isHidden()


def test_the_settings_of_an_unfinished_run_over_a_stack_are_read_from_its_record():
    call = {**vars(EverythingSettings(method="dense", side=256)), "region": [0, 0, 9, 9]}
    linking = {"kind": "FrameLinking", **vars(FrameLinking(max_gap=3, fill_gaps=True))}
    record = {"stack_call": call, "planes": 9, "planes_done": 2, "axis": "t", "linking": linking}
    run = UnfinishedRun.of_stack(record)
    assert run.linking == FrameLinking(max_gap=3, fill_gaps=True)
    assert (run.settings.region, run.settings.side, run.axis, run.unit) == ((0, 0, 9, 9), 256, "t", "frames")
