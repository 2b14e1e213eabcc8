"""The predictor on stacks of arrays, with a network that makes no mistakes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam import MaskPrompt, Predictor, open_image
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.errors import ImageError, NoImageError, PromptError
from src_models.networks.mask_decoder import DecodedMasks

PLANES = 9


class GreyRunner:
    """Answers with everything as grey as the prompted place; its embedding is the window's pixels."""

    kind, img_size, device, dtype = "grey", 256, torch.device("cpu"), torch.float32
    has_dense = has_judge = False
    one_window = staticmethod(nullcontext)
    net = None

    def __init__(self):
        self.encoded = 0

    def encode(self, images):
        self.encoded += 1
        padded = torch.zeros(256, 256)
        pixels = torch.from_numpy(images[0][..., 0].astype(np.float32))
        padded[: pixels.shape[0], : pixels.shape[1]] = pixels
        return torch.nn.functional.pixel_unshuffle(padded.view(1, 1, 256, 256), 4)

    def decode(self, embedding, prompts, masks=None, multimask=True, info=None):
        grey = torch.nn.functional.pixel_shuffle(embedding, 4)[0, 0]
        found = []
        for coords, labels in prompts:
            x, y = coords[0] if 1 in labels else coords.mean(0)
            wanted = grey[int(np.clip(y, 0, 255)), int(np.clip(x, 0, 255))]
            found.append(20 - (grey - wanted).abs())
        logits = torch.stack(found)[:, None].repeat(1, 3 if multimask else 1, 1, 1)
        return DecodedMasks(logits, torch.full(logits.shape[:2], 0.9))


def two_discs(dtype=np.uint8, scale=1):
    """Two discs of different grey that touch and drift through the planes, and their labels."""
    ys, xs = np.indices((150, 160))
    labels = np.zeros((PLANES, 150, 160), np.uint8)
    for z in range(PLANES):
        labels[z][np.hypot(ys - 60 - 3 * z, xs - 50 - 2 * z) < 20] = 1
        labels[z][np.hypot(ys - 60 - 3 * z, xs - 88 - 2 * z) < 18 + z / 2] = 2
    return np.choose(labels, [20, 120, 200]).astype(dtype) * dtype(scale), labels


@pytest.fixture
def predictor():
    return Predictor(LoadedModel("grey", GreyRunner(), "grey"))


def ious(propagation, labels, label):
    truth = labels == label
    found = propagation.volume(labels.shape)
    return [(f & t).sum() / (f | t).sum() for f, t in zip(found, truth, strict=True)]


def test_one_click_gives_a_touching_object_on_every_plane(predictor):
    pixels, labels = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    found = predictor.propagate(points=[(4, 72, 58)])
    assert found.planes == tuple(range(PLANES))
    assert min(ious(found, labels, 1)) > 0.95
    assert (found.axis, found.prompted, found.index(3)) == ("z", (4,), (3,))
    assert found.volume().shape == (PLANES, *(found.bbox[i + 3] - found.bbox[i] for i in (1, 2)))


def test_two_objects_share_what_the_network_sees(predictor):
    pixels, labels = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    one, two = predictor.propagate_many([{"points": [(4, 72, 58)]}, {"box": (4, 50, 78, 94, 118)}])
    assert predictor.runner.encoded == PLANES + 2 * 2 * 2  # and both ends of both objects seen from two sides
    assert min(ious(one, labels, 1)) > 0.95
    assert min(ious(two, labels, 2)) > 0.92  # a click on one plane gives no more: the edge is between two greys


def test_the_image_of_the_predictor_stays_at_its_plane(predictor):
    pixels, _ = two_discs()
    image = open_image(pixels, axes="zyx").with_plane((2,), (0,))
    predictor.set_image(image)
    found = predictor.propagate(points=[(66, 54)])  # on the image's plane
    assert found.prompted == (2,)
    assert predictor.image.plane == (2,)


def test_a_movie_is_followed_along_time(predictor):
    pixels, labels = two_discs()
    predictor.set_image(open_image(pixels[:, None], axes="tzyx"))
    found = predictor.propagate(points=[(0, 60, 50)])
    assert found.axis == "t"
    assert found.index(5) == (5, 0)
    assert min(ious(found, labels, 1)) > 0.95


def test_one_normalisation_serves_all_planes(predictor):
    pixels, labels = two_discs(np.uint16, 100)
    pixels[0] = 0  # the plane that the predictor looks at says nothing about contrast
    predictor.set_image(open_image(pixels, axes="zyx"))
    found = predictor.propagate(points=[(4, 72, 58)])
    assert min(ious(found, labels, 1)[1:]) > 0.95


