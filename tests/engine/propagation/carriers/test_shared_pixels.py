"""Pixels that several objects claim."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carriers.shared_pixels import Claim, separate


def claim(box, expected):
    return Claim(np.ones(Box(*box).shape, bool), Box(*box), (np.ones(Box(*expected).shape, bool), Box(*expected)))


def placed(masks, claims):
    out = np.zeros((40, 60), int)
    for i, mask in masks.items():
        out[claims[i].box.slices] += mask * (i + 1)
    return out


def test_shared_pixels_go_to_the_object_that_was_expected_there():
    claims = {0: claim((0, 0, 20, 30), (0, 0, 20, 20)), 1: claim((0, 15, 20, 40), (0, 20, 20, 40))}
    masks, merged = separate(claims)
    found = placed(masks, claims)
    assert not merged
    assert (found[:20, :20] == 1).all()
    assert (found[:20, 20:40] == 2).all()


def test_objects_apart_keep_their_masks():
    claims = {0: claim((0, 0, 10, 10), (0, 0, 10, 10)), 1: claim((0, 10, 10, 20), (0, 10, 10, 20))}
    masks, merged = separate(claims)
    assert all(masks[i] is claims[i].mask for i in claims)
    assert not merged


def test_objects_that_ran_together_are_named_and_separated():
    both = (0, 0, 20, 40)
    claims = {0: claim(both, (0, 0, 20, 20)), 1: claim(both, (0, 20, 20, 40)), 2: claim((30, 0, 35, 5), (30, 0, 35, 5))}
    masks, merged = separate(claims)
    found = placed(masks, claims)
    assert merged == {0, 1}
    assert (found[:20, :20] == 1).all()
    assert (found[:20, 20:40] == 2).all()
    assert masks[2].all()


def test_of_three_objects_each_pixel_belongs_to_one():
    claims = {i: claim((0, 10 * i, 20, 10 * i + 30), (0, 10 * i + 8, 20, 10 * i + 18)) for i in range(3)}
    masks, _ = separate(claims)
    total = np.zeros((20, 60), int)
    for i, mask in masks.items():
        total[claims[i].box.slices] += mask
    assert total[:, :50].max() == total[:, :50].min() == 1


def test_objects_that_were_one_before_both_keep_their_pixels():
    same = (0, 0, 20, 20)
    claims = {0: claim(same, same), 1: claim(same, same)}
    masks, merged = separate(claims)
    assert merged == {0, 1}
    assert masks[0].all()
    assert masks[1].all()
