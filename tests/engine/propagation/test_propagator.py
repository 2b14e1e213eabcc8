"""Objects through planes, with a network that makes no mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.propagation.follow_objects import ObjectFollower
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.errors import CancelledError, ImageError, PromptError
from tests.engine.perfect import Blob
from tests.engine.propagation.perfect_stack import BlobStack, follow, iou_with_truth, perfect_engine


def wandering(count, radius=40.0, step=(6.0, 9.0), start=(1000.0, 1000.0)):
    """A blob that moves, grows and changes its shape from plane to plane."""
    return [
        Blob(
            start[0] + step[0] * k,
            start[1] + step[1] * k + 20 * np.sin(k / 9),
            radius * (1 + 0.4 * np.sin(k / 25)),
            ((3, 0.08, k / 17),),
        )
        for k in range(count)
    ]


def click(stack, plane):
    blob = stack.blobs[plane]
    return {"points": [(plane, blob.y, blob.x)]}


def test_an_object_is_followed_through_200_planes_and_across_window_borders():
    stack = BlobStack(wandering(200))
    (found,), runner = follow(stack, [click(stack, 100)])
    assert found.planes == tuple(range(200))
    assert min(iou_with_truth(found, stack, plane) for plane in found.planes) >= 0.99
    assert len(set(runner.windows)) > 20  # it crossed many windows
    assert found.prompted == (100,)
    assert not found.stopped
    assert not found.missing


def test_a_plane_is_opened_and_encoded_once_for_all_objects():
    stack = BlobStack(wandering(8))
    engine = perfect_engine(stack)
    follow(stack, [click(stack, 0), click(stack, 0)], engine)
    assert engine.embedder.model.runner.encoded <= 8 + 1  # the click's window may differ from that of the next plane


def test_an_object_stops_where_it_ends():
    stack = BlobStack([None] * 3 + wandering(6) + [None] * 5)
    (found,), _ = follow(stack, [click(stack, 5)])
    assert found.planes == tuple(range(3, 9))
    assert found.stopped["forward"].startswith("plane 9: ")
    assert found.stopped["backward"].startswith("plane 2: ")


def test_nothing_is_computed_far_beyond_the_end_of_an_object():
    stack = BlobStack(wandering(4) + [None] * 30)
    _, runner = follow(stack, [click(stack, 1)])
    assert max(runner.decoded) <= 3 + 2


def test_a_damaged_plane_is_named_and_the_others_are_found():
    stack = BlobStack(wandering(9), damaged=(6,))
    (found,), _ = follow(stack, [click(stack, 4)])
    assert found.planes == (0, 1, 2, 3, 4, 5, 7, 8)
    assert "plane 6 is damaged" in found.missing[6]


def test_a_prompt_on_a_damaged_plane_is_an_error():
    stack = BlobStack(wandering(5), damaged=(2,))
    with pytest.raises(ImageError, match="plane 2 is damaged"):
        follow(stack, [click(stack, 2)])


def test_a_blank_frame_is_passed_over():
    stack = BlobStack(wandering(7), blank=(3,))
    (found,), _ = follow(stack, [click(stack, 1)])
    assert found.planes == (0, 1, 2, 4, 5, 6)
    assert "blank" in found.missing[3]


def test_planes_can_be_chosen():
    stack = BlobStack(wandering(12))
    (found,), runner = follow(stack, [click(stack, 5)], planes=range(4, 8))
    assert found.planes == (4, 5, 6, 7)
    assert set(runner.decoded) == {4, 5, 6, 7}


def test_a_stack_of_one_plane():
    stack = BlobStack(wandering(1))
    (found,), _ = follow(stack, [click(stack, 0)])
    assert found.planes == (0,)
    assert found.weakest == 0


def test_an_object_that_leaves_the_image_stops_at_its_border():
    stack = BlobStack(wandering(30, step=(0.0, -25.0), start=(500.0, 400.0)), shape=(1200, 1200))
    (found,), _ = follow(stack, [click(stack, 0)])
    assert found.planes[-1] < 20
    assert "forward" in found.stopped
    assert all(Box(0, 0, 1200, 1200).contains(found.mask(p)[1]) for p in found.planes)


def test_planes_between_two_prompts_are_seen_from_both_ends():
    stack = BlobStack(wandering(12))
    prompts = {"points": [(2, stack.blobs[2].y, stack.blobs[2].x), (9, stack.blobs[9].y, stack.blobs[9].x)]}
    (found,), _ = follow(stack, [prompts])
    assert found.planes == tuple(range(12))
    assert found.prompted == (2, 9)
    assert min(iou_with_truth(found, stack, plane) for plane in found.planes) >= 0.98


def test_each_plane_is_reported_once_when_it_is_final():
    stack = BlobStack(wandering(6))
    seen = []
    (a, b), _ = follow(stack, [click(stack, 0), click(stack, 3)], on_plane=seen.append)
    assert sorted((m.index, m.plane) for m in seen) == [(i, p) for i in (0, 1) for p in range(6)]
    for m in seen:
        mask, box = (a, b)[m.index].mask(m.plane)
        assert box == m.box
        assert (mask == m.mask).all()


def test_progress_ends_at_its_total():
    stack = BlobStack(wandering(6))
    calls = []
    follow(stack, [click(stack, 2)], progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1]


def test_cancelling_keeps_what_was_reported():
    stack = BlobStack(wandering(50))
    seen = []
    with pytest.raises(CancelledError):
        follow(stack, [click(stack, 0)], on_plane=seen.append, cancelled=lambda: len(seen) >= 5)
    assert [m.plane for m in seen] == [0, 1, 2, 3, 4]


def correct(stack, engine, propagation, plane, given, **options):
    engine.embedder.model.runner.decoded.clear()
    options.setdefault("settings", PropagationSettings(side_views=False))  # the network knows the planes only
    follower = ObjectFollower(stack, engine, Normalisation(), options)
    return follower.correct(propagation, plane, given), engine.embedder.model.runner


def test_a_correction_that_changes_nothing_computes_two_planes_on_each_side():
    stack = BlobStack(wandering(30))
    engine = perfect_engine(stack)
    (found,), _ = follow(stack, [click(stack, 5)], engine)
    blob = stack.blobs[15]
    corrected, runner = correct(stack, engine, found, 15, {"points": [(blob.y, blob.x)]})
    assert set(runner.decoded) == {13, 14, 15, 16, 17}
    assert corrected.planes == found.planes
    assert corrected.prompted == (5, 15)


def test_a_correction_extends_an_object_beyond_where_it_stopped():
    blobs = wandering(30)
    blobs[10:13] = [None] * 3
    stack = BlobStack(blobs)
    engine = perfect_engine(stack)
    (found,), _ = follow(stack, [click(stack, 5)], engine)
    assert found.planes[-1] == 9
    corrected, _ = correct(stack, engine, found, 20, {"points": [(blobs[20].y, blobs[20].x)]})
    assert corrected.planes == (*range(10), *range(13, 30))
    assert "forward" not in corrected.stopped
    assert min(iou_with_truth(corrected, stack, plane) for plane in range(13, 30)) >= 0.98


def test_a_mask_given_for_a_plane_is_kept_as_it_is():
    stack = BlobStack(wandering(8))
    mask = np.zeros((80, 80), bool)
    mask[5:75, 8:72] = True
    y, x = int(stack.blobs[3].y) - 40, int(stack.blobs[3].x) - 40
    box = (y, x, y + 80, x + 80)
    (found,), _ = follow(stack, [{"masks": {3: (mask, box)}}])
    kept, at = found.mask(3)
    assert at == (y + 5, x + 8, y + 75, x + 72)
    assert kept.all()
    assert iou_with_truth(found, stack, 6) >= 0.98


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "the prompt is empty"),
        ({"points": [(99, 5, 5)]}, "plane 99 does not exist; the stack has planes 0 to 4"),
        ({"points": [(1.5, 5, 5)]}, "points names plane 1.5"),
        ({"points": [(1, 5, 99_999)]}, "plane 1: point .* lies outside"),
        ({"points": [(1, np.nan, 5)]}, "not finite"),
        ({"box": (2, 50, 50, 40, 60)}, "plane 2: box .* is empty"),
        ({"masks": {2: np.zeros((16_384, 16), bool)}}, "does not fit planes"),
        ({"points": [(1, 5, 5)], "point_labels": [2]}, "point labels"),
        ({"point": [(1, 5, 5)]}, "key 'point'"),
    ],
)
def test_bad_prompts_are_named(given, words):
    with pytest.raises(PromptError, match=words):
        follow(BlobStack(wandering(5)), [given])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"planes": [3, 17]}, "plane 17; the stack has planes 0 to 4"),
        ({"planes": []}, "planes is empty"),
        ({"planes": [0, 1]}, "plane 3 has a prompt"),
        ({"carry": "luck"}, "carry is 'luck'"),
        ({"carry": "memory"}, "carry is .memory."),
    ],
)
def test_bad_options_are_named(options, words):
    stack = BlobStack(wandering(5))
    with pytest.raises(PromptError, match=words):
        follow(stack, [click(stack, 3)], **options)
