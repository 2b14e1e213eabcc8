"""Objects on planes larger than the network's input: windows that move, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import Predictor, open_image
from napari_sam.engine.propagation.carriers.memory_carrier import MemoryCarrier
from napari_sam.engine.propagation.plane_mask import mask_iou
from napari_sam.engine.propagation.plane_prompts import parse_plane_prompts
from napari_sam.engine.propagation.plane_views import PlaneViews
from napari_sam.engine.propagation.propagator import ObjectRun, Propagator
from napari_sam.io.images.image_stack import ImageStack
from tests.engine.propagation.bright_tracker import BrightTracker
from tests.src_models.small_sam2 import SMALL, small_sam2_network

SHAPE = (700, 900)


def disc(centre, radius):
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < radius**2


@pytest.fixture(scope="module")
def net():
    """A small network, of which only the size counts."""
    return small_sam2_network(SMALL)


@pytest.fixture
def follow(net):
    """A function that follows the bright objects of a stack from points (plane, y, x); also returns the tracker."""

    def run(stack, *points, axes="zyx"):
        predictor = Predictor(net, device="cpu", precision="float32")
        source = ImageStack(open_image(stack, axes=axes))
        views = PlaneViews(source, predictor.engine, source.normalisation())
        tracker = BrightTracker(net, source.count)
        carrier = MemoryCarrier(views, range(source.count), tracker=tracker)
        runs = []
        for point in points:
            prompts = parse_plane_prompts(source.shape, source.count, 0, {"points": [point]})
            runs.append(ObjectRun(prompts, tuple(prompts)))
        Propagator(views, carrier, range(source.count)).run(runs)
        return runs, tracker

    return run


def iou_with(truth, record):
    """Return the overlap of a mask of the whole plane with a record."""
    return mask_iou(truth, type(record.box)(0, 0, *truth.shape), record.mask, record.box)


def test_a_window_moves_with_its_object_and_loses_nothing(follow):
    centres = [(150 + 8 * z, 100 + 12 * z) for z in range(60)]
    stack = np.stack([disc(c, 22) * np.uint8(200) for c in centres])
    (run,), tracker = follow(stack, (30, *centres[30]))
    assert sorted(run.records) == list(range(60))
    assert min(iou_with(disc(centres[z], 22), record) for z, record in run.records.items()) > 0.93
    windows = {memory.place for c in tracker.conditionings for _, memory in c.frames}
    assert len(windows) > 3
    assert tracker.encoded < 1.5 * 60  # a moved window costs one more plane


def test_an_object_that_grows_beyond_its_window_gets_a_larger_one(follow):
    radii = [20 + 6 * z for z in range(30)]
    stack = np.stack([disc((350, 450), r) * np.uint8(200) for r in radii])
    (run,), _ = follow(stack, (0, 350, 450))
    assert sorted(run.records) == list(range(30))
    assert all(iou_with(disc((350, 450), radii[z]), record) > 0.93 for z, record in run.records.items())


def test_objects_that_share_a_window_share_its_encoding(follow):
    stack = np.stack([disc((350, 450), 30) * np.uint8(200)] * 12)
    runs, tracker = follow(stack, (0, 355, 445), (0, 356, 444), (0, 357, 443))
    assert all(len(run.records) == 12 for run in runs)
    assert tracker.encoded == 12 + 1  # the first plane also with more room around the objects
    assert tracker.batches == 11


def test_an_object_ends_where_it_is_absent_in_a_stack_and_may_come_back_in_a_movie(follow):
    stack = np.stack([disc((350, 450), 30 if z not in (5, 6, 7) else 0) * np.uint8(200) for z in range(12)])
    (run,), _ = follow(stack, (2, 350, 450))
    assert sorted(run.records) == [0, 1, 2, 3, 4]
    assert run.stopped["forward"] == "plane 5: the network sees no object"
    (run,), _ = follow(stack, (2, 350, 450), axes="tyx")
    assert sorted(run.records) == [0, 1, 2, 3, 4, 8, 9, 10, 11]


def test_what_is_remembered_does_not_grow_with_the_stack(follow):
    stack = np.stack([disc((350, 450), 30) * np.uint8(200)] * 70)
    _, tracker = follow(stack, (0, 350, 450))
    last = tracker.conditionings[-1]
    assert len(last.frames) == 7
    assert len(last.pointers) == 16


def test_an_object_in_two_parts_is_seen(follow):
    whole, parts = disc((350, 450), 30), disc((350, 425), 14) | disc((350, 475), 14)
    stack = np.stack([mask * np.uint8(200) for mask in (whole, whole, parts, parts)])
    (run,), _ = follow(stack, (0, 350, 450))
    assert run.events == {2: ("split",), 3: ("split",)}


def test_objects_that_run_together_are_seen(follow):
    stack = np.stack([disc((350, 450), 30) * np.uint8(200)] * 3)
    runs, _ = follow(stack, (0, 355, 445), (0, 356, 444))
    assert all(run.events == {1: ("merge",), 2: ("merge",)} for run in runs)


def test_an_object_that_comes_back_at_the_side_of_its_window_is_followed_on(follow):
    away = range(3, 14)
    centres = [(350, 450) if t < 3 else (350, 520) for t in range(18)]
    stack = np.stack([disc(c, 0 if t in away else 22) * np.uint8(200) for t, c in enumerate(centres)])
    (run,), tracker = follow(stack, (0, 350, 450), axes="tyx")
    assert sorted(run.records) == [0, 1, 2, 14, 15, 16, 17]
    assert all(iou_with(disc(centres[t], 22), run.records[t]) > 0.93 for t in (15, 16, 17))
    assert len({memory.place for c in tracker.conditionings for _, memory in c.frames}) > 1
