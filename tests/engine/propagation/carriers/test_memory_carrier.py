"""Objects carried by the memory of SAM 2: as the video predictor follows them, in windows, and several at once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import Predictor, open_image
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.errors import CancelledError, PromptError
from src_models.networks.sam import build_sam
from src_models.video.video_predictor import Sam2VideoPredictor
from tests.src_models.small_sam2 import small_sam2_network

LENIENT = PropagationSettings(least_score=0.0, gap=99)


@pytest.fixture(scope="module")
def net():
    """A network of 128 x 128 pixels with random weights."""
    return small_sam2_network()


@pytest.fixture(scope="module")
def movie():
    """Seven frames of a moving texture, (7, 60, 110, 3)."""
    image = np.random.default_rng(4).integers(0, 256, (60, 110, 3), dtype=np.uint8)
    return np.stack([np.roll(image, (2 * t, 3 * t), (0, 1)) for t in range(7)])


def stack_predictor(net, stack, axes="tyxc"):
    predictor = Predictor(net, device="cpu", precision="float32")
    predictor.set_image(open_image(stack, axes=axes))
    return predictor


@pytest.fixture
def predictor(net, movie):
    """A predictor that looks at the movie."""
    return stack_predictor(net, movie)


def whole(found, plane, shape=(60, 110)):
    """Return a mask of the whole plane."""
    return found.volume((7, *shape))[plane]


def test_a_movie_is_followed_as_by_the_video_predictor(net, movie, predictor):
    prompts = [{"points": [(2, 20, 30)]}, {"box": (2, 10, 40, 50, 90)}]
    found = predictor.propagate_many(prompts, settings=LENIENT)
    video = Sam2VideoPredictor(net, list(movie), device="cpu", precision="float32")
    video.add_prompt(0, 2, points=[(30, 20)])
    video.add_prompt(1, 2, box=(40, 10, 90, 50))
    compared = 0
    for objects in [*video.propagate(), *list(video.propagate(2, reverse=True))[1:]]:
        for i, mask in enumerate(objects.masks):
            if objects.frame in found[i].planes:
                assert (whole(found[i], objects.frame) != mask).sum() <= 3
                compared += 1
    assert compared == 14


def test_only_models_with_a_memory_carry_by_memory(movie):
    predictor = stack_predictor(build_sam("vit_t"), movie)
    with pytest.raises(PromptError, match=r"carry is 'memory', and the model 'vit_t' has none; use 'prompt', or a SAM"):
        predictor.propagate(points=[(2, 20, 30)], carry="memory")


def test_prompts_on_several_planes_guide_each_other_as_in_the_video_predictor(net, movie, predictor):
    found = predictor.propagate(points=[(1, 20, 30), (5, 40, 90)], settings=LENIENT)
    video = Sam2VideoPredictor(net, list(movie), device="cpu", precision="float32")
    video.add_prompt(0, 1, points=[(30, 20)])
    video.add_prompt(0, 5, points=[(90, 40)])
    expected = {objects.frame: objects.masks[0] for objects in video.propagate(1)}
    assert found.prompted == (1, 5)
    for plane, mask in expected.items():
        assert plane not in found.planes or (whole(found, plane) != mask).sum() <= 3
    alone = predictor.propagate(points=[(1, 20, 30)], settings=LENIENT)
    assert (whole(found, 3) != whole(alone, 3)).sum() > 20


def test_a_correction_is_kept_and_limited_by_other_prompts(predictor):
    found = predictor.propagate(points=[(0, 20, 30), (6, 30, 50)], settings=LENIENT)
    mask = np.zeros((60, 110), bool)
    mask[15:40, 20:60] = True
    corrected = predictor.repropagate(found, 3, mask=mask, settings=LENIENT)
    np.testing.assert_array_equal(whole(corrected, 3), mask)
    assert corrected.prompted == (0, 3, 6)
    for plane in (0, 6):
        np.testing.assert_array_equal(whole(corrected, plane), whole(found, plane))
    assert (whole(corrected, 4) != whole(found, 4)).any()


def test_some_planes_are_a_movie_of_their_own(net, movie, predictor):
    found = predictor.propagate(points=[(2, 20, 30)], planes=range(2, 7, 2), settings=LENIENT)
    video = Sam2VideoPredictor(net, list(movie[2::2]), device="cpu", precision="float32")
    video.add_prompt(0, 0, points=[(30, 20)])
    expected = [objects.masks[0] for objects in video.propagate()]
    for plane in found.planes:
        assert (whole(found, plane) != expected[(plane - 2) // 2]).sum() <= 3


def test_a_stack_of_one_plane_and_grey_planes_are_followed(net, movie):
    grey = movie[..., 0]
    assert stack_predictor(net, grey[:1], axes="zyx").propagate(points=[(0, 20, 30)]).planes == (0,)
    found = stack_predictor(net, grey, axes="tyx").propagate(points=[(3, 20, 30)], settings=LENIENT)
    assert 3 in found.planes


def test_a_cancelled_run_stops_between_planes(predictor):
    calls = iter(range(30))
    with pytest.raises(CancelledError):
        predictor.propagate(points=[(0, 20, 30)], settings=LENIENT, cancelled=lambda: next(calls) > 4)


def test_half_precision_follows_objects_too(net, movie):
    predictor = Predictor(net, device="cpu", precision="bfloat16")
    predictor.set_image(open_image(movie, axes="tyxc"))
    found = predictor.propagate_many([{"points": [(2, 20, 30)]}, {"box": (2, 10, 40, 50, 90)}], settings=LENIENT)
    single = stack_predictor(net, movie).propagate(box=(2, 10, 40, 50, 90), settings=LENIENT)
    assert found[1].planes == single.planes
    assert (whole(found[1], 2) != whole(single, 2)).mean() < 0.05
