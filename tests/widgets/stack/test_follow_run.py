"""The engine behind the dock's stacks: what it asks of the predictor, and what it keeps when the user stops."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.plane_mask import PlaneMask
from napari_sam.errors import CancelledError
from napari_sam.io.images.open_image import open_image
from napari_sam.widgets.stack.follow_run import FollowHooks, FollowRun, PredictorFollowEngine
from napari_sam.widgets.stack.unsaved_object import FollowRequest, UnsavedObject
from tests.layers.conftest import prediction

SQUARE = np.ones((4, 4), bool)


class FakePredictor:
    """Finds a square on as many planes as the test allows, then is cancelled."""

    model = "fake"

    def __init__(self, found):
        self.found, self.calls, self.image = found, [], None

    def sharing(self):
        return self

    def set_source(self, image):
        self.image = image

    def propagate_many(self, prompts, **keywords):
        self.calls.append({"prompts": prompts, **keywords})
        for plane in self.found:
            keywords["on_plane"](PlaneMask(plane, SQUARE, Box(0, 0, 4, 4), 0.8))
        raise CancelledError("cancelled")

    def repropagate(self, base, plane, **keywords):
        self.calls.append((base, plane, keywords["points"]))
        return "corrected"


@pytest.fixture
def followed():
    image = open_image(np.zeros((9, 40, 50), np.uint8), axes="zyx").with_plane((4,), (0,))
    return UnsavedObject(FollowRequest(image, "z", 0, (4,), 9, prediction(SQUARE, (0, 0))))


def engine(predictor):
    return PredictorFollowEngine(SimpleNamespace(model="fake", load=lambda model: predictor))


def hooks(arrived):
    return FollowHooks(arrived.append, lambda done, total: None, lambda: False)


def test_what_was_found_before_the_user_stopped_is_kept(followed):
    arrived = []
    (result,) = engine(FakePredictor([4, 5])).follow([followed], "fake", [hooks(arrived)])
    assert (result.planes, result.prompted, result.index(5)) == ((4, 5), (4,), (5,))
    assert result.stopped == {"forward": "you stopped it", "backward": "you stopped it"}
    assert [found.plane for found in arrived] == [4, 5]


def test_nothing_is_kept_if_nothing_was_found(followed):
    with pytest.raises(CancelledError):
        engine(FakePredictor([])).follow([followed], "fake", [hooks([])])


def test_the_clicked_mask_is_followed_along_its_axis(followed):
    predictor = FakePredictor([4])
    engine(predictor).follow([followed], "fake", [hooks([])])
    (call,) = predictor.calls
    assert (call["axis"], [list(prompt["masks"]) for prompt in call["prompts"]]) == ("z", [[4]])
    assert "planes" not in call
    assert predictor.image is followed.request.image


def test_a_saved_object_gets_a_predictor_with_its_first_correction(followed):
    predictor = FakePredictor([])
    result = engine(predictor).correct(followed, "base", 6, {"points": [(1, 2)]}, hooks([]))
    assert (result, predictor.calls) == ("corrected", [("base", 6, [(1, 2)])])
    assert predictor.image is followed.request.image


def pair(followed):
    return [followed, UnsavedObject(followed.request)]


class PairPredictor(FakePredictor):
    """Finds the first of two objects on planes 4 and 5, and the second one on none, then is cancelled."""

    def propagate_many(self, prompts, **keywords):
        assert len(prompts) == 2
        return super().propagate_many(prompts, **keywords)


def test_objects_of_one_answer_are_followed_together(followed):
    arrived = [], []
    predictor = PairPredictor([4, 5])
    first, second = engine(predictor).follow(pair(followed), "fake", [hooks(seen) for seen in arrived])
    assert (first.planes, second) == ((4, 5), None)
    assert [len(seen) for seen in arrived] == [2, 0]


@pytest.fixture
def run(qtbot, follow_engine):
    run = FollowRun(follow_engine)
    run.ended = []
    run.finished.connect(lambda followed, outcome: run.ended.append(followed))
    yield run
    follow_engine.may_go.set()
    run.close()


def test_each_object_of_a_group_has_its_own_result(run, qtbot, followed, follow_engine):
    objects = pair(followed)
    run.follow(objects, "fake")
    qtbot.waitUntil(lambda: len(run.ended) == 2, timeout=60_000)
    assert follow_engine.groups == [2]
    assert run.ended == objects
    assert all(x.result.planes == tuple(range(9)) for x in objects)


def test_a_group_goes_on_while_one_of_its_objects_is_wanted(run, qtbot, followed, follow_engine):
    follow_engine.may_go.clear()
    first, second = objects = pair(followed)
    run.follow(objects, "fake")
    run.cancel(first)
    follow_engine.may_go.set()
    qtbot.waitUntil(lambda: len(run.ended) == 2, timeout=60_000)
    assert second.result.planes == tuple(range(9))


def test_a_group_stops_when_none_of_its_objects_is_wanted(run, qtbot, followed, follow_engine):
    follow_engine.may_go.clear()
    objects = pair(followed)
    run.follow(objects, "fake")
    for x in objects:
        run.cancel(x)
    qtbot.waitUntil(lambda: len(run.ended) == 2, timeout=60_000)
    assert [x.result for x in objects] == [None, None]
