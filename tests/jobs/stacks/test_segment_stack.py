import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_sam as ns
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.errors import CancelledError, ImageError, NothingSegmentedError, SettingsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.stacks.stack_run import UNFINISHED_STACK, read_unfinished_stack
from tests.jobs.stacks.bright_stack import StackSegmenter, stack

A, B, C = (40, 40, 12), (110, 50, 15), (70, 120, 20)
VOLUME = [[A, B], [A, B, C], [B, C], [A, B, C]]
MOTHER, LEFT, RIGHT = (80, 80, 14), (80, 70, 10), (80, 92, 10)
MOVIE = [[MOTHER, A], [MOTHER, (42, 44, 12)], [LEFT, RIGHT, (44, 48, 12)], [LEFT, RIGHT, (46, 52, 12)]]


@pytest.fixture
def segment():
    return StackSegmenter()


@pytest.fixture
def follow():
    return StackSegmenter(FrameLinking, "t")


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


def pixels(labels):
    return labels.array[tuple(slice(None) for _ in labels.shape)]


def ids(labels, discs):
    """Ids at the centres of discs, given as (plane, disc)."""
    return [int(labels.array[plane, y, x]) for plane, (y, x, *_) in discs]


def test_an_object_has_one_id_through_all_planes(segment, predictor, tmp_path):
    volume = stack(VOLUME)
    report = segment(volume, predictor, tmp_path / "o.ome.zarr")
    with report.labels as labels:
        assert labels.shape == volume.shape
        np.testing.assert_array_equal(pixels(labels) > 0, volume > 0)
        assert report.objects == len(labels) == 3
        assert ids(labels, [(0, A), (1, A), (3, A)]) == [1, 1, 1]
        assert ids(labels, [(p, B) for p in range(4)]) == [2, 2, 2, 2]
        assert ids(labels, [(p, C) for p in (1, 2, 3)]) == [3, 3, 3]
        assert (report.planes, report.found, report.gaps, report.divisions) == (4, 10, 1, 0)
        assert not (labels.path / UNFINISHED_STACK).exists()


def test_the_table_has_the_planes_and_scores_of_each_object(segment, predictor, tmp_path):
    with segment(stack(VOLUME), predictor, tmp_path / "o.ome.zarr", category="disc").labels as labels:
        table = labels.table()
        assert table["n_planes"].tolist() == [3, 4, 3]
        assert table["area_px"].sum() == (stack(VOLUME) > 0).sum()
        assert set(table["predicted_iou"].round(4)) == {0.9}
        assert set(table["category"]) == {"disc"}
        assert table["model"].tolist() == ["default"] * 3


def test_the_daughters_of_a_division_have_their_mother_as_parent(follow, predictor, tmp_path):
    report = follow(stack(MOVIE), predictor, tmp_path / "o.ome.zarr")
    with report.labels as labels:
        parents = labels.table().set_index("label")["parent"]
        mother, left, right = ids(labels, [(1, MOTHER), (2, LEFT), (2, RIGHT)])
        assert report.divisions == 1
        assert parents[left] == parents[right] == mother
        assert ids(labels, [(0, A), (3, (46, 52))]) == ids(labels, [(0, A)]) * 2


def test_a_run_is_one_step_of_undo_and_of_redo(follow, predictor, tmp_path):
    with follow(stack(MOVIE), predictor, tmp_path / "o.ome.zarr").labels as labels:
        drawn, table = pixels(labels), labels.table()
        labels.undo()
        assert len(labels) == 0
        assert not pixels(labels).any()
        assert not labels.can_undo
        labels.redo()
        np.testing.assert_array_equal(pixels(labels), drawn)
        assert labels.table()["parent"].equals(table["parent"])


@pytest.mark.parametrize("steps", [1, 45, 74, 78])
def test_a_cancelled_run_continues_and_ends_with_the_same_labels(follow, predictor, tmp_path, steps):
    movie, seen = stack(MOVIE), []
    with follow(movie, predictor).labels as labels:
        expected, table = pixels(labels), labels.table().drop(columns="created")
    out = tmp_path / "o.ome.zarr"
    with pytest.raises(CancelledError):
        follow(
            movie, predictor, out, progress=lambda d, t: seen.append(d), cancelled=lambda: max(seen, default=0) >= steps
        )
    with follow(movie, predictor, out, resume=True).labels as labels:
        np.testing.assert_array_equal(pixels(labels), expected)
        assert labels.table().drop(columns="created").equals(table)


