"""One writer at a time, across processes, threads and forks."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest

from napari_sam.errors import StoreError, StoreLockedError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.store_access import StoreAccess, WriterLock
from tests.io.labels.label_stubs import predicted, square


def test_a_second_writer_is_refused_with_the_holder_and_may_read(tmp_path):
    import os

    with LabelStore.create(tmp_path / "s", shape=(100, 100)) as labels:
        labels.commit(predicted(square()))
        code = (
            "import sys\nfrom napari_sam.io.labels.label_store import LabelStore\n"
            "print(LabelStore.open(sys.argv[1], 'r').array[3, 3])\n"
            "try:\n    LabelStore.open(sys.argv[1])\nexcept Exception as error:\n    print(type(error).__name__, error)"
        )
        output = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, check=True
        ).stdout
        assert output.startswith("1\nStoreLockedError")
        assert f"process {os.getpid()} on" in output
        with pytest.raises(StoreLockedError, match="that is open"):
            LabelStore.open(tmp_path / "s")
    LabelStore.open(tmp_path / "s").close()


def test_a_reader_cannot_change_anything(tmp_path):
    LabelStore.create(tmp_path / "s", shape=(100, 100)).close()
    with LabelStore.open(tmp_path / "s", "r") as labels, pytest.raises(StoreError, match="opened for reading"):
        labels.commit(predicted(square()))


def test_a_closed_store_refuses_changes(tmp_path):
    labels = LabelStore.create(tmp_path / "s", shape=(100, 100))
    labels.close()
    labels.close()
    with pytest.raises(StoreError, match="closed"):
        labels.commit(predicted(square()))


def test_a_forked_child_neither_writes_nor_releases_the_lock(tmp_path):
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
        output = subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], capture_output=True, text=True).stdout
        assert "locked" in output, output
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


def test_a_store_that_was_garbage_collected_can_be_opened_again(tmp_path):
    labels = LabelStore.create(tmp_path / "s", shape=(50, 50))
    with pytest.raises(StoreLockedError, match="this process"):
        LabelStore.open(tmp_path / "s")
    del labels
    LabelStore.open(tmp_path / "s").close()


def test_the_lock_is_free_again_after_release(tmp_path):
    first = WriterLock(tmp_path)
    with pytest.raises(StoreLockedError, match="this process"):
        WriterLock(tmp_path)
    first.release()
    WriterLock(tmp_path).release()


def test_a_lock_without_a_note_of_its_holder_is_refused_all_the_same(tmp_path):
    lock = WriterLock(tmp_path)
    (tmp_path / "writer.json").unlink()
    with pytest.raises(StoreLockedError, match="another process writes to it"):
        WriterLock(tmp_path)
    lock.release()


def test_two_threads_write_one_after_the_other(tmp_path):
    access, order = StoreAccess(tmp_path, writable=True), []

    def write():
        with access.writing():
            order.append("second")

    with access.writing():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    access.close()
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("writable", "closed", "message"), [(False, False, "opened for reading"), (True, True, "closed")]
)
def test_access_that_must_not_write_is_refused(tmp_path, writable, closed, message):
    access = StoreAccess(tmp_path, writable)
    if closed:
        access.close()
    with pytest.raises(StoreError, match=message), access.writing():
        pass
    access.close()


@pytest.mark.parametrize("what", ["renamed", "deleted", "replaced"])
def test_a_folder_that_was_moved_while_open_is_not_written_to(tmp_path, what):
    import shutil

    path = tmp_path / "s"
    labels = LabelStore.create(path, shape=(100, 100))
    labels.commit(predicted(square()))
    if what == "deleted":
        shutil.rmtree(path)
    else:
        path.rename(tmp_path / "moved")
    if what == "replaced":
        LabelStore.create(path, shape=(100, 100)).close()
    for change in (lambda: labels.commit(predicted(square(), (50, 50))), labels.undo, lambda: labels.erase(1)):
        with pytest.raises(StoreError, match="moved, replaced or deleted"):
            change()
    with pytest.raises(StoreError, match="moved"):
        labels.read((0, 0, 9, 9))
    if what != "replaced":
        with pytest.raises(StoreError, match="moved"):
            labels.array[:9, :9]
    labels.close()
    if what == "replaced":
        with LabelStore.open(path) as other:
            assert len(other) == 0
            assert not other.array[...].any()
    else:
        assert not path.exists()
    if what != "deleted":
        with LabelStore.open(tmp_path / "moved") as moved:
            assert moved.table().label.tolist() == [1]
            assert (moved.array[:10, :10] == 1).all()
