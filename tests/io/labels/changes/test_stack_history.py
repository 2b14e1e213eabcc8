"""Objects on several planes against a dense array, plane by plane, with their scores and lineage."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore

PLANES, HEIGHT, WIDTH = 4, 20, 24
BOXES = st.tuples(st.integers(0, 15), st.integers(0, 18), st.integers(1, 12), st.integers(1, 12))
SOME_PLANES = st.sets(st.integers(0, PLANES - 1), min_size=1)


@dataclass(frozen=True)
class State:
    """Pixels, the score of each object on each plane, and the parent of each object."""

    dense: np.ndarray = field(default_factory=lambda: np.zeros((PLANES, HEIGHT, WIDTH), np.int64))
    scores: dict = field(default_factory=dict)
    parents: dict = field(default_factory=dict)

    def objects(self):
        return sorted(int(n) for n in np.unique(self.dense) if n)

    def same_as(self, other):
        return np.array_equal(self.dense, other.dense) and self.scores == other.scores

    def then(self, dense, scores=(), parents=(), renamed=()):
        """Return the state with other pixels; what is said of objects that vanish is forgotten or inherited."""
        known, heirs = {**self.scores, **dict(scores)}, dict(renamed)
        present = {(int(n), z) for z in range(PLANES) for n in np.unique(dense[z]) if n}
        ids = {label for label, _ in present}
        found = {label: {**self.parents, **dict(parents)}.get(label) for label in ids}
        for child, parent in found.items():
            if parent is not None and parent not in ids:
                found[child] = None if heirs.get(parent) == child else heirs.get(parent)
        return State(dense, {key: known.get(key) for key in present}, found)


@settings(max_examples=25, stateful_step_count=20, suppress_health_check=list(HealthCheck))
class StackAgainstDense(RuleBasedStateMachine):
    """Any changes in any order leave what the same changes leave in a dense array; so does opening anew."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.labels = LabelStore.create(f"{self.folder}/s", shape=(PLANES, HEIGHT, WIDTH))
        self.now = State()
        self.past, self.future = [], []

    def teardown(self):
        self.labels.close()
        shutil.rmtree(self.folder)

    def changed(self, state):
        self.past.append(self.now)
        self.future.clear()
        self.now = state

    def pick(self, number):
        objects = self.now.objects()
        return objects[number % len(objects)]

    @rule(planes=SOME_PLANES, box=BOXES, keep=st.booleans(), score=st.floats(0, 1), known=st.integers(0, 5))
    def commit(self, planes, box, keep, score, known):
        y, x, h, w = box
        h, w = min(h, HEIGHT - y), min(w, WIDTH - x)
        label = self.pick(known) if known < 3 and self.now.objects() else None
        masks = {z: (np.ones((h, w), bool), (y, x, y + h, x + w), score + z) for z in planes}
        dense, number = self.now.dense.copy(), label or self.labels.next_label
        for z in planes:
            dense[z][dense[z] == number] = 0
            region = dense[z][y : y + h, x : x + w]
            region[(region == 0) | (not keep)] = number
        overlap = "keep" if keep else "replace"
        after = self.now.then(dense, {(number, z): score + z for z in planes})
        if not (dense[sorted(planes)] == number).any() or after.same_as(self.now):
            with pytest.raises(LabelsError, match=r"wholly under other objects|nothing would change"):
                self.labels.commit_planes(masks, label=label, overlap=overlap)
            return
        assert self.labels.commit_planes(masks, label=label, overlap=overlap) == number
        self.changed(after)

    @rule(seed=st.integers(0, 5), z=st.integers(0, PLANES - 1), y=st.integers(0, 12), x=st.integers(0, 15))
    def paint(self, seed, z, y, x):
        values = np.random.default_rng(seed).integers(0, 4, (8, 9))
        dense = self.now.dense.copy()
        dense[z, y : y + 8, x : x + 9] = values
        if self.labels.paint(values, (y, x), plane=(z,)):
            self.changed(self.now.then(dense))

    @precondition(lambda self: self.now.objects())
    @rule(number=st.integers(0, 9), one_plane=st.booleans())
    def erase(self, number, one_plane):
        label = self.pick(number)
        planes = sorted(z for n, z in self.now.scores if n == label)
        gone = planes[:1] if one_plane else planes
        self.labels.erase(label, (gone[0],) if one_plane else None)
        dense = self.now.dense.copy()
        for z in gone:
            dense[z][dense[z] == label] = 0
        self.changed(self.now.then(dense))

    @precondition(lambda self: len(self.now.objects()) > 1)
    @rule(number=st.integers(0, 9))
    def merge(self, number):
        target = self.pick(number)
        other = self.pick(number + 1)
        self.labels.merge([target, other], into=target)
        scores = {(target, z): score for (n, z), score in self.now.scores.items() if n == other}
        scores |= {key: score for key, score in self.now.scores.items() if key[0] == target}
        dense = np.where(self.now.dense == other, target, self.now.dense)
        self.changed(self.now.then(dense, scores, renamed={other: target}))

    @precondition(lambda self: self.now.objects())
    @rule(number=st.integers(0, 9), some=st.booleans())
    def relabel(self, number, some):
        old, new = self.pick(number), max(self.now.objects()) + 7
        planes = sorted(z for n, z in self.now.scores if n == old)
        moved = planes[-1:] if some else planes
        self.labels.relabel(old, new, planes=[(z,) for z in moved] if some else None)
        dense = self.now.dense.copy()
        for z in moved:
            dense[z][dense[z] == old] = new
        scores = {(new, z): self.now.scores[old, z] for z in moved}
        parents = {new: self.now.parents[old]} if len(moved) == len(planes) else {}
        self.changed(self.now.then(dense, scores, parents, {old: new}))

    @precondition(lambda self: len(self.now.objects()) > 1)
    @rule(number=st.integers(0, 9))
    def set_parent(self, number):
        child, parent = self.pick(number), self.pick(number + 1)
        above = parent
        while above is not None and above != child:
            above = self.now.parents[above]
        if above == child:
            with pytest.raises(LabelsError, match="descend from itself"):
                self.labels.set_parent(child, parent)
            return
        self.labels.set_parent(child, parent)
        self.changed(self.now.then(self.now.dense, parents={child: parent}))

    @rule(planes=SOME_PLANES, y=st.integers(0, 12))
    def run(self, planes, y):
        label = self.labels.next_label
        run = self.labels.run_writer(f"run {len(self.labels.history())}")
        begin = run.begin({}, 1)
        dense = self.now.dense.copy()
        for z in sorted(planes):
            details = {label: {"predicted_iou": 0.1 * z}}
            run.write(np.full((6, 6), label), (y, y), tile=str(z), begin=begin, details=details, plane=(z,))
            region = dense[z, y : y + 6, y : y + 6]
            region[region == 0] = label
        self.changed(self.now.then(dense, {(label, z): 0.1 * z for z in planes}))

    @rule()
    def undo(self):
        done = self.labels.undo()
        assert (done is not None) == bool(self.past)
        if self.past:
            self.future.append(self.now)
            self.now = self.past.pop()

    @rule()
    def redo(self):
        done = self.labels.redo()
        assert (done is not None) == bool(self.future)
        if self.future:
            self.past.append(self.now)
            self.now = self.future.pop()

    @rule()
    def reopen(self):
        self.labels.close()
        self.labels = LabelStore.open(f"{self.folder}/s")

    @invariant()
    def same(self):
        np.testing.assert_array_equal(self.labels.array[...], self.now.dense)
        rows = self.labels.journal.objects.table()
        assert [row.label for row in rows] == self.now.objects()
        assert {row.label: row.parent for row in rows} == self.now.parents
        for row in rows:
            planes, ys, xs = np.nonzero(self.now.dense == row.label)
            assert (row.area_px, row.n_planes, row.plane) == (len(ys), len(set(planes)), str(planes.min()))
            assert (row.y0, row.x0, row.y1, row.x1) == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
            scores = [score for (n, _), score in self.now.scores.items() if n == row.label and score is not None]
            assert row.predicted_iou == min(scores, default=None)
        for part in self.labels.journal.objects.all_parts():
            ys, xs = np.nonzero(self.now.dense[part.plane] == part.label)
            assert (part.area_px, tuple(part.box)) == (len(ys), (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1))
            assert part.predicted_iou == self.now.scores[part.label, part.plane[0]]
        self.labels.journal.objects.check_planes()


test_any_changes_of_a_stack_equal_a_dense_array = StackAgainstDense.TestCase
