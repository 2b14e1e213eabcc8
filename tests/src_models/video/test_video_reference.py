"""Tracking with the tiny network against outputs of the official video predictor."""

from __future__ import annotations

import numpy as np
import pytest

from src_models.video.video_predictor import Sam2VideoPredictor

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recorded(shared):
    """The recording."""
    return np.load(shared / "reference" / "sam2.1_tiny_video.npz")


@pytest.fixture(scope="module")
def make(filled_sam2, recorded):
    """A function that makes a predictor on the recorded video."""
    frames = [np.roll(recorded["image"], tuple(shift), (0, 1)) for shift in recorded["shifts"]]

    def predictor(**how):
        net = filled_sam2("sam2.1_tiny", **how)
        return Sam2VideoPredictor(net, frames, device="cpu", precision="float32")

    return predictor


def assert_recorded(recorded, step, objects, predictor):
    """Compare the objects of a frame.

    Binarised masks become memory: rounding of float32 flips single pixels of it where logits are close to zero, which
    moves pointers and logits of later frames by a few thousandths. (The network itself is as precise as float32 allows:
    logits of a click are within 2e-4 of those in float64, yet four of a million pixels differ.) A correction starts
    from such logits and multiplies the difference by up to five; the bars are four times as wide from there on. Every
    mistake that was tried when the recording was made moves logits by 0.48 or more.
    """
    compared, wide = 0, 4.0 if step in ("correct", "again", "reverse") else 1.0
    for i, name in enumerate(objects.object_ids):
        key = f"{step}.f{objects.frame}.o{name}"
        if f"{key}.obj_ptr" not in recorded:
            continue
        compared += 1
        pointer = predictor._objects[name].latest(objects.frame).pointer
        np.testing.assert_allclose(objects.object_score[i], recorded[f"{key}.object_score"][0], atol=wide * 1e-3)
        np.testing.assert_allclose(pointer, recorded[f"{key}.obj_ptr"], atol=wide * 5e-3)
        np.testing.assert_allclose(objects.predicted_iou[i], recorded[f"{key}.iou"].max(), atol=wide * 1e-4)
        area = int(objects.masks[i].sum())
        np.testing.assert_allclose(area, recorded[f"{key}.mask_area"], atol=20, rtol=wide * 2e-3)
        if f"{key}.low_res_logits" in recorded:
            want = recorded[f"{key}.low_res_logits"][0].astype(np.float32)
            logits = objects.logits[i].numpy()
            np.testing.assert_allclose(logits, want, atol=wide * 2e-2)
            assert np.mean((logits > 0) == (want > 0)) >= 1 - wide * 1e-3
    return compared


@pytest.mark.timeout(1200)  # sixteen propagated objects at full size
def test_clicks_boxes_corrections_and_both_directions_match_the_official_code(recorded, make):
    predictor = make()
    compared = assert_recorded(recorded, "click", predictor.add_prompt(1, 0, points=[(60, 70)]), predictor)
    box = predictor.add_prompt(2, 1, box=(150, 20, 215.5, 80))
    compared += assert_recorded(recorded, "box", box, predictor)
    for objects in predictor.propagate():
        compared += assert_recorded(recorded, "forward", objects, predictor)
    corrected = predictor.add_prompt(1, 3, points=[(200.5, 150.25)], labels=[0])
    compared += assert_recorded(recorded, "correct", corrected, predictor)
    for objects in predictor.propagate(3):
        compared += assert_recorded(recorded, "again", objects, predictor)
    for objects in predictor.propagate(2, reverse=True):
        compared += assert_recorded(recorded, "reverse", objects, predictor)
    assert compared == 2 + 8 + 1 + 3 + 4
    assert predictor.frames.encoded == 6  # frame 0 was dropped from the cache of four, and encoded again


def test_a_given_mask_matches_the_official_code(recorded, make):
    predictor = make()
    given = predictor.add_mask(1, 0, recorded["mask.input"])
    compared = assert_recorded(recorded, "mask", given, predictor)
    for objects in predictor.propagate(max_frames=1):
        compared += assert_recorded(recorded, "mask", objects, predictor)
    assert compared == 3  # the given frame twice


def test_an_absent_object_matches_the_official_code(recorded, make):
    predictor = make(present=False)
    answer = predictor.add_prompt(1, 0, points=[(60, 70)])
    compared = assert_recorded(recorded, "absent", answer, predictor)
    for objects in predictor.propagate(max_frames=1):
        compared += assert_recorded(recorded, "absent", objects, predictor)
        tokens = predictor._objects[1].latest(objects.frame).tokens.float().T.reshape(64, 64, 64)[:, ::2, ::2]
        np.testing.assert_allclose(tokens, recorded[f"absent.f{objects.frame}.o1.maskmem"], atol=7e-2)
    assert compared == 3
