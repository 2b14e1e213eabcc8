"""What a killed process leaves behind: torn logs, half-drawn pixels, stale locks; opening the store mends it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from napari_sam.errors import StoreError, StoreWarning
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.recovery import mend_store, redraw
from tests.io.labels.label_stubs import predicted, square


class Killed(BaseException):
    """The process ends here."""


def killed_copy(labels, target, early=None):
    """Return a copy of an open store, as a process that is killed now would leave it."""
    shutil.copytree(labels.path, target)
    if early is not None:
        early(target)
    return target


def consistent(labels):
    """Check that pixels of all levels, table and counts agree; returns the pixels."""
    pixels = labels.array[...]
    for k, level in enumerate(labels.levels):
        np.testing.assert_array_equal(level[...], pixels[:: 2**k, :: 2**k])
    table = labels.table()
    ids, counts = np.unique(pixels[pixels > 0], return_counts=True)
    assert table.label.tolist() == ids.tolist()
    assert table.area_px.tolist() == counts.tolist()
    assert len(labels) == len(ids)
    for label, y0, x0, y1, x1 in table[["label", "y0", "x0", "y1", "x1"]].values.tolist():
        ys, xs = np.nonzero(pixels == label)
        assert (y0, x0, y1, x1) == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
    return pixels


def with_log_changed(store, how):
    """Damage the write-ahead log of a journal."""
    log = store / "journal.sqlite-wal"
    data = bytearray(log.read_bytes())
    if how == "deleted":
        log.unlink()
        (store / "journal.sqlite-shm").unlink(missing_ok=True)
        return
    if how == "truncated":
        del data[len(data) // 2 :]
    elif how == "emptied":
        data.clear()
    else:
        data[len(data) // 3] ^= 0x40
    log.write_bytes(data)


@pytest.mark.parametrize("how", ["deleted", "truncated", "emptied", "flipped"])
def test_changes_that_a_torn_log_lost_are_noticed_and_kept(tmp_path, how):
    with LabelStore.create(tmp_path / "s", shape=(2100, 1200)) as labels:
        for i in range(8):
            labels.commit(predicted(square(20), (i * 250, i * 100)), overlap="replace")
        labels.erase(2)
        before = labels.array[...]
        copy = killed_copy(labels, tmp_path / "copy")
    with_log_changed(copy, how)
    with pytest.raises(StoreError, match="journal has lost its changes"):
        LabelStore.open(copy, "r")
    with pytest.warns(StoreWarning, match="journal had lost its changes"):
        labels = LabelStore.open(copy)
    with labels:
        np.testing.assert_array_equal(consistent(labels), before)
        assert labels.history().kind.iloc[-1] == "recovered"
        assert labels.commit(predicted(square(5), (2000, 1100))) == 9
        while labels.undo():
            consistent(labels)
    with LabelStore.open(copy) as labels:  # now nothing is wrong
        consistent(labels)


def test_a_whole_log_needs_no_mending(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(300, 200)) as labels:
        for i in range(3):
            labels.commit(predicted(square(20), (i * 50, 0)))
        labels.undo()
        copy = killed_copy(labels, tmp_path / "copy")
    with LabelStore.open(copy, "r") as labels:
        assert labels.table().label.tolist() == [1, 2]
    with LabelStore.open(copy) as labels:
        consistent(labels)
        assert labels.can_redo


def test_pixels_older_than_the_journal_are_drawn_to_the_end(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(2100, 1200)) as labels:
        labels.commit(predicted(square(20)))
        old = killed_copy(labels, tmp_path / "old")
        for i in range(1, 5):
            labels.commit(predicted(square(20), (i * 50, 0)))
    shutil.rmtree(tmp_path / "s" / "1")
    (old / "1").rename(tmp_path / "s" / "1")  # one level is that of a backup
    with LabelStore.open(tmp_path / "s") as labels:
        assert np.unique(consistent(labels)).tolist() == [0, 1, 2, 3, 4, 5]


def test_another_history_of_the_same_length_is_noticed(tmp_path):
    for name, y in (("a", 0), ("b", 100)):
        with LabelStore.create(tmp_path / name, shape=(300, 200)) as labels:
            labels.commit(predicted(square(20), (y, 0)))
    shutil.copy(tmp_path / "b" / "journal.sqlite", tmp_path / "a" / "journal.sqlite")
    with pytest.warns(StoreWarning, match="lost its changes"):
        LabelStore.open(tmp_path / "a").close()
    with LabelStore.open(tmp_path / "a") as labels:
        consistent(labels)


def steps_until(monkeypatch, count):
    """Let the process end at the `count`-th step of drawing the pixels again."""
    done = 0

    def step(function):
        def wrapper(*args, **keywords):
            nonlocal done
            done += 1
            if done == count:
                raise Killed
            return function(*args, **keywords)

        return wrapper

    class Shutil:
        rmtree = staticmethod(step(shutil.rmtree))

    monkeypatch.setattr(redraw, "shutil", Shutil)
    for name in ("create_pixels", "draw_patches", "write_marks", "sync_folder"):
        monkeypatch.setattr(redraw, name, step(getattr(redraw, name)))
    monkeypatch.setattr(Path, "replace", step(Path.replace))
    monkeypatch.setattr(mend_store, "discard_draft", step(mend_store.discard_draft))
    return lambda: done


@pytest.mark.parametrize("how", ["repair", "rebuild"])
def test_a_store_killed_at_any_step_of_a_repair_can_be_opened(tmp_path, monkeypatch, how):
    with LabelStore.create(tmp_path / "s", shape=(1500, 300)) as labels:
        for i in range(3):
            labels.commit(predicted(square(30), (i * 400, 10 * i)))
        labels.undo()
        before = labels.array[...]
    for count in range(1, 100):
        store = tmp_path / f"copy{count}"
        shutil.copytree(tmp_path / "s", store)
        with monkeypatch.context() as patch:
            steps = steps_until(patch, count)
            try:
                with LabelStore.repair(store) if how == "repair" else LabelStore.open(store) as labels:
                    if how == "rebuild":
                        labels.rebuild()
            except Killed:
                pass
            ended = steps() < count
        with LabelStore.open(store, "r") as labels:  # also before anyone mends it
            np.testing.assert_array_equal(labels.array[...], before)
        with LabelStore.open(store) as labels:
            np.testing.assert_array_equal(consistent(labels), before)
            assert labels.redo() is not None
        assert {path.name for path in store.iterdir()} <= {
            "0", "1", "zarr.json", "journal.sqlite", "writer.lock",
        }  # fmt: skip
        if ended:
            assert count > 10
            return
    raise AssertionError("the steps do not end")


def test_pixels_that_version_0_1_had_deleted_are_drawn_when_the_store_is_opened(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(1500, 300)) as labels:
        labels.commit(predicted(square(30)))
        labels.commit(predicted(square(30), (400, 0)))
        labels.journal.set_rendered(0)
        copy = killed_copy(labels, tmp_path / "copy", early=lambda store: shutil.rmtree(store / "0"))
    (copy / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"zarr\.json"):
        LabelStore.open(copy, "r")
    with LabelStore.open(copy) as labels:
        assert np.unique(consistent(labels)).tolist() == [0, 1, 2]


def test_a_stale_lock_larger_than_the_next_shard_is_removed(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(600, 600)) as labels:
        labels.commit(predicted(square(30)))
    lock = tmp_path / "s" / "0" / "c" / "0" / "0.__lock"
    lock.write_bytes(np.random.default_rng(0).bytes(200_000))
    with LabelStore.open(tmp_path / "s") as labels:
        assert not lock.exists()
        labels.commit(predicted(square(30), (300, 300)))
    with LabelStore.open(tmp_path / "s", "r") as labels:
        assert np.unique(consistent(labels)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("tail", ["noise", "old version"])
def test_a_shard_with_the_rest_of_a_lock_file_is_drawn_again(tmp_path, tail):
    with LabelStore.create(tmp_path / "s", shape=(600, 600)) as labels:
        labels.commit(predicted(square(30)))
        shard = labels.path / "0" / "c" / "0" / "0"
        small = shard.read_bytes()
        labels.paint(np.random.default_rng(0).integers(0, 9, (300, 300)), (100, 100))
        large = shard.read_bytes()
        labels.undo()
        before = labels.array[...]
        copy = killed_copy(labels, tmp_path / "copy")
    rest = large[len(small) :] if tail == "old version" else bytes(range(256)) * 40
    (copy / "0" / "c" / "0" / "0").write_bytes(small + rest)
    with pytest.warns(StoreWarning, match="drawn again"):
        labels = LabelStore.open(copy)
    with labels:
        np.testing.assert_array_equal(labels.array[...], before)


def test_sound_shards_pass_after_an_unclean_end(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(2, 2500, 2300)) as labels:
        noise = np.random.default_rng(0).integers(0, 900, (1000, 1000))
        labels.paint(noise, (1500, 1200), plane=(1,))
        copy = killed_copy(labels, tmp_path / "copy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LabelStore.open(copy).close()


_REPAIRER = textwrap.dedent(
    """
    import sys
    from napari_sam.io.labels.label_store import LabelStore
    print("ready", flush=True)
    while True:
        LabelStore.repair(sys.argv[1]).close()
    """
)


def test_a_process_killed_at_random_moments_of_a_repair_leaves_a_whole_store(tmp_path):
    import time

    with LabelStore.create(tmp_path / "s", shape=(2500, 300)) as labels:
        for i in range(20):
            labels.commit(predicted(square(30), (i * 40, 10)))
        before = labels.array[...]
    rng = np.random.default_rng(0)
    for _ in range(8):
        command = [sys.executable, "-c", _REPAIRER, str(tmp_path / "s")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(float(rng.uniform(0.02, 0.4)))
            process.kill()
        with LabelStore.open(tmp_path / "s") as labels:
            np.testing.assert_array_equal(consistent(labels), before)
