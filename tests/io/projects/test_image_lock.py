"""One person at a time, across processes and machines; nobody is locked out by a crash."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from napari_sam.errors import ProjectError, StoreLockedError
from napari_sam.io.projects.image_lock import STALE_S, ImageLock, lock_holder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "a.json"


class Clock:
    """A clock that is set by hand."""

    now = 1_000_000.0

    def __call__(self):
        return self.now


def test_a_second_holder_is_told_who_has_the_image(path):
    with ImageLock(path, "cells.tif", "Ada"):
        assert lock_holder(path).user == "Ada"
        with pytest.raises(StoreLockedError, match=r"cells\.tif is open for Ada on"):
            ImageLock(path, "cells.tif", "Bob")
    assert lock_holder(path) is None
    ImageLock(path, "cells.tif", "Bob").release()
    assert not path.exists()


def _of_another_machine(path, renewed):
    path.parent.mkdir(exist_ok=True)
    holder = {"user": "Bob", "host": "elsewhere", "pid": 1, "token": "x", "renewed": renewed}
    path.write_text(json.dumps(holder))


def test_a_lock_of_another_machine_holds_until_it_is_stale(path):
    clock = Clock()
    _of_another_machine(path, clock.now)
    clock.now += STALE_S - 1
    with pytest.raises(StoreLockedError, match="Bob on elsewhere"):
        ImageLock(path, "a", clock=clock)
    clock.now += 2
    assert lock_holder(path, clock) is None
    ImageLock(path, "a", clock=clock).release()
    assert list(path.parent.iterdir()) == []


def test_the_lock_of_a_process_that_was_killed_is_taken_over(path):
    code = (
        "import os, sys; from pathlib import Path; from napari_sam.io.projects.image_lock import ImageLock; "
        "ImageLock(Path(sys.argv[1]), 'a'); os._exit(1)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 1
    assert path.exists()
    with ImageLock(path, "a", "Ada"):
        assert lock_holder(path).user == "Ada"


def test_a_holder_that_slept_too_long_notices_that_its_lock_is_lost(path):
    clock = Clock()
    slept = ImageLock(path, "a", "Ada", clock)
    _of_another_machine(path, clock.now)
    slept.renew()
    assert slept.lost
    slept.release()
    assert lock_holder(path, clock).user == "Bob"


def test_renewing_keeps_the_lock(path):
    clock = Clock()
    with ImageLock(path, "a", clock=clock) as lock:
        clock.now += STALE_S - 1
        lock.renew()
        clock.now += STALE_S - 1
        assert lock_holder(path, clock) is not None


def test_of_many_that_take_over_a_stale_lock_one_succeeds(path):
    for _ in range(20):
        _of_another_machine(path, 0.0)
        barrier, held = threading.Barrier(6), []

        def take(barrier=barrier, held=held):
            barrier.wait()
            try:
                held.append(ImageLock(path, "a"))
            except StoreLockedError:
                pass

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(held) == 1
        held[0].renew()
        assert not held[0].lost
        held[0].release()


def test_a_file_that_was_only_begun_is_held_until_it_is_stale(path):
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(StoreLockedError, match="somebody on another machine"):
        ImageLock(path, "a")
    clock = Clock()
    clock.now = path.stat().st_mtime + STALE_S + 1
    ImageLock(path, "a", clock=clock).release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(ProjectError, match="cannot be written"):
        ImageLock(tmp_path / "locks" / "a.json", "a")
