"""Segmentation of many prompts gives the same objects regardless of batches, cancellation and crashes.

Run as a module, ``tests.jobs.test_segment_prompts IMAGE PROMPTS OUT``, it segments slowly, so that it can be killed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from napari_sam.engine.window_pixels import read_window
from napari_sam.errors import CancelledError, ImageError, NoImageError, NothingSegmentedError, SettingsError, StoreError
from napari_sam.io.labels.editing.commit_many import NewObject
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from napari_sam.jobs.segment_prompts import segment_prompts
from src_models.networks.mask_decoder import DecodedMasks
from tests.engine.tiny import TinyRunner, tiny_predictor

ROOT = Path(__file__).parents[2]
SHAPE = (700, 900)


class BoxRunner(TinyRunner):
    """Answers a box with the rectangle itself, a point with a square of 9 network pixels, a mask with the mask."""

    def decode(self, embedding, prompts, masks=None, multimask=True, *_):
        time.sleep(self.seconds)
        centres, logits, scores = np.arange(64), [], []
        for i, (coords, labels) in enumerate(prompts):
            corners = coords[labels >= 2]
            middle = coords[labels == 1].mean(0) if not len(corners) else corners.mean(0)
            (x0, y0), (x1, y1) = corners - 0.5 if len(corners) else (middle - 4.4, middle + 4.4)
            inside = ((centres >= y0) & (centres <= y1))[:, None] & ((centres >= x0) & (centres <= x1))
            given = None if masks is None else masks[i]
            logits.append(np.where(inside if given is None else given > 0, 9.0, -9.0))
            scores.append(0.5 + 0.4 * float(np.clip(y1 - y0, 0, 64)) / 64)
        out = torch.tensor(np.stack(logits), dtype=torch.float32)[:, None]
        return DecodedMasks(out, torch.tensor(scores)[:, None])


def box_predictor(seconds=0.0, read_pixels=read_window):
    """Make a predictor with a `BoxRunner`."""
    return tiny_predictor(runner=BoxRunner(seconds=seconds), read_pixels=read_pixels)


def read_damaged(image, normalisation, window, shape=None):
    """Read a window of an image whose first rows are damaged."""
    if window.bbox[0] < 100:
        raise ImageError("chunk 0 is damaged")
    return read_window(image, normalisation, window, shape)


def grid_of_boxes(count_y=8, count_x=10, pitch=60, side=20):
    y, x = np.mgrid[10 : 10 + pitch * count_y : pitch, 10 : 10 + pitch * count_x : pitch]
    corners = np.stack([y.ravel(), x.ravel()], 1)
    return np.concatenate([corners, corners + side], 1)


@pytest.fixture
def image(rng):
    return rng.integers(0, 255, SHAPE, dtype=np.uint8)


def run(*given, **choice):
    """Return the report; its store is closed unless the caller opened it."""
    report = segment_prompts(*given, **choice)
    if not isinstance(given[3], LabelStore):
        report.labels.close()
    return report


def content(path):
    """Return pixels and table of a store, without times."""
    with LabelStore.open(path, "r") as store:
        return store.array[...], store.table().drop(columns="created")


def test_each_box_becomes_an_object_with_category_and_score(image, tmp_path):
    boxes = pd.DataFrame(grid_of_boxes(), columns=["y0", "x0", "y1", "x1"])
    boxes["category"] = ["big" if i % 2 else None for i in range(len(boxes))]
    report = run(image, boxes, box_predictor(), tmp_path / "o.zarr", category="cell")
    assert (report.prompts, report.objects, report.duplicates, report.first_label) == (80, 80, 0, 1)
    labels, table = content(tmp_path / "o.zarr")
    assert sorted(table.category.value_counts().items()) == [("big", 40), ("cell", 40)]
    for y0, x0, y1, x1 in grid_of_boxes()[:5]:
        label = labels[(y0 + y1) // 2, (x0 + x1) // 2]
        assert label > 0
        np.testing.assert_allclose(
            table.set_index("label").loc[label, ["y0", "x0", "y1", "x1"]].astype(int), (y0, x0, y1, x1), atol=2
        )


@pytest.mark.parametrize("batch", [1, 7])
def test_the_result_does_not_depend_on_the_batch(image, tmp_path, batch):
    boxes = np.concatenate([grid_of_boxes(side=s) for s in (20, 35, 50, 64)])
    for name, size in (("a", 64), ("b", batch)):
        run(image, boxes, box_predictor(), tmp_path / name, batch=size)
    (one, table), (other, same) = content(tmp_path / "a"), content(tmp_path / "b")
    np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(table, same)


def test_the_shipped_model_gives_the_same_for_any_batch(nuclei, tmp_path, default_predictor):
    from napari_sam.io.object_boxes import boxes_of

    picture, truth = nuclei
    boxes = np.array([box for _, _, box in boxes_of(truth)[:6]])
    for size in (5, 64):
        run(picture, boxes, default_predictor, tmp_path / str(size), batch=size)
    np.testing.assert_array_equal(content(tmp_path / "5")[0], content(tmp_path / "64")[0])


def test_of_two_masks_of_an_object_the_more_confident_is_kept(image, tmp_path):
    boxes = [[100, 100, 130, 130], [100, 100, 133, 130], [300, 300, 330, 330]]
    report = run(image, boxes, box_predictor(), tmp_path / "o", nms=0.5)
    assert (report.objects, report.duplicates) == (2, 1)
    assert run(image, boxes, box_predictor(), tmp_path / "all", nms=None).objects == 3


def test_masks_of_low_predicted_iou_are_dropped(image, tmp_path):
    report = run(image, [[100, 100, 130, 130]], box_predictor(), tmp_path / "o", min_iou=0.99)
    assert (report.objects, report.unsure) == (0, 1)


@pytest.mark.parametrize(("overlap", "owner"), [("keep", 1), ("replace", 2)])
def test_existing_objects_keep_or_lose_their_pixels(image, tmp_path, overlap, owner):
    with LabelStore.create(tmp_path / "o", shape=SHAPE) as store:
        store.paint(np.ones((40, 40), int), (100, 100))
        report = run(image, [[90, 90, 150, 150]], box_predictor(), store, overlap=overlap)
        assert report.first_label == 2
        assert (store.array[120, 120], store.array[145, 145]) == (owner, 2)
        assert store.undo()["kind"] == "commits"
        assert len(store) == 1


def test_a_mask_fully_inside_existing_objects_counts_as_covered(image, tmp_path):
    with LabelStore.create(tmp_path / "o", shape=SHAPE) as store:
        store.paint(np.ones((200, 200), int), (50, 50))
        assert run(image, [[90, 90, 110, 110]], box_predictor(), store).covered == 1


def test_masks_of_other_labels_are_prompts(image, tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[200:260, 300:320] = 7
    labels[240:260, 300:360] = 7
    report = run(image, read_prompts(labels, image, masks=True), box_predictor(), tmp_path / "o")
    assert report.objects == 1
    found = content(tmp_path / "o")[0] > 0
    assert (found & (labels == 7)).sum() / (found | (labels == 7)).sum() > 0.8


def test_cancelled_work_is_kept_and_resumed_to_the_same_result(image, tmp_path):
    boxes = np.concatenate([grid_of_boxes(side=s) for s in (20, 30, 40, 50)])
    run(image, boxes, box_predictor(), tmp_path / "whole")
    done = []
    with pytest.raises(CancelledError, match="resume=True"):
        run(
            image, boxes, box_predictor(), tmp_path / "o",
            progress=lambda n, _: done.append(n), cancelled=lambda: bool(done),
        )  # fmt: skip
    assert done == [256]
    with pytest.raises(StoreError, match="unfinished run of 320 prompts"):
        run(image, boxes, box_predictor(), tmp_path / "o")
    with pytest.raises(StoreError, match=r"with prompts .* but prompts is"):
        run(image, boxes[1:], box_predictor(), tmp_path / "o", resume=True)
    report = run(image, boxes, box_predictor(), tmp_path / "o", resume=True)
    assert report.objects + report.duplicates + report.covered == 320
    (one, table), (other, same) = content(tmp_path / "whole"), content(tmp_path / "o")
    np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(table, same)
    again = run(image, boxes, box_predictor(), tmp_path / "o", resume=True)
    assert (again.objects, len(content(tmp_path / "o")[1])) == (report.objects, report.objects)


def test_a_killed_process_resumes_to_the_same_result(image, tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "i.tif", image)
    boxes = np.concatenate([grid_of_boxes(side=s) for s in (20, 30, 40, 50, 60, 64, 25)])
    pd.DataFrame(boxes, columns=["y0", "x0", "y1", "x1"]).to_csv(tmp_path / "p.csv", index=False)
    arguments = [str(tmp_path / name) for name in ("i.tif", "p.csv", "o")]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.test_segment_prompts", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout.readline() == "256\n"
        process.send_signal(signal.SIGKILL)
    before = len(content(tmp_path / "o")[1])
    report = run(*arguments[:2], box_predictor(), arguments[2], resume=True)
    assert 0 < before < report.objects
    run(*arguments[:2], box_predictor(), tmp_path / "whole")
    (one, table), (other, same) = content(tmp_path / "whole"), content(tmp_path / "o")
    np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(table, same)


def test_prompts_on_damaged_pixels_are_reported_and_the_others_are_segmented(image, tmp_path):
    report = run(image, [[300, 300, 320, 320], [5, 5, 20, 20]], box_predictor(read_pixels=read_damaged), tmp_path / "o")
    assert (report.objects, report.failures) == (1, 1)
    assert (report.failed[0].number, report.failed[0].reason) == (1, "chunk 0 is damaged")


def test_an_image_in_which_every_prompt_fails_is_an_error_and_makes_no_store(image, tmp_path):
    predictor = box_predictor(read_pixels=read_damaged)
    with pytest.raises(NothingSegmentedError, match=r"not one of 2 prompts could be segmented.*chunk 0 is damaged"):
        run(image, [[8, 8, 30, 30], [5, 5, 20, 20]], predictor, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_the_history_replays_as_a_script(image, tmp_path):
    boxes = grid_of_boxes(2, 2)
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=SHAPE) as store:
        run(image, boxes, box_predictor(), store, category="cell")
        store.export(tmp_path / "again.py")
        before = store.array[...]
    tifffile.imwrite(tmp_path / "i.tif", image)
    command = [sys.executable, "again.py", "i.tif", "copy.ome.zarr"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    labels, table = content(tmp_path / "copy.ome.zarr")
    np.testing.assert_array_equal(labels, before)
    assert table.category.tolist() == ["cell"] * 4


def test_many_objects_are_one_change_with_rows_of_their_own(tmp_path):
    with LabelStore.create(tmp_path / "o", shape=(3000, 5000)) as store:
        masks = [NewObject(np.ones((10, 30), bool), (2044, 20 * i, 2054, 20 * i + 30)) for i in range(200)]
        assert store.commit_many(masks) == list(range(1, 201))
        table = store.table()
        assert table.area_px.tolist() == [300] + [200] * 199  # each begins under the one before
        assert (table.x0.iloc[150], table.x1.iloc[150]) == (3010, 3030)
        assert store.undo()["kind"] == "commits"
        assert not store.array[2040:2060].any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"nms": 0}, "nms is 0; "),
        ({"nms": "a"}, "nms is 'a'; "),
        ({"min_iou": 2}, "min_iou is 2; "),
        ({"min_iou": "a"}, "min_iou is 'a'; "),
        ({"batch": 0}, "batch is 0; "),
        ({"batch": None}, "batch is None; "),
        ({"batch": float("inf")}, "batch is inf; "),
        ({"overlap": "x"}, "overlap is 'x'; "),
        *[({"diameter_px": d}, f"diameter_px is {d}; ") for d in (float("inf"), float("nan"), -1, 0, 10**400)],
    ],
)
def test_invalid_arguments_are_named(image, tmp_path, wrong, words):
    with pytest.raises(SettingsError, match=words):
        run(image, [[1, 1, 5, 5]], box_predictor(), tmp_path / "o", **wrong)
    assert not (tmp_path / "o").exists()


def test_a_stack_of_labels_or_a_read_only_store_is_refused_and_unchanged(image, tmp_path):
    with LabelStore.create(tmp_path / "stack", shape=(3, *SHAPE)) as stack:
        with pytest.raises(StoreError, match=r"one index for each of the first 1 axes, not \(\)"):
            run(image, [[1, 1, 5, 5]], box_predictor(), stack)
        assert not (stack.path / "prompted.json").exists()
    with LabelStore.open(stack.path, "r") as closed, pytest.raises(StoreError, match="opened for reading"):
        run(image, [[1, 1, 5, 5]], box_predictor(), closed)
    assert not (stack.path / "prompted.json").exists()


def test_a_call_that_fails_before_its_first_commit_leaves_no_store_and_no_record(image, tmp_path):
    class FullDiskRunner(BoxRunner):
        def decode(self, *_, **__):
            raise StoreError("no more room")

    with pytest.raises(StoreError, match="no more room"):
        run(image, [[1, 1, 5, 5]], tiny_predictor(runner=FullDiskRunner()), tmp_path / "o")
    assert not (tmp_path / "o").exists()
    with LabelStore.create(tmp_path / "own", shape=SHAPE) as store:
        with pytest.raises(StoreError, match="no more room"):
            run(image, [[1, 1, 5, 5]], tiny_predictor(runner=FullDiskRunner()), store)
        assert run(image, [[300, 300, 330, 330]], box_predictor(), store).objects == 1


def test_the_image_of_the_callers_predictor_does_not_change(image, tmp_path):
    predictor = box_predictor()
    run(image, [[300, 300, 330, 330]], predictor, tmp_path / "none")
    with pytest.raises(NoImageError):
        predictor.image  # noqa: B018
    predictor.set_image(np.zeros((50, 60), np.uint8))
    run(image, [[300, 300, 330, 330]], predictor, tmp_path / "other")
    assert predictor.image.shape == (50, 60)


def test_each_failure_is_recorded_once_and_restored_on_resume(image, tmp_path):
    side = np.repeat([20, 22, 24, 26, 28, 30, 32, 34, 36], 80)
    boxes = np.concatenate([grid_of_boxes(side=s) for s in side[::80]])
    whole = run(image, boxes, box_predictor(read_pixels=read_damaged), tmp_path / "whole", nms=None)
    done = []
    with pytest.raises(CancelledError):
        run(
            image, boxes, box_predictor(read_pixels=read_damaged), tmp_path / "o", nms=None,
            progress=lambda n, _: done.append(n), cancelled=lambda: len(done) > 1,
        )  # fmt: skip
    report = run(image, boxes, box_predictor(read_pixels=read_damaged), tmp_path / "o", nms=None, resume=True)
    assert report.failures == whole.failures > 0
    assert report.failed == whole.failed
    with LabelStore.open(tmp_path / "whole", "r") as store:
        kept = [one for record in store.history().record for one in record["source"]["failed"]]
    assert kept == [[f.number, f.reason] for f in whole.failed][: len(kept)]
    assert kept


@pytest.mark.parametrize("overlap", ["keep", "replace"])
def test_objects_drawn_by_the_user_during_a_run_are_not_part_of_it(image, tmp_path, overlap):
    boxes = np.concatenate([grid_of_boxes(8, 8, side=s) for s in (10, 12, 14, 16)] + [[[600, 600, 680, 680]]])
    drawn = []  # before the largest box, which comes last
    with LabelStore.create(tmp_path / "o", shape=SHAPE) as store:

        def draw(done, _):
            if done == 256:
                drawn.append(store.next_label)
                store.paint(np.full((100, 100), drawn[0]), (590, 590))

        report = run(image, boxes, box_predictor(), store, overlap=overlap, progress=draw)
        assert report.objects > 0
        assert store.array[640, 640] == (drawn[0] if overlap == "keep" else drawn[0] + 1)


def test_an_object_drawn_by_the_user_is_not_a_duplicate(tmp_path):
    square = NewObject(np.ones((10, 10), bool), (0, 0, 10, 10))
    wider = NewObject(np.ones((10, 12), bool), (0, 0, 10, 12))
    with LabelStore.create(tmp_path / "o", shape=(50, 50)) as store:
        store.paint(np.ones((10, 10), int), (0, 0))
        assert store.commit_many([wider], nms=0.5, since=1, source={"run": "a"}) == [2]
        assert store.commit_many([square], nms=0.5, since=1, source={"run": "a"}) == [0]
    with LabelStore.create(tmp_path / "p", shape=(50, 50)) as store:
        assert store.commit_many([wider], nms=0.5, since=1, source={"run": "a"}) == [1]
        assert store.commit_many([square], nms=0.5, since=1, source={"run": "a"}) == [-1]


if __name__ == "__main__":
    segment_prompts(*sys.argv[1:3], box_predictor(0.02), sys.argv[3], progress=lambda n, _: print(n, flush=True))
