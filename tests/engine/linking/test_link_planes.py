import numpy as np
import pytest

from napari_sam.engine.linking.link_planes import link_planes
from napari_sam.engine.linking.link_settings import PlaneLinking
from napari_sam.errors import SettingsError
from tests.engine.linking.drawn import numbers, tables


def test_an_object_keeps_its_number_whatever_its_id_in_each_plane():
    a, b = (30, 30, 10), (70, 70, 10)
    assert numbers(link_planes(*tables([[a, b], [b, a], [a, b]]))) == [[1, 2], [2, 1], [1, 2]]


def test_a_plane_in_which_an_object_is_missing_is_a_gap():
    a, b = (30, 30, 10), (70, 70, 10)
    links = link_planes(*tables([[a, b], [b], [a, b]]))
    assert numbers(links) == [[1, 2], [2], [1, 2]]
    assert links.gaps == 1


def test_without_gaps_the_object_beyond_is_another():
    a, b = (30, 30, 10), (70, 70, 10)
    links = link_planes(*tables([[a, b], [b], [a, b]]), PlaneLinking(max_gap=0))
    assert numbers(links) == [[1, 2], [2], [3, 2]]
    assert links.count == 3


def test_a_plane_that_could_not_be_segmented_is_bridged():
    a = (30, 30, 10)
    objects, overlaps = tables([[a], [a], [a]])
    kept = [o for o in overlaps if 1 not in (o.first_plane, o.second_plane)]
    links = link_planes([objects[0], objects[2]], kept)
    assert {p: n.tolist() for p, n in links.numbers.items()} == {0: [1], 2: [1]}


def test_the_assignment_takes_the_larger_total_where_greedy_takes_the_largest_pair():
    # The object in the middle of the second plane overlaps most with the right one of the first plane, whose own
    # successor is then left over; together the two other links are better.
    first, second = [(50, 30, 12), (50, 57, 12)], [(50, 46, 12), (50, 70, 12)]
    assert numbers(link_planes(*tables([first, second]), PlaneLinking(min_overlap=0.1)))[1] == [1, 2]
    greedy = link_planes(*tables([first, second]), PlaneLinking("greedy", min_overlap=0.1))
    assert numbers(greedy)[1] == [2, 3]


def test_objects_that_hardly_overlap_are_not_linked():
    assert numbers(link_planes(*tables([[(30, 30, 10)], [(30, 47, 10)]]))) == [[1], [2]]


def test_the_cap_of_an_object_is_linked_although_its_iou_is_small():
    links = link_planes(*tables([[(50, 50, 20)], [(50, 50, 7)]]))
    assert numbers(links) == [[1], [1]]


def test_a_speck_inside_an_object_that_goes_on_is_not_linked_to_it():
    links = link_planes(*tables([[(50, 50, 20)], [(50, 50, 20), (50, 50, 3)]]))
    assert numbers(links) == [[1], [1, 2]]


def test_different_objects_above_each_other_are_not_linked_across_a_gap():
    links = link_planes(*tables([[(50, 50, 20)], [], [(50, 60, 12)]]))
    assert links.count == 2


def test_objects_of_few_planes_can_be_left_out():
    a, b = (30, 30, 10), (70, 70, 10)
    links = link_planes(*tables([[b, a], [a], [a]]), PlaneLinking(min_planes=2))
    assert numbers(links) == [[0, 1], [1], [1]]


@pytest.mark.parametrize("planes", [[], [[]], [[], []], [[(30, 30, 10)]]])
def test_empty_stacks_and_stacks_of_one_plane_are_linked(planes):
    links = link_planes(*tables(planes))
    assert links.count == sum(map(len, planes))


def test_the_result_does_not_depend_on_the_order_of_the_tables():
    rng = np.random.default_rng(0)
    planes = [[(*rng.uniform(0, 100, 2), rng.uniform(3, 9)) for _ in range(15)] for _ in range(6)]
    objects, overlaps = tables(planes)
    assert numbers(link_planes(objects[::-1], overlaps[::-1])) == numbers(link_planes(objects, overlaps))


def test_a_wrong_threshold_is_named():
    with pytest.raises(SettingsError, match="min_overlap is 0"):
        PlaneLinking(min_overlap=0.0)