def test_a_correction_replaces_the_object_from_its_plane_on(predictor):
    pixels, labels = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    wrong = predictor.propagate(points=[(0, 60, 88)], planes=range(PLANES))
    mask = MaskPrompt(labels[4] == 1, (0, 0, *labels.shape[1:]))
    corrected = predictor.repropagate(wrong, 4, mask=mask)
    assert corrected.prompted == (0, 4)
    assert min(ious(corrected, labels, 1)[4:]) > 0.95
    assert corrected.records[0].score == wrong.records[0].score


def test_a_point_corrects_the_mask_of_its_plane(predictor):
    pixels, labels = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    found = predictor.propagate(points=[(4, 72, 58)])
    again = predictor.repropagate(found, 6, points=[(78, 62)])
    assert again.prompted == (4, 6)
    assert min(ious(again, labels, 1)) > 0.95


def test_a_background_point_alone_corrects_where_there_is_a_mask(predictor):
    pixels, labels = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    found = predictor.propagate(points=[(4, 72, 58)])
    again = predictor.repropagate(found, 6, points=[(20, 20)], point_labels=[0])
    assert again.prompts[6].point_labels == (0,)
    assert again.prompts[6].mask is not None
    assert min(ious(again, labels, 1)[:5]) > 0.95
    short = predictor.propagate(points=[(4, 72, 58)], planes=range(3, 6))
    with pytest.raises(PromptError, match="only background points"):
        predictor.repropagate(short, 6, points=[(20, 20)], point_labels=[0], planes=range(3, 8))


def test_an_object_is_removed_where_it_is_not(predictor):
    pixels, _ = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    found = predictor.propagate(points=[(2, 66, 54), (6, 78, 62)])
    assert found.planes == tuple(range(PLANES))
    assert found.without(7).planes == (0, 1, 2, 3, 4, 5, 6)
    assert found.without(7).stopped == {"forward": "plane 7: removed by hand"}
    assert found.without(1).planes == (2, 3, 4, 5, 6, 7, 8)
    between = found.without(4)
    assert between.planes == (0, 1, 2, 3, 5, 6, 7, 8)
    assert between.missing == {4: "removed by hand"}
    assert found.without(6).prompted == (2,)
    with pytest.raises(PromptError, match="the only one with a prompt"):
        found.without(6).without(2)
    with pytest.raises(PromptError, match="plane 7: the object is not there"):
        found.without(7).without(7)


def test_a_correction_is_not_carried_beyond_a_plane_that_the_object_was_removed_from(predictor):
    pixels, _ = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    shorter = predictor.propagate(points=[(4, 72, 58)]).without(7)
    corrected = predictor.repropagate(shorter, 6, points=[(78, 62)])
    assert corrected.planes == tuple(range(7))
    assert corrected.stopped["forward"] == "plane 7: removed by hand"
    longer = predictor.repropagate(corrected, 7, points=[(81, 64)])
    assert longer.planes == tuple(range(PLANES))
    assert "forward" not in longer.stopped


def test_an_object_without_prompts_ends_on_the_side_of_the_removed_plane(predictor):
    pixels, _ = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    saved = replace(predictor.propagate(points=[(4, 72, 58)]), prompts={})
    assert saved.without(7).planes == tuple(range(7))
    assert saved.without(2).planes == tuple(range(3, PLANES))


def test_the_weakest_plane_has_no_prompt(predictor):
    pixels, _ = two_discs()
    predictor.set_image(open_image(pixels, axes="zyx"))
    found = predictor.propagate(points=[(4, 72, 58)])
    assert found.weakest != 4
    assert found.scores[found.weakest] == min(s for p, s in found.scores.items() if p != 4)


def test_an_image_of_one_plane_is_refused(predictor):
    predictor.set_image(np.zeros((40, 40), np.uint8))
    with pytest.raises(ImageError, match="one plane only"):
        predictor.propagate(points=[(0, 5, 5)])


def test_swapped_axes_are_named(predictor):
    predictor.set_image(open_image(two_discs()[0], axes="zyx"))
    with pytest.raises(ImageError, match=r"axis is 't'; .* 9 planes along z"):
        predictor.propagate(points=[(0, 5, 5)], axis="t")


def test_without_an_image_nothing_is_followed(predictor):
    with pytest.raises(NoImageError):
        predictor.propagate(points=[(0, 5, 5)])


def test_of_several_prompts_the_bad_one_is_named(predictor):
    predictor.set_image(open_image(two_discs()[0], axes="zyx"))
    with pytest.raises(PromptError, match="prompt 1: plane 12 does not exist"):
        predictor.propagate_many([{"points": [(0, 5, 5)]}, {"points": [(12, 5, 5)]}])


def test_a_plane_without_the_object_is_named(predictor):
    predictor.set_image(open_image(two_discs()[0], axes="zyx"))
    found = predictor.propagate(points=[(4, 72, 58)], planes=range(3, 6))
    with pytest.raises(PromptError, match="plane 8: the object is not there; choose one of its planes, 3 to 5"):
        found.mask(8)
