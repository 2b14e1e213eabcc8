"""Changes on their way into journal and pixels: full disks, crashes, damage, failing listeners."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from napari_sam.errors import StoreError
from napari_sam.io.labels.label_pyramid import LabelPyramid
from napari_sam.io.labels.label_store import LabelStore
from tests.io.labels import label_stubs
from tests.io.labels.label_stubs import predicted, square

_WRITER = textwrap.dedent(
    """
    import sys
    import numpy as np
    sys.path.insert(0, sys.argv[2])
    from copied_stubs import predicted
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
def test_a_writer_killed_at_50_random_moments_loses_no_completed_change(tmp_path):
    import time

    (tmp_path / "copied_stubs.py").write_text(Path(label_stubs.__file__).read_text())
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
            printed, whole, _ = process.stdout.read().rpartition("\n")  # the last line may be cut
        past = []
        for line in (printed + whole).splitlines():
            if line == "undo":
                dense = past.pop()
            else:
                label, y, x = (int(v) for v in line.split())
                past.append(dense.copy())
                dense[y : y + 290, x : x + 290] = label
        with LabelStore.open(store) as labels:
            now = labels.array[...]
            if not np.array_equal(now, dense):  # one more change may be on disk than was printed
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


def test_missing_and_damaged_files_are_drawn_again(tmp_path):
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


def test_a_failing_listener_does_not_block_later_changes(labels):
    def fail(*_):
        raise ValueError("the listener failed")

    labels.on_drawn(fail)
    for i in (0, 20):
        with pytest.raises(ValueError, match="the listener failed"):
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
