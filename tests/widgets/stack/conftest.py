"""A dock over a stack, with an engine that follows objects at a word from the test."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.plane_mask import PackedMask, PlaneMask
from napari_sam.engine.propagation.plane_prompts import PlanePrompt
from napari_sam.engine.propagation.propagation import Propagation, StackPosition
from napari_sam.errors import CancelledError
from napari_sam.widgets.dock import SamDock
from tests.widgets.conftest import RecordingNotifier
from tests.widgets.test_dock_parts import FakeSession


class FakeFollowEngine:
    """Follows a square that moves by a pixel per plane; the test can hold it between planes.

    Attributes
    ----------
    may_go : threading.Event
        Planes are done only while it is set.
    requests, corrections : list
        What was asked for.
    """

    def __init__(self, planes=range(9), scores=None):
        self.planes, self.scores = planes, scores or {}
        self.may_go = threading.Event()
        self.may_go.set()
        self.requests, self.corrections, self.error = [], [], None
        self.groups = []  # number of objects that were followed together

    def follow(self, objects, model, hooks):
        self.groups.append(len(objects))
        return [self._follow(x.request, hook) for x, hook in zip(objects, hooks, strict=True)]

    def _follow(self, request, hooks):
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        y0, x0, y1, x1 = request.prediction.bbox
        wanted = self.planes if request.planes is None else [p for p in self.planes if p in request.planes]
        records = {}
        for done, plane in enumerate(wanted, start=1):
            self._wait(hooks)
            shift = plane - request.origin
            box = Box(y0 + shift, x0 + shift, y1 + shift, x1 + shift)
            self._found(records, PlaneMask(plane, request.prediction.mask, box, self.scores.get(plane, 0.9)), hooks)
            hooks.progress(done, len(wanted))
        return self._result(request, records, (request.origin,))

    def correct(self, followed, base, plane, prompt, hooks):
        self.corrections.append((plane, prompt))
        self._wait(hooks)
        records = dict(base.records)
        for near in (plane, plane + 1):
            if near in self.planes:
                box = Box(0, 0, 4, 4)
                self._found(records, PlaneMask(near, np.ones((4, 4), bool), box, 0.95), hooks)
        return self._result(followed.request, records, (*base.prompted, plane))

    def _wait(self, hooks):
        while not self.may_go.wait(0.01):
            if hooks.cancelled():
                break
        if hooks.cancelled():
            raise CancelledError("cancelled")

    def _found(self, records, found, hooks):
        records[found.plane] = PackedMask.of(found)
        hooks.on_plane(found)

    def _result(self, request, records, prompted):
        position = StackPosition(request.axis, request.count, request.image.shape, request.plane, request.index)
        return Propagation(position, {plane: PlanePrompt() for plane in prompted}, records)


@pytest.fixture
def follow_engine():
    return FakeFollowEngine(scores={5: 0.4})


@pytest.fixture
def notifier():
    return RecordingNotifier()


@pytest.fixture
def dock(qtbot, notifier, follow_engine, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    engine = SimpleNamespace(unfinished=lambda path: None)
    made = SamDock(ViewerModel(), session=FakeSession(), engine=engine, follow_engine=follow_engine, notifier=notifier)
    qtbot.addWidget(made)
    yield made
    follow_engine.may_go.set()
    made.shutdown()


@pytest.fixture
def stack(dock, qtbot):
    """The dock over a stack of 9 planes, of which plane 4 is shown."""
    dock.viewer.add_image(np.zeros((9, 60, 70)), name="stack")
    dock.viewer.dims.set_point(0, 4)
    qtbot.waitUntil(lambda: not dock.thread.busy, timeout=60_000)
    qtbot.wait(50)
    return dock


def click(dock, qtbot, *point):
    """Click a point, given by plane, y and x, and wait for the answer."""
    dock.click.prompts.points.add(point)
    qtbot.waitUntil(lambda: dock.click.answer is not None, timeout=60_000)
