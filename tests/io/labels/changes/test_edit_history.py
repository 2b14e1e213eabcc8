"""Undo and redo, against a dense array in memory and across restarts."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from napari_sam.errors import LabelsError
from napari_sam.io.labels.journal.run_length import decode_mask
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels.label_stubs import predicted, square


def test_undo_and_redo_continue_after_a_restart(tmp_path):
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


@settings(max_examples=25, stateful_step_count=20, suppress_health_check=list(HealthCheck))
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
