"""Following objects through a video: memory, batches, corrections, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from src_models.model_errors import SettingsError, VideoError
from src_models.networks.sam import build_sam
from src_models.video.video_predictor import Sam2VideoPredictor
from src_models.video.video_settings import VideoSettings
from tests.src_models.small_sam2 import SMALL, small_sam2_network

pytestmark = pytest.mark.usefixtures("one_thread")
POINTS = {"a": (20, 30), "b": (50, 10), "c": (5, 40)}


@pytest.fixture
def track(small_sam2, small_frames):
    """A function that makes a predictor on the small frames."""

    def make(net=small_sam2, frames=small_frames, **settings):
        return Sam2VideoPredictor(net, frames, VideoSettings(**settings), device="cpu", precision="float32")

    return make


def prompted(predictor, names="abc", frame=0):
    for name in names:
        predictor.add_prompt(name, frame, points=[POINTS[name]])
    return predictor


def assert_close(one, other):
    assert (one.frame, one.object_ids) == (other.frame, other.object_ids)
    torch.testing.assert_close(one.logits, other.logits, atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(one.object_score, other.object_score, atol=1e-3, rtol=1e-3)


def test_objects_are_found_in_all_frames_after_the_prompt(track):
    predictor = prompted(track())
    found = list(predictor.propagate())
    assert [objects.frame for objects in found] == [0, 1, 2, 3, 4, 5]
    assert all(objects.object_ids == ("a", "b", "c") for objects in found)
    assert found[3].masks.shape == (3, 48, 64)
    assert found[3].masks.dtype == bool


def test_objects_in_a_batch_are_tracked_as_each_alone(track):
    together = list(prompted(track()).propagate())
    for i, name in enumerate(POINTS):
        for many, one in zip(together, prompted(track(), name).propagate(), strict=True):
            torch.testing.assert_close(many.logits[i], one.logits[0], atol=5e-3, rtol=1e-3)


def test_the_result_does_not_depend_on_the_size_of_batches(track):
    pairs = zip(
        prompted(track(objects_per_batch=1)).propagate(), prompted(track(objects_per_batch=2)).propagate(), strict=True
    )
    for one, two in pairs:
        assert_close(one, two)


def test_a_frame_is_encoded_once_for_all_objects(track, small_frames):
    predictor = prompted(track())
    list(predictor.propagate())
    assert predictor.frames.encoded == len(small_frames)


def test_an_object_added_on_a_later_frame_is_tracked_backwards_too(track):
    predictor = track()
    predictor.add_prompt("late", 3, box=(10, 10, 40, 30))
    assert [objects.frame for objects in predictor.propagate()] == [3, 4, 5]
    assert [objects.frame for objects in predictor.propagate(reverse=True)] == [3, 2, 1, 0]


def test_frames_before_the_prompt_are_found_from_the_future(track):
    predictor = prompted(track(), "a", frame=2)
    first = next(iter(predictor.propagate(0)))
    assert first.frame == 0
    assert torch.isfinite(first.logits).all()


def test_the_prompted_frame_is_returned_as_it_was_answered(track):
    predictor = track()
    answer = predictor.add_prompt("a", 1, points=[(20, 30), (40, 5)], labels=[1, 0])
    assert_close(next(iter(predictor.propagate())), answer)


def test_a_correction_is_kept_and_changes_the_frames_after_it(track):
    predictor = prompted(track(), "a")
    before = list(predictor.propagate())
    corrected = predictor.add_prompt("a", 2, points=[(60, 40)], labels=[0])
    after = list(predictor.propagate(2))
    assert not torch.allclose(corrected.logits, before[2].logits, atol=1e-3)
    assert_close(after[0], corrected)
    assert not torch.allclose(after[1].logits, before[3].logits, atol=1e-3)


def test_a_correction_starts_from_the_tracked_mask(track):
    predictor = prompted(track(), "a")
    list(predictor.propagate())
    corrected = predictor.add_prompt("a", 2, points=[(60, 40)])
    fresh = track().add_prompt("a", 2, points=[(60, 40)])
    assert not torch.allclose(corrected.logits, fresh.logits, atol=1e-3)


def test_points_on_a_frame_can_be_added(track):
    one, other = track(), track()
    for predictor in (one, other):
        predictor.add_prompt("a", 0, points=[(20, 30)])
    kept = one.add_prompt("a", 0, points=[(40, 5)], labels=[0], keep_points=True)
    whole = other.add_prompt("a", 0, points=[(20, 30), (40, 5)], labels=[1, 0])
    assert_close(kept, whole)


def test_a_given_mask_is_returned_and_tracked(track):
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:50] = True
    predictor = track()
    given = predictor.add_mask("m", 0, mask)
    assert (given.masks[0] == mask).mean() > 0.98
    assert float(given.object_score) == 10.0
    assert [objects.frame for objects in predictor.propagate(max_frames=2)] == [0, 1, 2]


def test_an_empty_mask_means_that_the_object_is_absent(track):
    given = track().add_mask("m", 0, np.zeros((48, 64), bool))
    assert float(given.object_score) == -10.0
    assert not given.masks.any()


def test_an_absent_object_has_an_empty_mask_and_stays_in_memory(track):
    predictor = prompted(track(small_sam2_network(score=-60.0)), "a")
    for objects in predictor.propagate():
        assert not objects.masks.any()
        assert float(objects.object_score) < 0


def test_the_first_version_tracks_as_well(track):
    net = small_sam2_network(replace(SMALL, is_first_version=True))
    assert len(list(prompted(track(net)).propagate())) == 6


def test_memory_does_not_grow_with_the_video(track, small_frames):
    predictor = prompted(track(frames=small_frames * 8, cached_frames=2), "ab")
    for _ in predictor.propagate():
        for memory in predictor._objects.values():
            assert len(memory.tracked) <= 16
    assert predictor.frames.encoded == 48
    assert len(predictor.frames._features) <= 2


def test_propagation_can_be_cancelled_and_taken_up_again(track):
    whole = [objects.logits for objects in prompted(track()).propagate()]
    predictor, calls = prompted(track()), iter(range(10))
    passed = [objects.logits for objects in predictor.propagate(cancelled=lambda: next(calls) == 3)]
    assert len(passed) == 3
    passed += [objects.logits for objects in predictor.propagate(3)]
    for one, other in zip(passed, whole, strict=True):
        torch.testing.assert_close(one, other, atol=5e-3, rtol=1e-3)


def test_objects_can_be_removed(track):
    predictor = prompted(track())
    predictor.remove_object("b")
    assert predictor.object_ids == ("a", "c")
    assert next(iter(predictor.propagate())).object_ids == ("a", "c")
    predictor.reset()
    assert predictor.object_ids == ()
    with pytest.raises(VideoError, match="object_id is 'b'"):
        predictor.remove_object("b")


def test_grey_frames_are_taken(track, small_frames):
    grey = [frame[..., 0] for frame in small_frames]
    rgb = [np.repeat(frame[..., None], 3, 2) for frame in grey]
    one, other = (track(frames=frames).add_prompt("a", 0, points=[(20, 30)]) for frames in (grey, rgb))
    assert_close(one, other)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"frame": 6}, "frame is 6, and the video has 6 frames; give an index from 0 to 5"),
        ({"frame": -1}, "frame is -1"),
        ({"points": None}, "the prompt is empty; give points, a box, or both"),
        ({"points": [1, 2, 3]}, "give finite pairs x, y"),
        ({"points": [(1, np.nan)]}, "give finite pairs x, y"),
        ({"labels": [2]}, r"labels is \[2\]; give 0 or 1 for each point"),
        ({"labels": [1, 0]}, "give 0 or 1 for each point"),
        ({"box": (9, 9, 3, 20)}, r"box is \(9, 9, 3, 20\); give x0, y0, x1, y1"),
    ],
)
def test_wrong_prompts_are_refused_and_add_no_object(track, keywords, message):
    predictor = track()
    with pytest.raises(VideoError, match=message):
        predictor.add_prompt("a", **({"frame": 0, "points": [(20, 30)]} | keywords))
    assert predictor.object_ids == ()


def test_wrong_videos_and_runs_are_refused(track):
    with pytest.raises(VideoError, match="the video has no frames"):
        track(frames=[])
    with pytest.raises(VideoError, match=r"frame 0 is float64 of shape \(4, 5, 3\); give uint8 frames"):
        track(frames=[np.zeros((4, 5, 3))]).add_prompt("a", 0, points=[(1, 1)])
    with pytest.raises(VideoError, match=r"mask has the shape \(3, 3\), and frame 0 has \(48, 64\)"):
        track().add_mask("a", 0, np.ones((3, 3)))
    with pytest.raises(VideoError, match="no object has a prompt; call add_prompt"):
        track().propagate()
    with pytest.raises(VideoError, match="max_frames is -1"):
        prompted(track()).propagate(max_frames=-1)
    with pytest.raises(SettingsError, match="history_frames"):
        VideoSettings(history_frames=3)


def test_a_network_without_a_memory_is_refused(small_frames):
    with pytest.raises(VideoError, match=r"the network is 'vit_t', which has no memory; give one of load_sam2"):
        Sam2VideoPredictor(build_sam("vit_t"), small_frames)
