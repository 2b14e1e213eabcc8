"""Where objects end that lie behind each other without a gap, with a network that tells grey values apart."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam import Predictor, open_image
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from tests.test_stack_predictor import GreyRunner

PLANES, FIRST = 24, 10
NO_SIDE_VIEWS = PropagationSettings(side_views=False)


def behind_each_other(second=150, drift=3.0):
    """A disc on the first planes, and without a gap another one behind it, whose grey value is little higher."""
    ys, xs = np.indices((150, 160))
    planes = np.full((PLANES, 150, 160), 20, np.uint8)
    for z in range(PLANES):
        planes[z][np.hypot(ys - 45 - drift * z, xs - 50 - drift * z) < 20] = 120 if z < FIRST else second
    return planes


def follow(stack, prompts, axes="zyx", **options):
    predictor = Predictor(LoadedModel("grey", GreyRunner(), "grey"))
    predictor.set_source(open_image(stack, axes=axes))
    return predictor, predictor.propagate(points=prompts, **options)


def click(plane, drift=3.0):
    return (plane, 45 + drift * plane, 50 + drift * plane)


@pytest.mark.parametrize("drift", [0.0, 3.0])
def test_an_object_ends_where_another_one_begins_behind_it(drift):
    planes = behind_each_other(drift=drift)
    _, ran_on = follow(planes, [click(4, drift)], settings=NO_SIDE_VIEWS)
    assert ran_on.planes == tuple(range(PLANES))  # plane by plane nothing tells them apart
    _, found = follow(planes, [click(4, drift)])
    assert found.planes == tuple(range(FIRST))
    assert found.stopped == {"forward": f"plane {FIRST}: it ends there in its side views"}


def test_both_directions_end():
    planes = behind_each_other()[::-1]
    predictor = Predictor(LoadedModel("grey", GreyRunner(), "grey"))
    predictor.set_source(open_image(np.ascontiguousarray(planes), axes="zyx"))
    plane = PLANES - 5
    found = predictor.propagate(points=[(plane, 45 + 3 * 4, 50 + 3 * 4)])
    assert found.planes == tuple(range(PLANES - FIRST, PLANES))
    assert "side views" in found.stopped["backward"]


def test_an_object_that_drifts_far_from_the_click_is_kept_whole():
    _, found = follow(behind_each_other(second=120), [click(4)])
    assert found.planes == tuple(range(PLANES))
    assert not found.stopped


def test_frames_of_a_movie_have_no_side_views():
    _, found = follow(behind_each_other(), [click(4)], axes="tyx")
    assert found.planes == tuple(range(PLANES))


def test_planes_that_are_given_up_are_reported_again_without_a_mask():
    seen = []
    _, found = follow(behind_each_other(), [click(4)], on_plane=seen.append)
    last = {report.plane: bool(report.mask.any()) for report in seen}
    assert tuple(plane for plane, present in sorted(last.items()) if present) == found.planes
    assert not last[FIRST]


def test_planes_between_prompts_belong_to_the_object():
    planes = behind_each_other()
    _, found = follow(planes, [click(4), click(18)])
    assert set(range(19)) <= set(found.planes)


def test_a_correction_gives_up_no_plane_that_was_known():
    predictor, ran_on = follow(behind_each_other(), [click(4)], settings=NO_SIDE_VIEWS)
    corrected = predictor.repropagate(ran_on, 5, box=(30, 40, 90, 95))
    assert corrected.planes == ran_on.planes


def test_few_planes_are_not_looked_at_from_the_side():
    _, found = follow(behind_each_other(), [click(8)], planes=range(6, 12))
    assert found.planes == tuple(range(6, 12))


def test_a_killed_run_ends_at_the_same_plane(tmp_path):
    planes, cancelled = behind_each_other(), iter([False] * 30 + [True] * 1000)
    folder = tmp_path / "run"
    with pytest.raises(Exception, match="cancelled"):
        follow(planes, [click(4)], resume_folder=folder, cancelled=lambda: next(cancelled))
    _, found = follow(planes, [click(4)], resume_folder=folder)
    assert found.planes == tuple(range(FIRST))
