"""How an object looks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.propagation.carriers.appearance import appearance_of

DISC = np.hypot(*(np.indices((60, 60)) - 30)) < 12


def picture(rng, inside, outside=60.0):
    return (np.where(DISC, inside, outside) + rng.normal(0, 8, DISC.shape)).clip(0, 255).astype(np.float32)


def test_an_object_is_similar_to_itself(rng):
    reference = appearance_of(picture(rng, 160), DISC)
    assert appearance_of(picture(rng, 160), DISC).similarity(reference) > 0.8


def test_an_object_that_fades_is_less_and_less_similar(rng):
    reference = appearance_of(picture(rng, 160), DISC)
    similar = [appearance_of(picture(rng, grey), DISC).similarity(reference) for grey in (160, 110, 60)]
    assert similar == sorted(similar, reverse=True)
    assert similar[-1] < 0.25


def test_a_mask_that_is_a_pixel_off_is_similar_also_without_noise():
    clean = np.where(DISC, 200, 0).astype(np.float32)
    wider = np.hypot(*(np.indices((60, 60)) - 30)) < 13
    assert appearance_of(clean, wider).similarity(appearance_of(clean, DISC)) == 1


def test_an_object_that_turns_dark_is_not_similar(rng):
    reference = appearance_of(picture(rng, 160), DISC)
    assert appearance_of(picture(rng, 20), DISC).similarity(reference) == 0


def test_objects_like_their_surroundings_stay_similar(rng):
    """In electron micrographs, neighbours look alike."""
    reference = appearance_of(picture(rng, 61), DISC)
    assert appearance_of(picture(rng, 58), DISC).similarity(reference) > 0.6


@pytest.mark.parametrize("mask", [np.zeros((60, 60), bool), np.ones((60, 60), bool)])
def test_a_mask_without_inside_or_surroundings_can_be_measured(rng, mask):
    assert appearance_of(picture(rng, 160), mask).contrast == 0
