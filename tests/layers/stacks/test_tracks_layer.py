"""Tracks and lineages of the objects of a movie."""

from __future__ import annotations

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.io.labels.journal.rows import ObjectPlane
from napari_sam.layers.stacks.tracks_layer import lineage_graph, show_tracks, track_data


def test_an_object_on_several_depth_planes_of_a_frame_is_one_point_weighted_by_area():
    parts = [ObjectPlane(3, (0, 1), 30, Box(0, 0, 1, 1)), ObjectPlane(3, (0, 5), 10, Box(8, 0, 9, 1))]
    assert track_data(parts, 0).tolist() == [[3, 0, 2, 2, 0]]


def test_rows_are_sorted_by_object_and_frame():
    parts = [ObjectPlane(label, (frame,), 4, Box(0, 0, 2, 2)) for label, frame in ((2, 1), (1, 3), (1, 0), (2, 0))]
    assert track_data(parts, 0)[:, :2].tolist() == [[1, 0], [1, 3], [2, 0], [2, 1]]


def test_tracks_are_updated_in_the_same_layer_and_removed_without_objects(viewer):
    image = viewer.add_image(np.zeros((4, 9, 9)), scale=(1, 2, 2), name="movie")
    first = np.array([[1, 0, 3, 3], [1, 1, 4, 4], [2, 2, 5, 5], [2, 3, 5, 5]], float)
    tracks = show_tracks(viewer, image, None, first, {2: [1]})
    assert tracks.scale.tolist() == [1, 2, 2]
    assert show_tracks(viewer, image, tracks, first[:2], {}) is tracks
    assert (len(tracks.data), tracks.graph) == (2, {})
    assert show_tracks(viewer, image, tracks, np.zeros((0, 0)), {}) is None
    assert viewer.layers == [image]


def test_a_parent_without_pixels_is_no_part_of_the_graph():
    assert lineage_graph({1: None, 2: 1, 3: 9}, [1, 2, 3]) == {2: [1]}
