"""How objects came: stages, who, seconds and verdicts, and journals that do not know them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_sam.io.labels.editing.commit_many import NewObject
from tests.io.labels.label_stubs import predicted, square


def everything(labels, run_id, number):
    """Write one object as everything-mode does; return its id."""
    writer = labels.run_writer(run_id)
    begin = writer.begin({}, 1)
    details = {begin.first_label: {"predicted_iou": 0.8, "model": "m"}}
    writer.write(np.full((5, 5), begin.first_label), (20 * number, 100), tile="t", begin=begin, details=details)
    return begin.first_label


def test_every_object_knows_its_stage_who_and_how_long(labels):
    labels.user = "Ada"
    with labels.noting(stage="assisted", seconds=2.5):
        first = labels.commit(predicted(square(6)))
    with labels.noting(seconds=1.5):
        labels.commit(predicted(np.ones((4, 6))), first)
    labels.paint(np.full((3, 3), 2), (50, 50))
    third = everything(labels, "r1", 1)
    with labels.noting(stage="semi-automatic"):
        fourth = everything(labels, "r2", 2)
    (fifth,) = labels.commit_many([NewObject(square(5), (200, 200, 205, 205), {"model": None})])
    labels.user = "Bob"
    labels.review(third)
    table = labels.provenance().set_index("label")
    assert table.stage.to_dict() == {
        first: "assisted", 2: "manual", third: "automatic", fourth: "semi-automatic", fifth: "imported"
    }  # fmt: skip
    assert set(table.by) == {"Ada"}
    assert table.seconds[first] == pytest.approx(4)
    assert table.seconds.count() == 1
    assert table.accepted_by.dropna().to_dict() == {third: "Bob"}
    assert table.predicted_iou[third] == pytest.approx(0.8)
    assert table.prompts[first] == 1
    labels.undo()
    labels.undo()
    assert labels.provenance().accepted_by.isna().all()
    assert fifth not in set(labels.provenance().label)


def test_what_a_thread_notes_stays_with_its_changes(labels):
    with labels.noting(stage="semi-automatic"):
        other = threading.Thread(target=lambda: labels.paint(np.full((3, 3), 1), (0, 0)))
        other.start()
        other.join()
        with labels.noting(seconds=1):
            labels.paint(np.full((3, 3), 2), (50, 50))
    labels.paint(np.full((3, 3), 3), (90, 90))
    assert labels.provenance().stage.tolist() == ["manual", "semi-automatic", "manual"]
