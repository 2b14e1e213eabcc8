"""Verdicts on objects: which comes next, what counts, undo, restart, and speed's shape with a million objects."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.interactive.prediction import Prediction
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.windows import Window
from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.replay import to_script
from napari_sam.io.labels.review_queue import ReviewCounts, ReviewItem, ReviewQueue

SCORES = {1: 0.9, 2: 0.3, 3: 0.6, 4: 0.3}
RUN = {"call": {}, "plane": [], "channels": [], "model": "default", "normalisation": {"low": [0.0], "high": [1.0]}}


def predicted(y, x, score=0.5):
    """A prediction of a square of 5 x 5 pixels."""
    one = np.array([score], np.float32)
    window = Window((0, 0, 64, 64), 64)
    mask, logits = np.ones((1, 5, 5), bool), np.zeros((1, 4, 4), np.float32)
    prompt = Prompt(points=np.array([[1.0, 2.0]]), point_labels=np.array([1]))
    return Prediction(mask, (y, x, y + 5, x + 5), one, one, logits, 0, window, (64,), "default", prompt)


def write_objects(store, scores):
    """Put squares of 5 x 5 pixels into a store, as everything-mode does: one change, with scores."""
    run = store.run_writer("run", plane=(0,) * (len(store.shape) - 2))
    begin = run.begin(RUN, max(scores))
    pixels = np.zeros((10 * max(scores) + 5, 5), np.uint32)
    for label in scores:
        pixels[10 * label : 10 * label + 5] = label
    details = {label: {"predicted_iou": score} for label, score in scores.items()}
    run.write(pixels, (0, 0), tile="tile", begin=begin, details=details)


@pytest.fixture
def labels(tmp_path):
    with LabelStore.create(tmp_path / "cells.ome.zarr", shape=(100, 100)) as store:
        write_objects(store, SCORES)
        yield store


def order(store):
    """Ids in the order in which a person is asked about them."""
    queue, ids, at = ReviewQueue(store), [], None
    while (at := queue.following(at)) is not None:
        ids.append(at.label)
    return ids


def test_the_least_confident_come_first_and_those_without_a_score_last(labels):
    labels.paint(np.full((3, 3), 5), (80, 80))
    assert order(labels) == [2, 4, 3, 1, 5]


def test_an_item_has_plane_box_area_and_score(labels):
    assert ReviewQueue(labels).following() == ReviewItem(2, (), (20, 0, 25, 5), 25, 0.3)


def test_accepted_and_rejected_objects_leave_the_queue(labels):
    labels.review(2)
    labels.review(3, "rejected")
    assert order(labels) == [4, 1]
    assert labels.reviewed() == {2}
    assert ReviewQueue(labels).counts() == ReviewCounts(reviewed=2, rejected=1, total=4)


def test_rejecting_erases_and_one_undo_brings_both_back(labels):
    before = labels.array[...].copy()
    labels.review(3, "rejected")
    assert not (labels.array[...] == 3).any()
    assert ReviewQueue(labels).last_verdict() == 3
    labels.undo()
    np.testing.assert_array_equal(labels.array[...], before)
    assert order(labels) == [2, 4, 3, 1]
    assert labels.object(3)["predicted_iou"] == 0.6
    labels.redo()
    assert order(labels) == [2, 4, 1]


def test_an_undone_acceptance_puts_the_object_back(labels):
    labels.review(2)
    assert labels.undo() == {"kind": "review", "label": 2, "verdict": "accepted", "by": labels.user}
    assert labels.reviewed() == set()
    assert ReviewQueue(labels).next_verdict() == 2
    assert len(labels) == 4


def test_verdicts_survive_a_restart(labels):
    labels.review(2)
    labels.review(4, "rejected")
    labels.close()
    with LabelStore.open(labels.path) as again:
        assert again.reviewed() == {2}
        assert order(again) == [3, 1]
        again.undo()
        assert order(again) == [4, 3, 1]


def test_an_object_with_a_new_mask_from_prompts_counts_as_reviewed(labels):
    labels.commit(predicted(23, 2), label=2)
    labels.commit(predicted(60, 60))
    assert labels.reviewed() == {2, 5}
    assert order(labels) == [4, 3, 1]
    assert ReviewQueue(labels).counts() == ReviewCounts(reviewed=2, rejected=0, total=5)


def test_drawing_is_no_verdict(labels):
    labels.review(2)
    labels.paint(np.full((1, 1), 2), (26, 1))
    labels.paint(np.full((1, 1), 4), (46, 1))
    assert labels.reviewed() == {2}


def test_another_object_with_an_old_id_joins_the_queue(labels):
    labels.review(2)
    labels.erase(2)
    assert ReviewQueue(labels).counts().reviewed == 0
    labels.paint(np.full((2, 2), 2), (90, 90))
    assert labels.reviewed() == set()
    assert order(labels) == [4, 3, 1, 2]


def test_only_verdicts_and_classes_count_as_the_last_verdict(labels):
    assert ReviewQueue(labels).last_verdict() is None  # the last change found all objects
    labels.review(1)
    assert ReviewQueue(labels).last_verdict() == 1
    labels.set_category(2, "cell")
    assert ReviewQueue(labels).last_verdict() == 2
    labels.paint(np.full((1, 1), 4), (46, 1))
    assert ReviewQueue(labels).last_verdict() is None


@pytest.mark.parametrize(("label", "verdict"), [(9, "accepted"), (1, "perhaps")])
def test_invalid_verdicts_and_labels_are_refused(labels, label, verdict):
    with pytest.raises(LabelsError, match=r"object 9|perhaps"):
        labels.review(label, verdict)
    with pytest.raises(LabelsError, match="own changes"):
        labels.paint(np.ones((1, 1), int), (0, 0), kind="review")


def test_a_store_open_for_reading_has_a_queue(labels):
    labels.review(2)
    with LabelStore.open(labels.path, "r") as reading:
        assert order(reading) == [4, 3, 1]
        with pytest.raises(StoreError, match="reading"):
            reading.review(4)


def test_objects_of_all_planes_of_a_stack_are_reviewed(tmp_path):
    with LabelStore.create(tmp_path / "stack.ome.zarr", shape=(3, 50, 50)) as stack:
        for plane in (2, 1):
            stack.paint(np.full((4, 4), 3 - plane), (5, 5), plane=(plane,))
        first = ReviewQueue(stack).following()
        assert (first.label, first.plane) == (1, (2,))
        stack.review(1, "rejected")
        assert ReviewQueue(stack).following().plane == (1,)


def test_the_exported_script_repeats_the_verdicts(labels):
    labels.review(2)
    labels.review(4, "rejected")
    script = to_script(labels)
    assert "labels.review(2, 'accepted')\n" in script
    assert "labels.review(4, 'rejected')\n" in script
    compile(script, "replay.py", "exec")


def test_a_query_among_a_million_objects_looks_at_few_rows(tmp_path):
    with LabelStore.create(tmp_path / "many.ome.zarr", shape=(64, 64)) as store:
        write_objects(store, {1: 0.9})
        queue, statements = ReviewQueue(store), []
        connection = store.journal._database.connection
        connection.set_trace_callback(statements.append)
        queue.following()
        queue.counts()
        connection.set_trace_callback(None)
        queries = [s for s in statements if "FROM meta" not in s]
        plan = [str(row[-1]) for sql in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert len(queries) == 3
    assert "SEARCH ops USING INDEX verdicts (<expr>=? AND id>?)" in plan
    assert not [step for step in plan if step.startswith("SCAN objects")]
    assert {step for step in plan if step.startswith("SCAN ops")} <= {"SCAN ops USING INDEX verdicts"}


def test_an_object_on_several_planes_is_shown_where_it_is_weakest(tmp_path):
    square = np.ones((3, 3), bool)
    with LabelStore.create(tmp_path / "stack.ome.zarr", shape=(5, 20, 20)) as store:
        run = store.run_writer("run")
        begin = run.begin(RUN, 1)
        for z, score in [(1, 0.9), (2, 0.4), (3, 0.8)]:
            details = {1: {"predicted_iou": score}}
            run.write(square.astype(int), (z, z), tile=str(z), begin=begin, details=details, plane=(z,))
        queue = ReviewQueue(store)
        assert queue.following() == ReviewItem(1, (2,), (2, 2, 5, 5), 9, 0.4)
        store.commit_planes({2: (square, (0, 0, 3, 3), 0.95)}, label=1)
        assert queue.following() is None
