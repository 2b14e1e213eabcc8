"""Volumes and movies of a collection, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import EvaluationError, LabelsError
from napari_sam.evaluation.datasets.stacks.labelled_stacks import find_stack_samples, select_stack_objects
from tests.evaluation.experiments.stacks.stack_stubs import volume, write_stack


def test_volumes_and_movies_are_told_apart_by_their_axes(tmp_path):
    write_stack(tmp_path, volume(), "cells", "a", "ZYX")
    write_stack(tmp_path, volume(), "cells", "b", "TYX")
    write_stack(tmp_path, volume(), "others", "c", "QYX")  # unknown: whatever is asked for
    write_stack(tmp_path, volume()[0], "others", "d", "YX")
    notes = []
    volumes = find_stack_samples(tmp_path, "dev", "volume", None, notes)
    assert [sample.name for sample in volumes] == ["a", "c"]
    assert [sample.kind for sample in volumes] == ["volume", "volume"]
    assert any("b.labels.tif: is a movie, not a volume" in note for note in notes)
    assert any("d.labels.tif: is a single image, not a volume" in note for note in notes)
    assert [sample.name for sample in find_stack_samples(tmp_path, "dev", "movie", ["others"], [])] == ["c"]


def test_objects_know_their_planes_areas_and_boxes(tmp_path):
    write_stack(tmp_path, volume())
    (sample,) = find_stack_samples(tmp_path, "dev", "volume", None, [])
    truth = sample.read_stack()
    assert truth.shape == (6, 40, 60)
    bar, block = truth.objects
    assert (bar.label, bar.planes, bar.areas, bar.box) == (3, (0, 1, 2, 3, 4), (200,) * 5, (5, 5, 15, 25))
    assert (block.middle, block.voxels) == (3, 3 * 320)
    assert np.array_equal(truth.volume(block), volume()[:, 20:36, 30:50] == 8)
    assert [o.label for o in select_stack_objects(truth, None, 4)] == [3]
    assert [(t.id, t.begin, t.end) for t in truth.tracks.tracks] == [(3, 0, 4), (8, 2, 4)]


def test_the_lineage_of_a_movie_is_read_beside_it(tmp_path):
    folder = write_stack(tmp_path, volume(), axes="TYX")
    lineage = folder / "a.tracks.txt"
    lineage.write_text("3 0 1 0\n8 2 4 3\n")
    (sample,) = find_stack_samples(tmp_path, "dev", "movie", None, [])
    assert sample.read_stack().tracks.tracks[1].parent == 3
    lineage.write_text("3 0 1\n")
    with pytest.raises(LabelsError, match=r"a\.tracks\.txt, line 1"):
        sample.read_stack()


def test_labels_that_are_no_whole_numbers_are_named(tmp_path):
    write_stack(tmp_path, volume().astype(np.float32))
    (sample,) = find_stack_samples(tmp_path, "dev", "volume", None, [])
    with pytest.raises(EvaluationError, match=r"a\.labels\.tif: labels are float32"):
        sample.read_stack()


def test_a_folder_without_stacks_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(EvaluationError, match="no volume with labels"):
        find_stack_samples(tmp_path, "dev", "volume", None, [])
    with pytest.raises(EvaluationError, match="no such folder"):
        find_stack_samples(tmp_path / "none", "dev", "volume", None, [])


def test_a_stack_is_no_single_image(tmp_path):
    write_stack(tmp_path, volume())
    (sample,) = find_stack_samples(tmp_path, "dev", "volume", None, [])
    with pytest.raises(EvaluationError, match="is a stack; use evaluate volumes"):
        sample.truth()