@pytest.mark.filterwarnings("ignore::napari_sam.errors.StoreWarning")
@pytest.mark.parametrize("step", [3, 12, 16])
def test_a_killed_run_continues_and_ends_with_the_same_labels(follow, predictor, tmp_path, step):
    movie, out = tmp_path / "m.tif", tmp_path / "o.ome.zarr"
    tifffile.imwrite(movie, stack(MOVIE), metadata={"axes": "TYX"}, ome=False, imagej=True)
    command = [sys.executable, "-m", "tests.jobs.stacks.bright_stack", str(movie), str(out), str(step)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[3], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    with follow(movie, predictor).labels as labels:
        expected = pixels(labels)
    report = follow(movie, predictor, out, resume=True)
    with report.labels as labels:
        np.testing.assert_array_equal(pixels(labels), expected)


def test_planes_that_are_finished_are_not_segmented_again(segment, predictor, tmp_path):
    seen = []
    out = tmp_path / "o.ome.zarr"
    with pytest.raises(CancelledError):
        segment(stack(VOLUME), predictor, out, on_plane=seen.append, cancelled=lambda: len(seen) == 2)
    assert read_unfinished_stack(out)["planes_done"] == 2
    segment.planes.clear()
    segment(stack(VOLUME), predictor, out, resume=True).labels.close()
    assert set(segment.planes) == {2, 3}


def test_a_damaged_plane_is_named_and_objects_pass_over_it(segment, predictor, tmp_path):
    segment.fails = lambda plane: plane == 1
    report = segment(stack(VOLUME), predictor, tmp_path / "o.ome.zarr")
    with report.labels as labels:
        assert [(f.plane, f.whole) for f in report.failed] == [(1, True)]
        assert "chunk 7 is damaged" in report.failed[0].reason
        assert not labels.array[1].any()
        assert ids(labels, [(0, B), (2, B), (3, B)]) == [2, 2, 2]


def test_a_plane_that_failed_is_tried_again_by_a_run_that_continues(segment, predictor, tmp_path):
    segment.fails, seen = (lambda plane: plane == 0), []
    out = tmp_path / "o.ome.zarr"
    with pytest.raises(CancelledError):
        segment(stack(VOLUME), predictor, out, on_plane=seen.append, cancelled=lambda: len(seen) == 2)
    segment.fails = lambda plane: False
    report = segment(stack(VOLUME), predictor, out, resume=True)
    with report.labels as labels:
        assert report.failed == []
        assert labels.array[0].any()


def test_a_stack_without_a_single_sound_plane_is_an_error_that_names_the_first(segment, predictor, tmp_path):
    segment.fails = lambda plane: True
    with pytest.raises(NothingSegmentedError, match=r"not one of 4 planes.*plane 0: .*chunk 7 is damaged"):
        segment(stack(VOLUME), predictor, tmp_path / "o.ome.zarr")


def test_existing_objects_keep_their_pixels_and_block_new_ones(segment, predictor, tmp_path):
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=(4, 160, 160)) as labels:
        for plane in (1, 2, 3):
            labels.paint(np.full((60, 60), 7), (50, 100), plane=(plane,))
        report = segment(stack(VOLUME), predictor, labels)
        assert report.objects == 2  # C is covered
        assert ids(labels, [(1, C), (0, A), (0, B)]) == [7, 8, 9]


def test_the_plane_of_another_axis_says_where_the_volume_lies(segment, predictor, tmp_path):
    data = np.stack([np.zeros_like(stack(VOLUME)), stack(VOLUME)])
    image = ns.open_image(data, axes="tzyx").with_plane((1, 0), (0,))
    with segment(image, predictor, tmp_path / "o.ome.zarr").labels as labels:
        assert labels.shape == data.shape
        assert not labels.array[0].any()
        np.testing.assert_array_equal(labels.array[1] > 0, data[1] > 0)


def test_only_the_chosen_planes_are_segmented(segment, predictor, tmp_path):
    report = segment(stack(VOLUME), predictor, tmp_path / "o.ome.zarr", planes=range(1, 3))
    with report.labels as labels:
        assert report.planes == 2
        assert [bool(labels.array[p].any()) for p in range(4)] == [False, True, True, False]


@pytest.mark.parametrize("planes", [[[A]], [[]], [[], []], [[], [A], []]])
def test_stacks_of_one_plane_and_of_empty_planes_are_segmented(segment, predictor, tmp_path, planes):
    report = segment(stack(planes), predictor, tmp_path / "o.ome.zarr")
    with report.labels as labels:
        assert report.objects == len(labels) == (1 if any(planes) else 0)


def test_a_colour_stack_is_segmented_in_colour(segment, predictor, tmp_path):
    volume = np.repeat(stack(VOLUME)[..., None], 3, axis=-1)
    with segment(volume, predictor, tmp_path / "o.ome.zarr").labels as labels:
        assert labels.shape == volume.shape[:-1]
        assert len(labels) == 3


def test_progress_grows_to_its_total(segment, predictor, tmp_path):
    seen = []
    segment(stack(VOLUME), predictor, tmp_path / "o.ome.zarr", progress=lambda *a: seen.append(a)).labels.close()
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_an_unfinished_run_is_not_lost_and_not_mixed(segment, predictor, tmp_path):
    seen, out = [], tmp_path / "o.ome.zarr"
    with pytest.raises(CancelledError):
        segment(stack(VOLUME), predictor, out, on_plane=seen.append, cancelled=lambda: len(seen) == 1)
    with pytest.raises(SettingsError, match=r"1 of 4 planes done.*resume=True"):
        segment(stack(VOLUME), predictor, out)
    with pytest.raises(SettingsError, match="max_gap"):
        segment(stack(VOLUME), predictor, out, resume=True, linking=PlaneLinking(max_gap=0, follow=0))
    segment(stack(VOLUME), predictor, out, resume=False).labels.close()


def test_a_store_of_another_shape_is_refused(segment, predictor, tmp_path):
    LabelStore.create(tmp_path / "o.ome.zarr", shape=(3, 160, 160)).close()
    with pytest.raises(StoreError, match=r"\(3, 160, 160\) do not fit the stack of shape \(4, 160, 160\)"):
        segment(stack(VOLUME), predictor, tmp_path / "o.ome.zarr")


def test_planes_that_do_not_exist_are_refused(segment, predictor):
    with pytest.raises(ImageError, match="planes 0 to 3 along z"):
        segment(stack(VOLUME), predictor, planes=[4])


def test_the_default_model_segments_a_small_volume(tmp_path, predictor):
    volume = stack([[(40, 40, 12), (80, 90, 14)]] * 2, 128)
    with ns.segment_volume(volume, predictor, tmp_path / "o.ome.zarr", diameter_px=26).labels as labels:
        assert labels.table()["n_planes"].max() == 2
