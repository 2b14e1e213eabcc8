import numpy as np
import pytest

from napari_sam.engine.linking.frame_candidates import default_reach
from napari_sam.engine.linking.link_frames import link_frames
from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.engine.linking.plane_objects import NodeTable
from tests.engine.linking.drawn import numbers, tables


def test_objects_that_move_less_than_their_spacing_are_followed():
    frames = [[(20 + 6 * t, 20, 5), (20 + 6 * t, 45, 5), (80 - 6 * t, 70, 5)] for t in range(6)]
    assert numbers(link_frames(*tables(frames))) == [[1, 2, 3]] * 6


def test_the_order_of_the_ids_in_a_frame_does_not_matter():
    a, b = (30, 30, 6), (30, 60, 6)
    assert numbers(link_frames(*tables([[a, b], [b, a]]))) == [[1, 2], [2, 1]]


def test_two_neighbours_that_move_together_do_not_swap():
    # The nearest object of the next frame is the neighbour's; only both moves together are plausible.
    frames = [[(50, 30, 5), (50, 42, 5)], [(50, 37, 5), (50, 49, 5)]]
    assert numbers(link_frames(*tables(frames))) == [[1, 2], [1, 2]]


def test_a_frame_in_which_an_object_is_missing_is_a_gap():
    a, b = (30, 30, 6), (70, 70, 6)
    links = link_frames(*tables([[a, b], [b], [(32, 31, 6), b]]))
    assert numbers(links) == [[1, 2], [2], [1, 2]]
    assert links.gaps == 1


def test_an_object_that_appears_is_a_new_one():
    a, b = (30, 30, 6), (70, 70, 6)
    links = link_frames(*tables([[a], [a, b], [a, b]]))
    assert numbers(links) == [[1], [1, 2], [1, 2]]
    assert links.parents == {}


def test_the_two_halves_of_an_object_are_its_children():
    mother, left, right = (50, 50, 10), (50, 42, 7), (50, 58, 7)
    links = link_frames(*tables([[mother], [mother], [left, right], [left, right]]))
    assert numbers(links) == [[1], [1], [2, 3], [2, 3]]
    assert links.parents == {2: 1, 3: 1}


def test_without_divisions_the_mother_goes_on_as_one_half():
    mother, left, right = (50, 50, 10), (50, 43, 7), (50, 58, 7)
    links = link_frames(*tables([[mother], [left, right]]), FrameLinking(divisions=False))
    assert numbers(links) == [[1], [1, 2]]
    assert links.parents == {}


def test_a_small_newcomer_beside_a_large_object_is_no_daughter():
    a = (50, 50, 12)
    links = link_frames(*tables([[a], [a, (50, 66, 3)]]))
    assert links.parents == {}
    assert numbers(links)[1][0] == 1


def test_nothing_is_linked_beyond_the_farthest_move():
    frames = [[(20, 20, 5)], [(20, 60, 5)]]
    assert numbers(link_frames(*tables(frames))) == [[1], [2]]
    assert numbers(link_frames(*tables(frames), FrameLinking(max_distance_px=50.0))) == [[1], [1]]


def test_tracks_of_few_frames_can_be_left_out_but_not_lineages():
    mother, left, right = (50, 50, 10), (50, 42, 7), (50, 58, 7)
    links = link_frames(*tables([[mother, (10, 10, 4)], [left, right]]), FrameLinking(min_frames=2))
    assert numbers(links) == [[1, 0], [2, 3]]


@pytest.mark.parametrize("frames", [[], [[]], [[], [], []], [[(30, 30, 6)]], [[], [(30, 30, 6)], []]])
def test_empty_movies_and_frames_are_linked(frames):
    links = link_frames(*tables(frames))
    assert links.count == sum(map(len, frames))


def test_the_default_move_follows_from_the_size_of_the_objects():
    objects, _ = tables([[(30, 30, 10)]])
    assert default_reach(NodeTable(objects)) == pytest.approx(1.5 * 20 + 1, rel=0.05)


def test_the_same_movie_is_linked_the_same_way_again():
    rng = np.random.default_rng(1)
    frames = [[(*rng.uniform(0, 100, 2), rng.uniform(3, 7)) for _ in range(12)] for _ in range(5)]
    assert numbers(link_frames(*tables(frames))) == numbers(link_frames(*tables(frames)))
