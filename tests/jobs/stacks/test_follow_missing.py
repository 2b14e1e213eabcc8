import numpy as np
import pytest

import napari_sam as ns
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.errors import CancelledError
from tests.jobs.stacks.bright_stack import StackSegmenter, stack

DISC = (48, 48, 14)


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


@pytest.fixture
def blind():
    """Finds the only object of each plane but that of the second one."""
    segment = StackSegmenter()
    segment.misses = lambda plane: plane == 1
    return segment


def areas(labels):
    return [int((labels.array[plane] > 0).sum()) for plane in range(labels.shape[0])]


def test_an_object_that_one_plane_does_not_show_is_followed_there(blind, predictor, tmp_path):
    volume = stack([[DISC]] * 3, 96)
    with blind(volume, predictor, tmp_path / "a.ome.zarr").labels as labels:
        assert areas(labels)[1] == 0
    report = blind(volume, predictor, tmp_path / "b.ome.zarr", linking=PlaneLinking(follow=1))
    with report.labels as labels:
        assert areas(labels)[1] == pytest.approx(areas(labels)[0], rel=0.15)
        assert (report.objects, report.gaps) == (1, 0)
        assert labels.table()["n_planes"].tolist() == [3]


def test_an_object_that_is_gone_is_not_followed(predictor, tmp_path):
    segment = StackSegmenter()
    volume = stack([[DISC], [], []], 96)
    with segment(volume, predictor, tmp_path / "o.ome.zarr", linking=PlaneLinking(follow=2)).labels as labels:
        assert areas(labels)[1:] == [0, 0]


def test_an_object_is_followed_backward_and_only_so_many_planes(predictor, tmp_path):
    segment = StackSegmenter(FrameLinking, "t")
    segment.misses = lambda plane: plane < 3
    movie = stack([[DISC]] * 4, 96)
    with segment(movie, predictor, tmp_path / "o.ome.zarr", linking=FrameLinking(follow=2)).labels as labels:
        assert [area > 0 for area in areas(labels)] == [False, True, True, True]


def test_a_run_that_stopped_while_objects_were_followed_ends_with_the_same_labels(blind, predictor, tmp_path):
    volume, linking, polled = stack([[DISC]] * 3, 96), PlaneLinking(follow=1), []
    with blind(volume, predictor, tmp_path / "a.ome.zarr", linking=linking).labels as labels:
        expected = labels.array[:, :, :]
    out, done = tmp_path / "b.ome.zarr", []

    def cancelled():
        polled.append(len(done) == 3)
        return sum(polled) > 4  # after the planes are segmented and compared

    with pytest.raises(CancelledError):
        blind(volume, predictor, out, linking=linking, on_plane=done.append, cancelled=cancelled)
    with blind(volume, predictor, out, linking=linking, resume=True).labels as labels:
        np.testing.assert_array_equal(labels.array[:, :, :], expected)
