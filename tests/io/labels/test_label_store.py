"""The label store against a dense array in memory, through every change, undo, crash and damage."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.windows import Window
from napari_sam.errors import LabelsError, StoreError, StoreLockedError
from napari_sam.io.labels.journal.run_length import decode_labels, decode_mask, encode_labels, encode_mask
from napari_sam.io.labels.label_pyramid import LabelPyramid, blocks, level_shapes
from napari_sam.io.labels.label_store import LabelStore


def predicted(mask, origin=(0, 0)):
    """A prediction of one mask, as far as a store looks at it."""
    mask = np.asarray(mask, bool)
    y, x = origin
    return Prediction(
        masks=mask[None],
        bbox=(y, x, y + mask.shape[0], x + mask.shape[1]),
        predicted_iou=np.array([0.9], np.float32),
        stability_score=np.array([0.8], np.float32),
        low_res_logits=np.zeros((1, 4, 4), np.float32),
        best=0,
        window=Window((0, 0, 64, 64), 64),
        levels=(64,),
        model="default",
        prompt=Prompt(points=np.array([[1.0, 2.0]]), point_labels=np.array([1])),
    )


@pytest.fixture
def labels(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(3000, 2500)) as store:
        yield store


def square(side=10):
    return np.ones((side, side), bool)


# ---- pixels and rows -----------------------------------------------------------------------------------------


def test_commit_writes_pixels_table_and_pyramid(labels):
    assert labels.commit(predicted(square(400), (100, 200)), category="cell") == 1
    assert labels.array[100, 200] == 1
    assert labels.array[99, 200] == 0
    row = labels.table().iloc[0]
    assert (row.area_px, row.y0, row.x0, row.y1, row.x1) == (160_000, 100, 200, 500, 600)
    assert (row.category, row.model) == ("cell", "default")
    assert row.predicted_iou == pytest.approx(0.9)
    for k, level in enumerate(labels.levels):
        expected = np.zeros(labels.shape, np.uint32)
        expected[100:500, 200:600] = 1
        np.testing.assert_array_equal(level[...], expected[:: 2**k, :: 2**k])


def test_levels_end_below_1024_pixels():
    assert level_shapes((3000, 2500)) == [(3000, 2500), (1500, 1250), (750, 625)]
    assert level_shapes((2, 100_001, 7))[-1] == (2, 782, 1)


def test_keep_leaves_other_objects_their_pixels(labels):
    labels.commit(predicted(square(), (0, 0)))
    labels.commit(predicted(square(), (5, 5)), overlap="keep")
    assert labels.table().area_px.tolist() == [100, 75]


def test_replace_takes_pixels_and_shrinks_the_other_objects_row(labels):
    labels.commit(predicted(square(), (0, 0)))
    labels.commit(predicted(np.ones((5, 10), bool), (0, 0)), overlap="replace")
    table = labels.table().set_index("label")
    assert table.area_px.tolist() == [50, 50]
    assert table.loc[1, ["y0", "x0", "y1", "x1"]].tolist() == [5, 0, 10, 10]


def test_an_object_wholly_replaced_leaves_the_table_and_undo_brings_it_back(labels):
    labels.commit(predicted(square(), (0, 0)))
    labels.commit(predicted(square(), (0, 0)), overlap="replace")
    assert labels.table().label.tolist() == [2]
    labels.undo()
    assert labels.table().label.tolist() == [1]
    assert labels.table().area_px.tolist() == [100]


def test_erase_clears_the_pixels_under_the_mask(labels):
    labels.commit(predicted(square(), (0, 0)))
    assert labels.commit(predicted(square(5), (0, 0)), overlap="erase") == 0
    assert labels.table().area_px.tolist() == [75]
    with pytest.raises(LabelsError, match="no object under the mask"):
        labels.commit(predicted(square(5), (500, 500)), overlap="erase")


def test_a_known_label_gets_the_new_mask_instead_of_its_own(labels):
    labels.commit(predicted(square(), (0, 0)), category="cell")
    assert labels.commit(predicted(square(4), (100, 100)), label=1) == 1
    row = labels.object(1)
    assert (row["area_px"], row["y0"], row["x1"]) == (16, 100, 104)
    assert labels.array[0, 0] == 0


def test_what_lies_outside_the_image_is_cut_off(labels):
    labels.commit(predicted(square(), (2995, 2495)))
    assert labels.object(1)["area_px"] == 25


def test_a_mask_under_other_objects_is_refused_and_nothing_changes(labels):
    labels.commit(predicted(square(), (0, 0)))
    with pytest.raises(LabelsError, match="wholly under other objects"):
        labels.commit(predicted(square(3), (2, 2)))
    assert len(labels) == 1
    assert labels.next_label == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overlap": "blend"}, "overlap 'blend'"),
        ({"label": 0}, "label 0"),
        ({"label": 2**32}, "label 4294967296"),
        ({"candidate": 1}, "candidate 1"),
        ({"plane": (3,)}, "plane"),
    ],
)
def test_arguments_that_mean_nothing_are_named(labels, arguments, message):
    with pytest.raises(LabelsError, match=message):
        labels.commit(predicted(square()), **arguments)


def test_merge_keeps_one_id_and_all_pixels(labels):
    for y in (0, 20, 40):
        labels.commit(predicted(square(), (y, 0)))
    assert labels.merge([3, 1]) == 1
    table = labels.table().set_index("label")
    assert table.index.tolist() == [1, 2]
    assert table.loc[1, ["area_px", "y0", "y1"]].tolist() == [200, 0, 50]
    with pytest.raises(LabelsError, match="two ids or more"):
        labels.merge([1])
    with pytest.raises(LabelsError, match="no object 9"):
        labels.merge([1, 9])


def test_split_gives_pieces_their_own_ids_largest_first(labels):
    two = np.zeros((10, 30), bool)
    two[:, :5] = two[:, 10:] = True
    labels.commit(predicted(two), category="cell")
    assert labels.split(1) == [1, 2]
    table = labels.table().set_index("label")
    assert table.area_px.tolist() == [200, 50]
    assert table.loc[2, "category"] == "cell"
    with pytest.raises(LabelsError, match="one piece"):
        labels.split(1)


def test_split_by_points_cuts_at_the_narrow_place(labels):
    dumbbell = np.zeros((21, 61), bool)
    dumbbell[:, :20] = dumbbell[:, 41:] = dumbbell[9:12] = True
    labels.commit(predicted(dumbbell))
    labels.split(1, [(10, 10), (10, 50)])
    assert labels.array[10, 5] != labels.array[10, 55]
    assert sorted(labels.table().area_px) == [450, 453]
    with pytest.raises(LabelsError, match="point 2 does not lie"):
        labels.split(1, [(10, 10), (500, 50)])


def test_relabel_moves_pixels_and_row_and_refuses_a_taken_id(labels):
    labels.commit(predicted(square()), category="cell")
    labels.commit(predicted(square(), (50, 50)))
    labels.relabel(1, 700)
    assert labels.array[0, 0] == 700
    assert labels.object(700)["category"] == "cell"
    assert labels.next_label == 701
    with pytest.raises(LabelsError, match="object 2 exists"):
        labels.relabel(700, 2)


def test_paint_makes_new_ids_objects_and_counts_changes(labels):
    assert labels.paint(np.array([[0, 7], [7, 7]]), (10, 10)) == 3
    assert labels.object(7)["area_px"] == 3
    assert labels.paint(np.array([[0, 7], [7, 7]]), (10, 10)) == 0
    assert len(labels.history()) == 1
    with pytest.raises(LabelsError, match="outside the image"):
        labels.paint(np.ones((4, 4), int), (2998, 0))
    with pytest.raises(LabelsError, match="whole numbers"):
        labels.paint(np.ones((4, 4)), (0, 0))


def test_planes_are_apart(tmp_path):
    with LabelStore.create(tmp_path / "z.zarr", shape=(3, 50, 60)) as labels:
        labels.commit(predicted(square()), plane=(2,))
        assert int(labels.array[...].sum()) == 100
        assert labels.array[2, 0, 0] == 1
        assert labels.table().plane.tolist() == ["2"]
        mask, box = labels.mask(1)
        assert mask.all()
        assert box == (0, 0, 10, 10)


# ---- history -------------------------------------------------------------------------------------------------


def test_undo_and_redo_go_on_after_a_restart(tmp_path):
    with LabelStore.create(tmp_path / "a", shape=(100, 100)) as labels:
        labels.commit(predicted(square()))
        labels.commit(predicted(square(), (20, 20)))
        labels.undo()
    with LabelStore.open(tmp_path / "a") as labels:
        assert labels.redo()["kind"] == "commit"
        assert labels.table().label.tolist() == [1, 2]
        assert labels.undo() is not None
        assert labels.undo() is not None
        assert labels.undo() is None
        assert not labels.array[...].any()
        assert labels.next_label == 1


def test_a_change_after_undo_drops_redo_but_not_the_record(labels):
    labels.commit(predicted(square()))
    labels.undo()
    assert labels.commit(predicted(square(), (20, 20))) == 1
    assert not labels.can_redo
    history = labels.history()
    assert history.state.tolist() == ["dropped", "done"]
    np.testing.assert_array_equal(decode_mask(history.record[0]["mask"]), square())


def test_the_record_keeps_prompt_model_window_and_scores(labels):
    labels.commit(predicted(square()))
    record = labels.history().record[0]
    assert record["prompt"] == {"points": [[1.0, 2.0]], "point_labels": [1]}
    assert (record["model"], record["window"], record["label"]) == ("default", [0, 0, 64, 64], 1)


@settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
class AgainstDense(RuleBasedStateMachine):
    """Any changes in any order leave what the same changes leave in a dense array; so does opening anew."""

    shape = (40, 50)

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.mkdtemp()
        self.labels = LabelStore.create(f"{self.folder}/s", shape=self.shape)
        self.dense = np.zeros(self.shape, np.uint32)
        self.past, self.future = [], []

    def teardown(self):
        self.labels.close()
        shutil.rmtree(self.folder)

    def changed(self, after):
        self.past.append(self.dense)
        self.future.clear()
        self.dense = after

    @rule(y=st.integers(0, 39), x=st.integers(0, 49), h=st.integers(1, 20), w=st.integers(1, 20), keep=st.booleans())
    def commit(self, y, x, h, w, keep):
        region = np.zeros(self.shape, bool)
        region[y : y + h, x : x + w] = True
        if keep:
            region &= self.dense == 0
        mask = predicted(np.ones((h, w), bool), (y, x))
        if not region.any():
            with pytest.raises(LabelsError):
                self.labels.commit(mask, overlap="keep")
            return
        label = self.labels.commit(mask, overlap="keep" if keep else "replace")
        self.changed(np.where(region, label, self.dense).astype(np.uint32))

    @rule(seed=st.integers(0, 5), y=st.integers(0, 30), x=st.integers(0, 30))
    def paint(self, seed, y, x):
        values = np.random.default_rng(seed).integers(0, 4, (8, 9)).astype(np.uint32)
        after = self.dense.copy()
        after[y : y + 8, x : x + 9] = values
        if self.labels.paint(values, (y, x)):
            self.changed(after)

    @precondition(lambda self: len(np.unique(self.dense)) > 2)
    @rule()
    def merge(self):
        first, second = np.unique(self.dense)[1:3]
        self.labels.merge([int(first), int(second)])
        self.changed(np.where(self.dense == second, first, self.dense))

    @precondition(lambda self: self.dense.any())
    @rule()
    def erase(self):
        label = int(self.dense.max())
        self.labels.erase(label)
        self.changed(np.where(self.dense == label, 0, self.dense).astype(np.uint32))

    @rule()
    def undo(self):
        done = self.labels.undo()
        assert (done is not None) == bool(self.past)
        if self.past:
            self.future.append(self.dense)
            self.dense = self.past.pop()

    @rule()
    def redo(self):
        done = self.labels.redo()
        assert (done is not None) == bool(self.future)
        if self.future:
            self.past.append(self.dense)
            self.dense = self.future.pop()

    @rule()
    def reopen(self):
        self.labels.close()
        self.labels = LabelStore.open(f"{self.folder}/s")

    @invariant()
    def same(self):
        np.testing.assert_array_equal(self.labels.array[...], self.dense)
        table = self.labels.table().set_index("label")
        found = np.unique(self.dense)
        assert table.index.tolist() == found[found > 0].tolist()
        for label, row in table.iterrows():
            rows, cols = np.nonzero(self.dense == label)
            assert row.area_px == len(rows)
            box = [row.y0, row.x0, row.y1, row.x1]
            assert box == [rows.min(), cols.min(), rows.max() + 1, cols.max() + 1]


test_any_changes_equal_a_dense_array = AgainstDense.TestCase


# ---- crashes and damage --------------------------------------------------------------------------------------

_WRITER = textwrap.dedent(
    """
    import sys
    import numpy as np
    sys.path.insert(0, sys.argv[2])
    from helpers_of_the_killed import predicted
    from napari_sam.io.labels.label_store import LabelStore
    rng = np.random.default_rng(int(sys.argv[3]))
    with LabelStore.open(sys.argv[1]) as labels:
        print("ready", flush=True)
        while True:
            y, x = (int(v) for v in rng.integers(0, 2300, 2))
            label = labels.commit(predicted(np.ones((290, 290), bool), (y, x)), overlap="replace")
            print(label, y, x, flush=True)
            if rng.random() < 0.2:
                labels.undo()
                print("undo", flush=True)
    """
)


@pytest.mark.timeout(280)
def test_a_writer_killed_at_50_random_moments_loses_nothing_it_has_acknowledged(tmp_path):
    import inspect
    import time

    helper = "import numpy as np\nfrom napari_sam.engine.interactive.prediction import Prediction\n"
    helper += "from napari_sam.engine.interactive.prompts import Prompt\n"
    helper += "from napari_sam.engine.windows import Window\n\n\n" + inspect.getsource(predicted)
    (tmp_path / "helpers_of_the_killed.py").write_text(helper)
    store = tmp_path / "s"
    LabelStore.create(store, shape=(2600, 2600)).close()
    dense = np.zeros((2600, 2600), np.uint32)
    rng = np.random.default_rng(0)
    for kill in range(50):
        command = [sys.executable, "-c", _WRITER, str(store), str(tmp_path), str(kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(float(rng.uniform(0, 0.12)))
            process.kill()
            said = process.stdout.read().splitlines()
        past = []
        for line in said:
            if line == "undo":
                dense = past.pop()
            else:
                label, y, x = (int(v) for v in line.split())
                past.append(dense.copy())
                dense[y : y + 290, x : x + 290] = label
        with LabelStore.open(store) as labels:
            now = labels.array[...]
            if not np.array_equal(now, dense):  # one more change may be on disk than was said
                last = labels.history().iloc[-1]
                state = "undone" if last.state == "undone" else "done"
                labels.undo() if state == "done" else labels.redo()
                np.testing.assert_array_equal(labels.array[...], dense)
                labels.redo() if state == "done" else labels.undo()
            dense = now
            for k, level in enumerate(labels.levels):
                np.testing.assert_array_equal(level[...], dense[:: 2**k, :: 2**k])
            assert labels.table().area_px.sum() == np.count_nonzero(dense)


def test_pixels_that_were_never_drawn_are_drawn_when_the_store_is_opened(tmp_path, monkeypatch):
    labels = LabelStore.create(tmp_path / "s", shape=(100, 100))

    def full(*_):
        raise StoreError("no space left on device")

    monkeypatch.setattr(LabelPyramid, "draw", full)
    with pytest.raises(StoreError, match="safe in the journal"):
        labels.commit(predicted(square()))
    monkeypatch.undo()
    labels.close()
    with LabelStore.open(tmp_path / "s") as labels:
        assert labels.array[0, 0] == 1


def test_after_a_failed_drawing_the_next_change_draws_both(labels, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LabelPyramid, "draw", lambda *_: (_ for _ in ()).throw(StoreError("disk full")))
        with pytest.raises(StoreError, match="safe in the journal"):
            labels.commit(predicted(square()))
    labels.commit(predicted(square(), (50, 50)))
    assert (labels.array[0, 0], labels.array[50, 50]) == (1, 2)


def test_a_full_disk_under_the_journal_leaves_everything_as_it_was(labels):
    labels.commit(predicted(square()))
    labels.journal._database.connection.execute("PRAGMA max_page_count = 1")  # SQLite says "database or disk is full"
    noise = np.random.default_rng(0).random((900, 900)) > 0.5
    with pytest.raises(StoreError, match="free space"):
        labels.commit(predicted(noise, (100, 100)))
    labels.journal._database.connection.execute("PRAGMA max_page_count = 1000000")
    assert len(labels) == 1
    assert not labels.array[100:1000, 100:1000].any()
    assert labels.commit(predicted(noise, (100, 100))) == 2


def test_missing_and_damaged_files_are_drawn_again_from_the_journal(tmp_path):
    path = tmp_path / "s"
    with LabelStore.create(path, shape=(5000, 5000)) as labels:
        for i in range(4):
            labels.commit(predicted(square(500), (i * 1200, i * 1200)))
        before = labels.array[...]
    shards = sorted(f for f in (path / "0" / "c").rglob("*") if f.is_file())
    shards[0].write_bytes(shards[0].read_bytes()[:-40])  # a truncated shard
    shards[1].unlink()
    with LabelStore.open(path) as labels:
        with pytest.raises(StoreError, match="repair"):
            labels.array[...]
        seen = []
        labels.rebuild(lambda done, total: seen.append((done, total)))
        assert seen[-1] == (4, 4)
        np.testing.assert_array_equal(labels.array[...], before)
        labels.undo()
        assert labels.array[3600, 3600] == 0


def test_a_second_writer_is_told_who_holds_the_store_and_may_read(tmp_path):
    import os

    with LabelStore.create(tmp_path / "s", shape=(100, 100)) as labels:
        labels.commit(predicted(square()))
        code = (
            "import sys\nfrom napari_sam.io.labels.label_store import LabelStore\n"
            "print(LabelStore.open(sys.argv[1], 'r').array[3, 3])\n"
            "try:\n    LabelStore.open(sys.argv[1])\nexcept Exception as error:\n    print(type(error).__name__, error)"
        )
        said = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, check=True
        ).stdout
        assert said.startswith("1\nStoreLockedError")
        assert f"process {os.getpid()} on" in said
        with pytest.raises(StoreLockedError, match="that is open"):
            LabelStore.open(tmp_path / "s")
    LabelStore.open(tmp_path / "s").close()


def test_a_reader_cannot_change_anything(tmp_path):
    LabelStore.create(tmp_path / "s", shape=(100, 100)).close()
    with LabelStore.open(tmp_path / "s", "r") as labels, pytest.raises(StoreError, match="opened for reading"):
        labels.commit(predicted(square()))


def test_a_closed_store_says_so(tmp_path):
    labels = LabelStore.create(tmp_path / "s", shape=(100, 100))
    labels.close()
    labels.close()
    with pytest.raises(StoreError, match="closed"):
        labels.commit(predicted(square()))


def test_a_store_of_a_newer_version_is_named_and_left_alone(tmp_path):
    LabelStore.create(tmp_path / "s", shape=(100, 100)).close()
    with sqlite3.connect(tmp_path / "s" / "journal.sqlite") as db:
        db.execute("UPDATE meta SET value = '7' WHERE key = 'format'")
    db.close()
    with pytest.raises(StoreError, match=r"format 7.*upgrade"):
        LabelStore.open(tmp_path / "s")
    with pytest.raises(StoreError, match="format 7"):  # the lock was given back
        LabelStore.open(tmp_path / "s")


def test_what_is_no_store_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"LabelStore\.create"):
        LabelStore.open(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="journal is missing"):
        LabelStore.open(tmp_path / "folder", "r")
    with pytest.raises(StoreError, match="not overwritten"):
        LabelStore.create(tmp_path / "folder", shape=(9, 9), overwrite=True)
    assert (tmp_path / "folder" / "thesis.txt").exists()
    with pytest.raises(StoreError, match="exists already"):
        LabelStore.create(tmp_path / "folder", shape=(9, 9))


def test_overwrite_replaces_a_store(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(100, 100)) as labels:
        labels.commit(predicted(square()))
    with LabelStore.create(tmp_path / "s", shape=(50, 60), overwrite=True) as labels:
        assert labels.shape == (50, 60)
        assert len(labels) == 0


@pytest.mark.parametrize("shape", [None, (5,), (0, 4), (2**31, 4), (1, 1, 1, 1, 5, 5)])
def test_shapes_that_mean_nothing_are_named(tmp_path, shape):
    with pytest.raises(LabelsError, match="shape"):
        LabelStore.create(tmp_path / "s", shape=shape)


def test_an_image_of_another_shape_is_refused(tmp_path):
    from napari_sam.io.images.open_image import open_image

    image = open_image(np.zeros((100, 120), np.uint8))
    LabelStore.create(tmp_path / "s", like=image).close()
    LabelStore.open(tmp_path / "s", like=image).close()
    with pytest.raises(StoreError, match=r"do not fit the image \(100, 121\)"):
        LabelStore.open(tmp_path / "s", like=open_image(np.zeros((100, 121), np.uint8)))


def test_damaged_runs_are_named():
    blob = encode_labels(np.arange(12).reshape(3, 4))
    for bad in (blob[:5], blob[:-3], b"\1" + blob[1:]):
        with pytest.raises(StoreError, match="damaged"):
            decode_labels(bad)


@pytest.mark.parametrize("seed", range(5))
def test_runs_give_back_what_they_were_made_of(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rng.integers(1, 40, 2)) * (2**32 - 1) // 2
    np.testing.assert_array_equal(decode_labels(encode_labels(labels)), labels)
    np.testing.assert_array_equal(decode_mask(encode_mask(labels > 0)), labels > 0)


def test_blocks_cover_a_box_once():
    cover = np.zeros((9000, 4100), np.uint8)
    for y0, x0, y1, x1 in blocks((3, 4090, 9000, 4100)):
        cover[y0:y1, x0:x1] += 1
    assert cover[3:, 4090:].all()
    assert cover.max() == 1
    assert cover.sum() == 8997 * 10


def test_a_store_inside_an_ome_zarr_image_is_registered_there(tmp_path):
    image = tmp_path / "image.ome.zarr"
    image.mkdir()
    (image / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    LabelStore.create(image / "labels" / "nuclei", shape=(64, 64)).close()
    group = json.loads((image / "labels" / "zarr.json").read_text())
    assert group["attributes"]["ome"] == {"version": "0.5", "labels": ["nuclei"]}


def test_zarr_python_reads_the_same_pixels(labels):
    import zarr

    labels.commit(predicted(square(300), (1900, 1900)))
    group = zarr.open(labels.path, mode="r")
    np.testing.assert_array_equal(group["0"][...], labels.array[...])
    assert group.attrs["ome"]["version"] == "0.5"


@pytest.mark.parametrize("shape", [(3000, 2500), (2, 3, 300, 200)])
def test_the_metadata_are_valid_ngff(tmp_path, shape):
    import zarr
    from ome_zarr_models.v05.image_label import ImageLabel

    LabelStore.create(tmp_path / "s", shape=shape, scale=(0.5, 0.25)).close()
    label = ImageLabel.from_zarr(zarr.open_group(tmp_path / "s", mode="r"))
    (multiscale,) = label.attributes.ome.multiscales
    assert multiscale.datasets[0].coordinateTransformations[0].scale[-2:] == [0.5, 0.25]
    assert len(multiscale.datasets) == (3 if len(shape) == 2 else 1)


# ---- found by reviewers ----------------------------------------------------------------------------------------


def test_an_id_of_another_plane_is_refused_and_the_object_can_be_erased(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3, 60, 60)) as labels:
        labels.paint(np.ones((5, 5), int), (0, 0), plane=(0,))
        with pytest.raises(LabelsError, match="object 1 lies on plane 0"):
            labels.paint(np.ones((5, 5), int), (50, 50), plane=(2,))
        labels.erase(1)
        assert not labels.array[...].any()


def test_a_relative_path_stays_where_it_was_when_the_working_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    labels = LabelStore.create("x.ome.zarr", shape=(50, 50))
    monkeypatch.chdir(tmp_path / "b")
    labels.paint(np.ones((5, 5), int), (0, 0))
    labels.close()
    assert not (tmp_path / "b" / "x.ome.zarr").exists()
    with LabelStore.open(tmp_path / "a" / "x.ome.zarr", "r") as labels:
        assert labels.array[0, 0] == 1


def test_an_interrupted_rebuild_is_finished_when_the_store_is_opened(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(50, 50)) as labels:
        for i in range(3):
            labels.commit(predicted(square(5), (i * 10, 0)))

        def stop(*_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            labels.rebuild(stop)
    with LabelStore.open(tmp_path / "s") as labels:
        assert np.unique(labels.array[...]).tolist() == [0, 1, 2, 3]


def test_repair_opens_a_store_whose_level_metadata_are_lost(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(3000, 50)) as labels:
        labels.commit(predicted(square(40)))
        labels.commit(predicted(square(40), (2000, 0)))
        labels.undo()
        before = [level[...] for level in labels.levels]
    (tmp_path / "s" / "1" / "zarr.json").unlink()
    with pytest.raises(StoreError, match="repair"):
        LabelStore.open(tmp_path / "s")
    with LabelStore.repair(tmp_path / "s") as labels:
        for level, pixels in zip(labels.levels, before, strict=True):
            np.testing.assert_array_equal(level[...], pixels)
        assert labels.can_redo


def test_a_store_that_was_half_made_does_not_block_its_name(tmp_path, monkeypatch):
    from napari_sam.io.labels import store_files

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_files.Journal, "create", fail)
        with pytest.raises(KeyboardInterrupt):
            LabelStore.create(tmp_path / "s", shape=(50, 50))
    assert not (tmp_path / "s").exists()
    LabelStore.create(tmp_path / "s", shape=(50, 50)).close()


def test_a_forked_child_neither_writes_nor_gives_the_lock_away(tmp_path):
    code = textwrap.dedent(
        """
        import os, sys
        import numpy as np
        from napari_sam.io.labels.label_store import LabelStore
        from napari_sam.errors import StoreError
        labels = LabelStore.create(sys.argv[1], shape=(50, 50))
        child = os.fork()
        if child == 0:
            try:
                labels.paint(np.ones((2, 2), int), (0, 0))
            except StoreError as error:
                assert "fork" in str(error)
                labels.close()
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        import subprocess
        said = subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], capture_output=True, text=True).stdout
        assert "locked" in said, said
        labels.paint(np.ones((2, 2), int), (0, 0))
        """
    )
    third = textwrap.dedent(
        """
        import sys
        from napari_sam.errors import StoreLockedError
        from napari_sam.io.labels.label_store import LabelStore
        try:
            LabelStore.open(sys.argv[1])
        except StoreLockedError:
            print("locked")
        """
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "s"), third], check=True)


def test_a_store_that_was_forgotten_can_be_opened_again(tmp_path):
    labels = LabelStore.create(tmp_path / "s", shape=(50, 50))
    with pytest.raises(StoreLockedError, match="this process"):
        LabelStore.open(tmp_path / "s")
    del labels
    LabelStore.open(tmp_path / "s").close()


def test_a_known_label_that_would_vanish_is_refused_and_keeps_its_category(labels):
    labels.commit(predicted(square(), (0, 0)), category="cell")
    labels.commit(predicted(square(), (50, 50)))
    with pytest.raises(LabelsError, match="wholly under other objects"):
        labels.commit(predicted(square(4), (52, 52)), label=1)
    labels.commit(predicted(square(4), (100, 100)), label=1)
    assert labels.object(1)["category"] == "cell"


def test_a_listener_that_fails_does_not_hold_up_later_changes(labels):
    def fail(*_):
        raise ValueError("a listener's own fault")

    labels.on_drawn(fail)
    for i in (0, 20):
        with pytest.raises(ValueError, match="own fault"):
            labels.commit(predicted(square(), (i, 0)))
    assert len(labels) == 2
    assert labels.array[20, 0] == 2


def test_a_damaged_change_is_not_undone_and_the_store_still_works(labels):
    labels.commit(predicted(square()))
    labels.commit(predicted(square(), (50, 50)))
    labels.journal._database.connection.execute("UPDATE patches SET before = x'00' WHERE op = 2")
    with pytest.raises(StoreError, match="damaged"):
        labels.undo()
    assert labels.commit(predicted(square(), (90, 90))) == 3


def test_the_largest_id_leaves_room_for_the_next_object(labels):
    labels.paint(np.full((2, 2), 2**32 - 1, np.uint32), (0, 0))
    assert labels.commit(predicted(square(), (50, 50))) == 1
    assert labels.commit(predicted(square(), (70, 70))) == 2


def test_numpy_numbers_are_kept_in_the_journal(labels):
    labels.commit(predicted(square()))
    labels.commit(predicted(square(), (50, 50)))
    assert labels.merge(labels.table().label, into=labels.table().label[1]) == 2


def test_two_points_on_one_pixel_do_not_split(labels):
    labels.commit(predicted(square()))
    with pytest.raises(LabelsError, match="one pixel"):
        labels.split(1, [(5, 5), (5, 5), (5, 9)])


def test_a_disc_is_halved_between_two_points(labels):
    y, x = np.mgrid[:91, :91] - 45
    labels.commit(predicted(y**2 + x**2 <= 45**2))
    labels.split(1, [(45, 33), (45, 57)])
    small, large = sorted(labels.table().area_px)
    assert small > 0.8 * large


def test_a_prediction_of_another_image_is_refused(labels):
    from dataclasses import replace

    from napari_sam.engine.interactive.prediction import PredictionContext

    other = replace(predicted(square()), context=PredictionContext(image_shape=(512, 512)))
    with pytest.raises(LabelsError, match=r"image of shape \(512, 512\)"):
        labels.commit(other)
    with pytest.raises(LabelsError, match="str is not a Prediction"):
        labels.commit("x")


def test_a_dot_in_a_large_object_leaves_its_box_and_an_edge_moves_it(labels):
    labels.commit(predicted(np.ones((2000, 1500), bool), (100, 200)))
    labels.paint(np.zeros((10, 10), int), (900, 900))
    row = labels.object(1)
    assert (row["area_px"], row["y0"], row["x0"], row["y1"], row["x1"]) == (2_999_900, 100, 200, 2100, 1700)
    labels.paint(np.zeros((600, 1500), int), (100, 200))
    assert labels.object(1)["y0"] == 700


def test_beyond_the_border_is_an_index_error_that_names_the_shape(labels):
    with pytest.raises(IndexError, match=r"\(3000, 2500\)"):
        labels.array[30000:30300, 0:9]


@pytest.mark.parametrize(
    "names", [("cells.tif", "cells.png"), ("a b.tif", "a_b.tif"), ("x" * 90 + "1", "x" * 90 + "2")]
)
def test_different_images_never_share_a_store(tmp_path, names):
    from napari_sam.io.labels.store_paths import store_path

    paths = {store_path("image", str(tmp_path / name)) for name in names}
    assert len(paths) == 2
    assert {path.parent for path in paths} == {tmp_path}
