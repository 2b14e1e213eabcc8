import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_sam as ns
from napari_sam.errors import CancelledError, LabelsError, SettingsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.image_run import UNFINISHED
from napari_sam.jobs.segment_everything import segment_everything
from napari_sam.jobs.segment_image import unfinished_run
from napari_sam.samples import nuclei
from tests.engine.tiny import tiny_predictor
from tests.jobs.bright_finder import BrightFinder, Segmenter


@pytest.fixture
def segment():
    return Segmenter()


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


def discs(side=700, count=60, seed=0):
    """Bright discs that do not touch, on black; some lie across tile borders, one is far larger than a tile."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side), np.uint8)
    yy, xx = np.ogrid[:side, :side]
    for _ in range(count):
        y, x, r = *rng.uniform(0, side, 2), rng.uniform(3, 14)
        disc = (yy - y) ** 2 + (xx - x) ** 2 <= r**2
        if not image[ndimage.binary_dilation(disc, iterations=2)].any():
            image[disc] = 200
    return image


def same_objects(found, truth):
    pairs = np.unique(np.stack([found.ravel().astype(int), truth.ravel().astype(int)]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_all_objects_are_written_once_with_their_scores(segment, predictor, tmp_path):
    image = discs()
    truth, count = ndimage.label(image)
    seen = []
    report = segment(image, predictor, tmp_path / "o.ome.zarr", progress=lambda *a: seen.append(a))
    with report.labels as labels:
        table = labels.table()
        assert same_objects(labels.array[:, :], truth)
        assert report.objects == len(table) == len(labels) == count
        assert table["label"].tolist() == list(range(1, count + 1))
        assert table["area_px"].sum() == (image > 0).sum()
        assert set(table["predicted_iou"].round(4)) == {0.9}
        assert set(table["model"]) == {"default"}
        assert not (labels.path / UNFINISHED).exists()
    assert seen[-1][0] == seen[-1][1]
    assert [a for a, _ in seen] == sorted(a for a, _ in seen)


def test_a_run_is_one_step_of_undo_and_of_redo(segment, predictor, tmp_path):
    image = discs()
    labels = segment(image, predictor, tmp_path / "o.ome.zarr").labels
    first = labels.array[:, :]
    labels.undo()
    assert len(labels) == 0
    assert not labels.array[:, :].any()
    assert not labels.can_undo
    labels.redo()
    np.testing.assert_array_equal(labels.array[:, :], first)
    labels.close()


def test_a_region_limits_a_run_and_a_second_run_adds_only_new_objects(segment, predictor, tmp_path):
    image = discs()
    _, count = ndimage.label(image)
    region = (100, 50, 417, 600)
    labels = segment(image, predictor, tmp_path / "o.ome.zarr", region=region).labels
    found = labels.array[:, :]
    inside = np.zeros(image.shape, bool)
    inside[100:417, 50:600] = True
    assert not found[~inside].any()
    assert ((found > 0) == (image > 0))[inside].all()
    before = len(labels)
    report = segment(image, predictor, labels)
    assert report.first_label == before + 1
    assert report.objects < count
    np.testing.assert_array_equal(labels.array[:, :][inside], found[inside])
    labels.close()


@pytest.mark.parametrize("region", [(100, 50, 417, 600), (330, 330, 333, 340), (0, 0, 300, 300)])
def test_objects_at_the_border_of_a_region_are_followed_and_a_later_run_completes_the_rest(
    segment, predictor, tmp_path, region
):
    image = discs()
    truth, count = ndimage.label(image)
    y0, x0, y1, x1 = region
    boxes = ndimage.find_objects(truth)
    centres = [[(s.start + s.stop) / 2 for s in box] for box in boxes]
    wanted = {i + 1 for i, (y, x) in enumerate(centres) if y0 <= y < y1 and x0 <= x < x1}
    report = segment(image, predictor, tmp_path / "o.ome.zarr", region=region, border="whole")
    labels, found = report.labels, report.labels.array[:, :]
    assert set(np.unique(truth[found > 0]).tolist()) == wanted
    assert report.objects == len(wanted)
    np.testing.assert_array_equal(found > 0, np.isin(truth, list(wanted)))  # whole, also outside the region
    assert report.left_out == 0
    segment(image, predictor, labels)
    assert len(labels) == count
    np.testing.assert_array_equal(labels.array[:, :] > 0, image > 0)
    labels.close()


def test_an_object_far_larger_than_its_region_is_left_out_and_reported(segment, predictor, tmp_path):
    image = np.zeros((600, 600), np.uint8)
    image[250:310, 20:580] = 1
    report = segment(image, predictor, tmp_path / "o.ome.zarr", region=(260, 290, 300, 310), border="whole")
    assert (report.objects, report.left_out) == (0, 1)
    report = segment(image, predictor, report.labels)
    assert report.objects == 1
    report.labels.close()


def test_existing_objects_keep_or_lose_their_pixels(segment, predictor, tmp_path):
    image = np.zeros((200, 200), np.uint8)
    image[50:60, 50:70] = 9
    for overlap, expected in (("keep", {7: 40, 8: 160}), ("replace", {8: 200})):
        with LabelStore.create(tmp_path / f"{overlap}.ome.zarr", shape=(200, 200)) as labels:
            labels.paint(np.full((10, 4), 7), (50, 50))
            segment(image, predictor, labels, overlap=overlap)
            values, counts = np.unique(labels.array[:, :], return_counts=True)
            assert dict(zip(values.tolist()[1:], counts.tolist()[1:], strict=True)) == expected


def test_an_existing_object_is_not_added_again(segment, predictor, tmp_path):
    image = np.zeros((200, 200), np.uint8)
    image[50:60, 50:70] = 9
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=(200, 200)) as labels:
        labels.paint(np.full((10, 12), 7), (50, 50))
        report = segment(image, predictor, labels)
        assert report.objects == 0
        assert len(labels) == 1


def test_a_cancelled_run_resumes_to_the_same_labels_without_segmenting_a_tile_twice(segment, predictor, tmp_path):
    image = discs()
    whole = segment(image, predictor, tmp_path / "a.ome.zarr").labels
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 7

    with pytest.raises(CancelledError):
        segment(image, predictor, tmp_path / "b.ome.zarr", cancelled=cancelled)
    about = unfinished_run(tmp_path / "b.ome.zarr")
    assert 0 < about["tiles_done"] < about["tiles"]
    with pytest.raises(SettingsError, match="resume=True"):
        segment(image, predictor, tmp_path / "b.ome.zarr")
    with pytest.raises(SettingsError, match="overlap 'keep', but overlap is 'replace'"):
        segment(image, predictor, tmp_path / "b.ome.zarr", resume=True, overlap="replace")
    first = {r for r, _ in segment.finders[1].computed}
    shown = np.zeros(image.shape, np.uint32)

    def on_tile(box, labels):
        shown[box[0] : box[2], box[1] : box[3]] = labels

    labels = segment(image, predictor, tmp_path / "b.ome.zarr", resume=True, on_tile=on_tile).labels
    np.testing.assert_array_equal(shown > 0, image > 0)
    np.testing.assert_array_equal(labels.array[:, :], whole.array[:, :])
    assert len({r for r, _ in segment.finders[-1].computed} & first) <= 4  # tiles in flight when it was cancelled
    assert unfinished_run(labels) is None
    whole.close()
    labels.close()


def test_a_run_cancelled_while_writing_resumes_to_the_same_labels(segment, predictor, tmp_path):
    image = discs()
    whole = segment(image, predictor, tmp_path / "a.ome.zarr").labels
    tiles = []
    with pytest.raises(CancelledError, match="written"):
        segment(
            image,
            predictor,
            tmp_path / "b.ome.zarr",
            progress=lambda done, total: tiles.append(done % 9),
            cancelled=lambda: sum(1 for t in tiles if t) > 5,
        )
    labels = LabelStore.open(tmp_path / "b.ome.zarr")
    assert 0 < len(labels) < len(whole)
    free = np.argwhere(~ndimage.binary_dilation(image > 0, iterations=3))[0]
    labels.paint([[labels.next_label]], tuple(free))  # the user edits meanwhile
    segment(image, predictor, labels, resume=True)
    found = labels.array[:, :]
    found[tuple(free)] = 0
    np.testing.assert_array_equal(found, whole.array[:, :])
    whole.close()
    labels.close()


def test_an_unfinished_run_can_be_dropped(segment, predictor, tmp_path):
    image = discs()
    with pytest.raises(CancelledError):
        segment(image, predictor, tmp_path / "b.ome.zarr", cancelled=lambda: True)
    report = segment(image, predictor, tmp_path / "b.ome.zarr", resume=False)
    assert report.objects == ndimage.label(image)[1]
    report.labels.close()


def test_an_unreadable_tile_is_reported_and_the_others_are_segmented(segment, predictor, tmp_path):
    image = discs()
    segment.fails = lambda region: region[0] < 330 < region[2] and region[1] < 330 < region[3]
    report = segment(image, predictor, tmp_path / "o.ome.zarr", coarser=False)
    assert report.failed
    assert all(f.reason == "chunk 7 is damaged" for f in report.failed)
    bad = np.zeros(image.shape, bool)
    for f in report.failed:
        bad[f.box[0] : f.box[2], f.box[1] : f.box[3]] = True
    found = report.labels.array[:, :]
    near = ndimage.binary_dilation(bad, iterations=30)
    assert ((found > 0) == (image > 0))[~near].all()
    assert (found > 0)[~near].any()
    report.labels.close()


def test_a_run_whose_tiles_all_fail_is_an_error(segment, predictor, tmp_path):
    segment.fails = lambda region: True
    with pytest.raises(StoreError, match=r"not one of .* tiles.*chunk 7 is damaged"):
        segment(discs(), predictor, tmp_path / "o.ome.zarr")


def test_an_image_without_objects_gives_an_empty_store(segment, predictor, tmp_path):
    report = segment(np.zeros((300, 300), np.uint8), predictor, tmp_path / "o.ome.zarr")
    assert (report.objects, len(report.labels)) == (0, 0)
    assert not report.labels.can_undo
    report.labels.close()


def test_an_object_that_fills_the_image_is_a_single_object(segment, predictor, tmp_path):
    report = segment(np.full((500, 900), 7, np.uint8), predictor, tmp_path / "o.ome.zarr")
    assert report.objects == 1
    assert (report.labels.array[:, :] == 1).all()
    report.labels.close()


def test_more_objects_than_16_bits_can_count_get_unique_ids(segment, predictor, tmp_path):
    image = np.zeros((1100, 1100), np.uint8)
    image[::4, ::4] = 1
    report = segment(image, predictor, tmp_path / "o.ome.zarr", coarser=False)
    assert report.objects == 275 * 275 > 65535
    found = report.labels.array[:, :]
    assert len(np.unique(found)) == 275 * 275 + 1
    report.labels.close()


def test_exhausted_ids_are_an_error_and_do_not_wrap(segment, predictor, tmp_path):
    image = discs()
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=image.shape) as labels:
        labels.paint([[2**32 - 5]], (0, 0))
        before = labels.array[:, :]
        with pytest.raises(LabelsError, match="4294967295"):
            segment(image, predictor, labels)
        np.testing.assert_array_equal(labels.array[:, :], before)


def test_partial_results_are_reported_during_segmentation(segment, predictor, tmp_path):
    image = discs()
    canvas = np.zeros(image.shape, np.uint32)
    lock = threading.Lock()

    def on_tile(box, labels):
        with lock:
            canvas[box[0] : box[2], box[1] : box[3]] = labels

    segment(image, predictor, tmp_path / "o.ome.zarr", on_tile=on_tile).labels.close()
    np.testing.assert_array_equal(canvas > 0, image > 0)


def test_a_reduced_level_still_gives_labels_of_the_full_size(segment, tmp_path):
    image = np.zeros((701, 803), np.uint8)
    yy, xx = np.ogrid[:701, :803]
    for y, x, r in ((100, 120, 40), (400, 330, 90), (640, 700, 60)):
        image[(yy - y) ** 2 + (xx - x) ** 2 <= r**2] = 1
    report = segment(image, tiny_predictor(), tmp_path / "o.ome.zarr", side=256)
    found = report.labels.array[:, :] > 0
    assert report.objects == 3
    assert (found & (image > 0)).sum() / (found | (image > 0)).sum() > 0.97
    report.labels.close()


def test_the_image_of_the_callers_predictor_does_not_change(segment, predictor, tmp_path):
    predictor.set_image(np.zeros((50, 60), np.uint8))
    segment(discs(200, 5), predictor, tmp_path / "o.ome.zarr").labels.close()
    assert predictor.image.shape == (50, 60)


def test_a_temporary_store_is_deleted_with_its_last_reference(segment, predictor):
    report = segment(discs(200, 5), predictor)
    path = report.labels.path
    assert path.exists()
    report.labels.close()
    del report
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "magic"}, "method is 'magic'"),
        ({"overlap": "erase"}, "overlap is 'erase'"),
        ({"workers": 0}, "workers is 0"),
        ({"region": (0, 0, 0, 5)}, "region"),
        ({"region": (900, 900, 950, 950)}, "outside the image"),
        ({"client": "tcp://nobody"}, "file or URL"),
    ],
)
def test_invalid_arguments_are_refused(segment, predictor, tmp_path, options, words):
    with pytest.raises(ns.errors.NapariSamError, match=words):
        segment(discs(200, 5), predictor, tmp_path / "o.ome.zarr", **options)


def test_a_job_killed_at_any_moment_resumes_to_the_same_bytes(segment, predictor, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, discs())
    whole = segment(path, predictor, tmp_path / "whole.ome.zarr").labels
    expected, table = whole.array[:, :], whole.table().drop(columns="created")
    whole.close()
    out = tmp_path / "killed.ome.zarr"
    for step in (5, 8, 9, 3):  # while tiles are found, and while they are written
        killed = subprocess.run(
            [sys.executable, "-m", "tests.jobs.bright_finder", str(path), str(out), str(step)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    labels = segment(path, predictor, out, resume=True).labels
    np.testing.assert_array_equal(labels.array[:, :], expected)
    assert labels.table().drop(columns="created").equals(table)
    for k, level in enumerate(labels.levels):
        digest = hashlib.sha256(level[:, :].tobytes()).hexdigest()
        with LabelStore.open(tmp_path / "whole.ome.zarr", "r") as other:
            assert digest == hashlib.sha256(other.levels[k][:, :].tobytes()).hexdigest()
    labels.close()


def test_a_full_disk_keeps_finished_tiles(segment, predictor, tmp_path, monkeypatch):
    image = discs()
    whole = segment(image, predictor, tmp_path / "a.ome.zarr").labels
    written = []

    def fsync(handle):
        written.append(handle)
        if len(written) > 20:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("src_models.atomic.os.fsync", fsync)
        with pytest.raises(StoreError, match=r"No space left.*resume=True"):
            segment(image, predictor, tmp_path / "b.ome.zarr")
    assert 5 < unfinished_run(tmp_path / "b.ome.zarr")["tiles_done"] < 11
    labels = segment(image, predictor, tmp_path / "b.ome.zarr", resume=True).labels
    np.testing.assert_array_equal(labels.array[:, :], whole.array[:, :])
    whole.close()
    labels.close()


def test_a_damaged_tile_file_is_named_with_a_remedy(segment, predictor, tmp_path):
    with pytest.raises(CancelledError, match="written"):
        segment(
            discs(),
            predictor,
            tmp_path / "o.ome.zarr",
            cancelled=lambda: (tmp_path / "o.ome.zarr" / UNFINISHED / "merged.npz").exists(),
        )
    victim = sorted((tmp_path / "o.ome.zarr" / UNFINISHED).glob("f1-*.npz"))[3]
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(StoreError, match=f"{victim.name}: damaged.*delete this file"):
        segment(discs(), predictor, tmp_path / "o.ome.zarr", resume=True)


@pytest.mark.parametrize("how", ["truncated", "deleted", "other type"])
def test_a_damaged_record_is_an_error_and_can_be_dropped(segment, predictor, tmp_path, how):
    out = tmp_path / "o.ome.zarr"
    with pytest.raises(CancelledError):
        segment(discs(), predictor, out, cancelled=lambda: len(list(out.glob(f"{UNFINISHED}/f1-*.npz"))) > 2)
    record = out / UNFINISHED / "run.json"
    if how == "deleted":
        record.unlink()
    else:
        record.write_text(record.read_text()[:40] if how == "truncated" else "[]")
    for resume in (True, None):
        with pytest.raises(SettingsError, match=r"damaged.*resume=False"):
            segment(discs(), predictor, out, resume=resume)
    with pytest.raises(SettingsError, match="damaged"):
        unfinished_run(out)
    whole = segment(discs(), predictor, tmp_path / "whole.ome.zarr").labels
    labels = segment(discs(), predictor, out, resume=False).labels
    np.testing.assert_array_equal(labels.array[:, :], whole.array[:, :])
    whole.close()
    labels.close()


def test_the_exported_script_repeats_the_run(predictor, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, nuclei())
    options = {"diameter_px": 40, "category": "nucleus"}
    with segment_everything(path, predictor, tmp_path / "o.ome.zarr", **options).labels as labels:
        labels.erase(2)
        labels.export(tmp_path / "again.py")
        expected, table = labels.array[:, :], labels.table().drop(columns="created")
    subprocess.run([sys.executable, "again.py", str(path), "b.ome.zarr"], cwd=tmp_path, check=True, capture_output=True)
    with LabelStore.open(tmp_path / "b.ome.zarr", "r") as again:
        np.testing.assert_array_equal(again.array[:, :], expected)
        assert again.table().drop(columns="created").equals(table)


class PooledFinder(BrightFinder):
    """Sees thin objects as thick ones when the image is reduced."""

    def read(self, region, factor):
        y0, x0, y1, x1 = region
        pixels = self.image.read(0, y0, x0, y1, x1)[..., 0]
        h, w = (-(-n // factor) for n in pixels.shape)
        padded = np.zeros((h * factor, w * factor), pixels.dtype)
        padded[: pixels.shape[0], : pixels.shape[1]] = pixels
        return padded.reshape(h, factor, w, factor).max((1, 3))


def stop_while_writing(segment, image, predictor, out, tiles):
    """Cancel a run when a number of tiles is written."""
    seen = []
    with pytest.raises(CancelledError, match="written"):
        segment(
            image,
            predictor,
            out,
            progress=lambda done, total: seen.append(done % 9),
            cancelled=lambda: sum(1 for s in seen if s) >= tiles,
        )


def test_long_thin_objects_keep_the_outline_of_the_fine_level(predictor, tmp_path):
    segment = Segmenter(PooledFinder)
    image = np.zeros((1100, 1100), np.uint8)
    image[500:505, 100:1000] = image[511:516, 100:1000] = 200
    with segment(image, predictor, tmp_path / "o.ome.zarr").labels as labels:
        assert labels.table()["area_px"].tolist() == [4500, 4500]


def test_a_missing_tile_file_is_an_error_and_not_background(segment, predictor, tmp_path):
    out = tmp_path / "o.ome.zarr"
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == 8:
            next((out / UNFINISHED).glob("f1-*.npz")).unlink()

    with pytest.raises(StoreError, match=r"npz: is missing.*resume=True"):
        segment(discs(), predictor, out, progress=progress)
    report = segment(discs(), predictor, out, resume=True)
    assert report.objects == ndimage.label(discs())[1]
    report.labels.close()


def test_a_second_run_in_the_same_store_is_refused(segment, predictor, tmp_path):
    image = discs()
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=image.shape) as labels:
        words = []

        def progress(done, total):
            if not words:
                with pytest.raises(StoreError, match="a run is writing into this store") as raised:
                    segment(image, predictor, labels, resume=False)
                words.append(str(raised.value))

        report = segment(image, predictor, labels, progress=progress)
        assert words
        assert report.objects == ndimage.label(image)[1]


def test_undo_during_writing_stops_the_run_without_leftovers(segment, predictor, tmp_path):
    image = discs()
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=image.shape) as labels:
        seen = []

        def progress(done, total):
            seen.append(done % 9)
            if sum(1 for s in seen if s) == 3:
                labels.undo()

        with pytest.raises(CancelledError, match="was undone"):
            segment(image, predictor, labels, progress=progress)
        assert not labels.array[:, :].any()
        report = segment(image, predictor, labels, resume=True)
        assert report.objects == ndimage.label(image)[1]


@pytest.mark.parametrize("tiles", [1, 4])
def test_dropping_a_run_removes_its_partly_written_objects(segment, predictor, tmp_path, tiles):
    image = discs()
    out = tmp_path / "o.ome.zarr"
    stop_while_writing(segment, image, predictor, out, tiles)
    with segment(image, predictor, out, resume=False).labels as labels:
        assert same_objects(labels.array[:, :], ndimage.label(image)[0])


def test_a_run_with_later_changes_is_not_dropped(segment, predictor, tmp_path):
    out = tmp_path / "o.ome.zarr"
    stop_while_writing(segment, discs(), predictor, out, 3)
    with LabelStore.open(out) as labels:
        labels.erase(1)
        with pytest.raises(SettingsError, match="undo those"):
            segment(discs(), predictor, labels, resume=False)


def test_the_remedy_for_a_damaged_tile_gives_the_complete_result(segment, predictor, tmp_path):
    image = discs()
    out = tmp_path / "o.ome.zarr"
    stop_while_writing(segment, image, predictor, out, 4)
    sorted((out / UNFINISHED).glob("f1-*.npz"))[3].unlink()
    with segment(image, predictor, out, resume=True).labels as labels:
        assert same_objects(labels.array[:, :], ndimage.label(image)[0])


def test_an_object_erased_before_resuming_stays_erased(segment, predictor, tmp_path):
    image = np.zeros((700, 700), np.uint8)
    image[100:110, 200:280] = 1
    out = tmp_path / "o.ome.zarr"
    stop_while_writing(segment, image, predictor, out, 1)
    with LabelStore.open(out) as labels:
        labels.erase(1)
        report = segment(image, predictor, labels, resume=True)
        assert (report.objects, len(labels)) == (0, 0)


def test_a_run_on_another_array_is_not_continued(segment, predictor, tmp_path):
    image = discs()
    with pytest.raises(CancelledError):
        segment(image, predictor, tmp_path / "o.ome.zarr", cancelled=lambda: True)
    with pytest.raises(SettingsError, match=r"with image .* but image is"):
        segment(image[::-1].copy(), predictor, tmp_path / "o.ome.zarr", resume=True)


def test_ids_in_use_are_not_assigned_again(segment, predictor, tmp_path):
    image = discs()
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=image.shape) as labels:
        free = np.argwhere(~ndimage.binary_dilation(image > 0, iterations=3))[:4]
        for label, at in zip((1, 10, 2**32 - 2, 2**32 - 1), free, strict=True):
            labels.paint(np.array([[label]], np.int64), tuple(at))
        with pytest.raises(LabelsError, match="consecutive ids"):
            segment(image, predictor, labels)
        assert labels.object(10)["area_px"] == 1


def test_the_first_label_is_an_object_of_the_run(segment, predictor, tmp_path):
    image = np.zeros((400, 400), np.uint8)
    image[10:14, 10:14] = image[395:, 395:] = image[100:110, 195:215] = 1
    report = segment(image, predictor, tmp_path / "o.ome.zarr", region=(20, 20, 399, 399))
    assert report.first_label == report.labels.table()["label"].min()
    report.labels.close()


@pytest.mark.parametrize(
    "options",
    [
        {"side": 64.5},
        {"level": 1.5},
        {"workers": None},
        {"diameter_px": "a"},
        {"diameter_px": float("inf")},
        {"region": (0, 0, 100)},
        {"client": 3},
        {"workers": 2},
    ],
)
def test_refused_arguments_leave_no_store_behind(predictor, tmp_path, options):
    with pytest.raises(ns.errors.NapariSamError):
        segment_everything(discs(200, 5), predictor, tmp_path / "o.ome.zarr", **options)
    assert not (tmp_path / "o.ome.zarr").exists()


def test_a_stack_of_labels_needs_an_image_with_a_plane(segment, predictor, tmp_path):
    with LabelStore.create(tmp_path / "o.ome.zarr", shape=(3, 200, 200)) as labels:
        with pytest.raises(StoreError, match=r"not \(\)"):
            segment(discs(200, 5), predictor, labels)
        assert not labels.can_undo


def test_a_closed_store_is_refused_before_segmentation(segment, predictor, tmp_path):
    labels = LabelStore.create(tmp_path / "o.ome.zarr", shape=(200, 200))
    labels.close()
    with pytest.raises(StoreError, match="closed"):
        segment(discs(200, 5), predictor, labels)
    assert not segment.finders


def test_a_group_that_a_coarse_level_sees_as_an_object_is_not_an_object(predictor, tmp_path):
    image = np.zeros((600, 600), np.uint8)
    for y in range(110, 500, 60):
        for x in range(110, 500, 60):
            image[y : y + 12, x : x + 12] = 1

    class BlurredFinder(BrightFinder):
        def read(self, region, factor):
            if factor == 1:
                return super().read(region, factor)
            y0, x0, y1, x1 = region
            rows, cols = (np.arange(a, b, factor) for a, b in ((y0, y1), (x0, x1)))
            return ((rows > 100) & (rows < 500))[:, None] & ((cols > 100) & (cols < 500))[None]

    segment = Segmenter(BlurredFinder)
    with segment(image, predictor, tmp_path / "o.ome.zarr").labels as labels:
        assert set(labels.table()["area_px"]) == {144}
