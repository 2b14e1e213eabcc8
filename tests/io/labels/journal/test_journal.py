"""The journal alone: changes written, undone, redone and queried."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from napari_sam.engine.geometry import Box
from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.journal.rows import DONE, DROPPED, UNDONE, Change, LogEntry, ObjectRow, Patch
from napari_sam.io.labels.journal.run_length import encode_labels

SQUARE = encode_labels(np.ones((2, 2), int))
EMPTY = encode_labels(np.zeros((2, 2), int))


def drawn(label, kind="paint", run_id=None, record=None, before=None):
    """A change that draws a square as object `label`."""
    row = ObjectRow(label, (), 4, Box(0, 0, 2, 2), created=1.0)
    patch = Patch((), Box(0, 0, 2, 2), EMPTY, SQUARE)
    rows = {label: (before, row)}
    return Change(kind, record or {}, label, label + 1, run_id, [patch], rows)


def erased(journal, label):
    """A change that erases object `label`."""
    return Change("erase", {}, 9, 9, rows={label: (journal.objects.row(label), None)})


def test_a_change_fills_table_log_and_counters(journal):
    assert journal.add(drawn(1), rendered=0) == LogEntry(seq=1, op=1, action="do")
    assert journal.objects.row(1).op == 1
    assert (journal.meta("objects"), journal.next_label(), journal.last_log_entry()) == (1, 2, 1)
    (patch,) = journal.changes.patches(1)
    np.testing.assert_array_equal(patch.labels(after=True), np.ones((2, 2)))


def test_undo_and_redo_set_the_table(journal):
    journal.add(drawn(1), 0)
    assert journal.step(1, undo=True, rendered=1) == LogEntry(2, 1, "undo")
    assert journal.objects.row(1) is None
    assert (journal.meta("objects"), journal.next_label()) == (0, 1)
    assert journal.step(1, undo=False, rendered=2) == LogEntry(3, 1, "redo")
    assert journal.objects.row(1).area_px == 4
    assert journal.log_after(1) == [LogEntry(2, 1, "undo"), LogEntry(3, 1, "redo")]


def test_a_change_after_undo_drops_the_undone_one(journal):
    journal.add(drawn(1), 0)
    journal.step(1, undo=True, rendered=1)
    journal.add(drawn(1), 2)
    assert [change.state for change in journal.changes.all()] == [DROPPED, DONE]
    assert not journal.changes.any_in(UNDONE)


def test_undo_and_redo_find_the_change_to_step(journal):
    for label in (1, 2):
        journal.add(drawn(label), 0)
    assert journal.changes.next_change(undo=True).op == 2
    assert journal.changes.next_change(undo=False) is None
    for op in (2, 1):
        journal.step(op, undo=True, rendered=0)
    assert journal.changes.next_change(undo=False).op == 1


def test_changes_are_found_by_run_and_kind(journal):
    journal.add(drawn(1, "everything", "a", {"tile": "0"}), 0)
    journal.add(drawn(2, "commits", "b", {"source": {"failed": []}}), 0)
    journal.add(drawn(3, "commits", "b", {"source": {"failed": [[4, "dark"]]}}), 0)
    journal.add(drawn(4, "commits", "b", {"source": {"failed": []}}), 0)
    journal.step(4, undo=True, rendered=0)
    assert journal.changes.ops_of_run("a", "everything") == [1]
    assert journal.changes.ops_of_run("b", "commits") == [2, 3]
    assert journal.changes.last_of_run("b", "commits").op == 3
    assert [change.op for change in journal.changes.failures_of_run("b")] == [3]
    assert (journal.changes.run_of(2), journal.changes.run_of(1)) == ("b", None)


def test_vanished_objects_of_a_run_are_those_it_drew_that_are_gone(journal):
    journal.add(drawn(1, "everything", "a"), 0)
    journal.add(drawn(2, "everything", "a"), 0)
    journal.add(drawn(3, "everything", "b"), 0)
    for label in (2, 3):
        journal.add(erased(journal, label), 0)
    assert journal.changes.vanished_objects_of_run("a") == {2}


def test_objects_are_found_by_id_box_and_plane(journal):
    for label in (1, 2, 5):
        journal.add(drawn(label), 0)
    objects = journal.objects
    assert (objects.any_between(3, 4), objects.any_between(3, 5)) == (False, True)
    assert objects.count_between(2, 9) == (2, 2)
    assert objects.count_between(7, 9) == (0, None)
    assert (objects.lowest_free_label(), objects.largest_label(), objects.labelled_px()) == (3, 5, 12)
    assert list(objects.labels_from(2, page=1)) == [2, 5]
    assert objects.any_in_box(Box(1, 1, 9, 9), ())
    assert not objects.any_in_box(Box(2, 2, 9, 9), ())
    assert not objects.any_in_box(Box(1, 1, 9, 9), (0,))
    assert [row.label for row in objects.of_plane(())] == [1, 2, 5]
    assert objects.planes() == [()]


def test_what_automatic_changes_made_and_later_ones_did(journal):
    journal.add(drawn(1, "everything", "a"), 0)
    journal.add(drawn(2), 0)
    row = journal.objects.row(1)
    change = Change("relabel", {"label": 1, "new": 8}, 9, 9, rows={1: (row, None), 8: (None, row)})
    journal.add(change, 0)
    assert [(origin.label, origin.op) for origin in journal.changes.automatic_objects()] == [(1, 1)]
    (renaming,) = journal.changes.changes_of_objects()
    assert (renaming.label, renaming.op, renaming.new_label) == (1, 3, 8)
    assert journal.changes.row_before(1, 3) == row


def test_nothing_of_a_failed_change_is_written(journal):
    with pytest.raises(TypeError, match="object cannot be kept in the journal"):
        journal.add(drawn(1, record={"what": object()}), 0)
    assert (len(journal.changes.all()), journal.meta("objects"), journal.last_log_entry()) == (0, 0, 0)


def test_a_row_of_the_wrong_type_is_named_with_its_file(journal, tmp_path):
    journal.add(drawn(1), 0)
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    with connection:
        connection.execute("UPDATE objects SET area_px = 'many'")
    connection.close()
    with pytest.raises(StoreError, match=r"journal\.sqlite.*'many' is not a whole number.*backup"):
        journal.objects.row(1)


def test_a_closed_journal_asks_to_open_the_store_again(tmp_path):
    Journal.create(tmp_path / "j", {})
    journal = Journal(tmp_path / "j", writable=False)
    journal.close()
    with pytest.raises(StoreError, match=r"closed; open it again"):
        journal.objects.labels()


def test_a_file_that_is_no_journal_is_named(tmp_path):
    (tmp_path / "j").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="damaged"):
        Journal(tmp_path / "j", writable=True)
