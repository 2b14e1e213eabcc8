"""Gaps of linked objects that are filled by following the objects from both ends."""

from __future__ import annotations

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.errors import CancelledError
from napari_sam.io.labels.label_store import LabelStore
from tests.jobs.stacks.bright_stack import StackSegmenter, stack

MOVED = [[(40, 40, 13)], [(42, 42, 13)], [(44, 44, 13)], [(46, 46, 13)]]
FILL = FrameLinking(follow=0, fill_gaps=True)


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


@pytest.fixture
def blind():
    """Misses the first object on the second frame."""
    segment = StackSegmenter(FrameLinking, "t")
    segment.misses = lambda plane: plane == 1
    return segment


@pytest.fixture(scope="module")
def filled(predictor, tmp_path_factory):
    """A store with an object whose gap was filled."""
    segment = StackSegmenter(FrameLinking, "t")
    segment.misses = lambda plane: plane == 1
    out = tmp_path_factory.mktemp("filled") / "o.ome.zarr"
    segment(stack(MOVED, 96), predictor, out, linking=FILL).labels.close()
    return out


def iou(labels, plane):
    drawn, true = labels.array[plane] > 0, stack(MOVED, 96)[plane] > 0
    return (drawn & true).sum() / (drawn | true).sum()


def test_an_object_is_followed_through_its_gap_and_marked_there(filled):
    with LabelStore.open(filled, "r") as labels:
        assert labels.table()["n_planes"].tolist() == [4]
        assert iou(labels, 1) > 0.85
        table = labels.planes(1)
        assert table["propagated"].tolist() == [False, True, False, False]
        assert table["predicted_iou"].between(0, 1).all()


def test_a_gap_stays_without_the_setting(blind, predictor, tmp_path):
    report = blind(stack(MOVED, 96), predictor, tmp_path / "o.ome.zarr", linking=FrameLinking(follow=0))
    with report.labels as labels:
        assert (report.objects, report.gaps) == (1, 1)
        assert not labels.array[1].any()
        assert not labels.planes(1)["propagated"].any()


def test_planes_that_were_followed_before_linking_are_marked_too(blind, predictor, tmp_path):
    report = blind(stack(MOVED, 96), predictor, tmp_path / "o.ome.zarr", linking=FrameLinking(follow=1))
    with report.labels as labels:
        assert labels.planes(1)["propagated"].tolist() == [False, True, False, False]


def test_a_plane_that_is_corrected_is_no_longer_marked_until_that_is_undone(filled, tmp_path):
    import shutil

    shutil.copytree(filled, tmp_path / "o.ome.zarr")
    with LabelStore.open(tmp_path / "o.ome.zarr") as labels:
        labels.commit_planes({1: (np.ones((6, 6), bool), (40, 40, 46, 46))}, label=1)
        assert not labels.planes(1)["propagated"].any()
        labels.undo()
        assert labels.planes(1)["propagated"].sum() == 1
        labels.undo()
        assert len(labels) == 0
        labels.redo()
        assert labels.planes(1)["propagated"].sum() == 1


def test_other_objects_keep_their_pixels_in_a_gap(predictor, tmp_path):
    segment = StackSegmenter(PlaneLinking, "z")
    volume = stack([[(48, 48, 14)], [(48, 48, 14, 90)], [(48, 48, 14)]], 96)
    linking = PlaneLinking(follow=0, fill_gaps=True)
    segment.misses = lambda plane: plane == 1
    out = tmp_path / "o.ome.zarr"
    with LabelStore.create(out, shape=volume.shape) as labels:
        labels.paint(np.full((96, 96), 1, np.uint32), (0, 0), plane=(1,))
    with segment(volume, predictor, out, linking=linking).labels as labels:
        assert (labels.array[1] == 1).all()
        assert labels.planes(2)["plane"].tolist() == [(0,), (2,)]


def test_a_run_that_stopped_while_gaps_were_filled_ends_with_the_same_labels(filled, blind, predictor, tmp_path):
    out, done, polled = tmp_path / "o.ome.zarr", [], []

    def cancelled():
        polled.append(len(done) == 4)
        return sum(polled) > 5  # after the frames are segmented and compared

    with pytest.raises(CancelledError, match="cancelled"):
        blind(stack(MOVED, 96), predictor, out, linking=FILL, on_plane=done.append, cancelled=cancelled)
    with blind(stack(MOVED, 96), predictor, out, linking=FILL, resume=True).labels as labels:
        with LabelStore.open(filled, "r") as expected:
            np.testing.assert_array_equal(labels.array[...], expected.array[...])
        assert labels.planes(1)["propagated"].sum() == 1
