"""Overview files: exact, resumable, and used only for their own image."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_sam import open_image
from napari_sam.errors import CancelledError, ImageError
from napari_sam.io.images.overview import build_overview, is_worth_an_overview, overview_path, remove_overview
from napari_sam.io.images.pooling import pool
from tests.io.images.counted_array import HUGE, Counted


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))


def _file(folder, rng, kind="tiled", side=2600):
    picture = rng.integers(0, 60_000, (side, side - 99), dtype=np.uint16)
    options = {"tiled": {"tile": (256, 256), "compression": "zlib"}, "raw": {}}[kind]
    tifffile.imwrite(folder / "big.tif", picture, **options)
    return folder / "big.tif", picture


@pytest.mark.parametrize("kind", ["tiled", "raw"])
def test_an_overview_equals_the_virtual_level(tmp_path, rng, kind):
    path, picture = _file(tmp_path, rng, kind)
    image = open_image(path)
    assert image.coarse[0].virtual
    steps = []
    built = build_overview(image, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (4, 4)
    again = open_image(path)
    assert (again.has_overview, again.identity, again.levels) == (True, built.identity, image.levels)
    assert again.identity != image.identity
    wanted = pool(picture[..., None], 4)
    for seen in (image, built, again):
        np.testing.assert_array_equal(seen.read(1, 0, 0, 650, 626), wanted)
    np.testing.assert_array_equal(again.read(1, 10, 20, 300, 400, 3), wanted[10:300:3, 20:400:3])
    assert remove_overview(again)
    assert not open_image(path).has_overview


def test_an_overview_of_several_levels(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("napari_sam.io.images.virtual_levels._COARSEST_PX", 100)
    path, picture = _file(tmp_path, rng)
    image, built = open_image(path), build_overview(open_image(path))
    assert built.levels == [(2600, 2501), (650, 626), (325, 313), (163, 157), (82, 79)]
    for level, factor in enumerate((4, 8, 16, 32), start=1):
        wanted = pool(picture[..., None], factor)
        for seen in (image, built):
            np.testing.assert_array_equal(seen.read(level, 0, 0, *seen.levels[level]), wanted)


def test_one_overview_serves_every_choice_of_channels(tmp_path, rng):
    picture = rng.integers(0, 255, (5, 2600, 2100), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", picture, metadata={"axes": "CYX"}, photometric="minisblack", tile=(256, 256))
    image = build_overview(open_image(tmp_path / "c.tif"))
    wanted = pool(np.moveaxis(picture, 0, -1), 4)
    np.testing.assert_array_equal(image.read(1, 0, 0, 650, 525), wanted[..., :3])
    other = open_image(image, channels=(4, 0, 2))
    assert other.identity == open_image(tmp_path / "c.tif", channels=(4, 0, 2)).identity
    np.testing.assert_array_equal(other.read(1, 5, 6, 650, 525, 2), wanted[5:650:2, 6:525:2, [4, 0, 2]])


def test_a_changed_file_does_not_get_the_old_overview(tmp_path, rng):
    path, _ = _file(tmp_path, rng)
    build_overview(open_image(path))
    path, _ = _file(tmp_path, np.random.default_rng(1))
    assert not open_image(path).has_overview


def test_a_stopped_overview_resumes_and_reads_no_tile_twice(tmp_path, rng, monkeypatch):
    path, _ = _file(tmp_path, rng)
    image, count = open_image(path), itertools.count()
    with pytest.raises(CancelledError, match="the same call resumes it"):
        build_overview(image, cancelled=lambda: next(count) == 3)
    assert not open_image(path).has_overview
    regions = []
    read = type(image).read
    monkeypatch.setattr(type(image), "read", lambda self, *a: regions.append(a) or read(self, *a))
    assert build_overview(image).has_overview
    assert {(y1 > 2048, x1 > 2048) for _, _, _, y1, x1, _ in regions} == {(True, True)}


def _tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_killed_overview_resumes_to_the_same_bytes(tmp_path, rng):
    path, _ = _file(tmp_path, rng, side=5000)
    image = open_image(path)
    code = (
        "import sys; from napari_sam import open_image; from napari_sam.io.images.overview import build_overview;"
        "build_overview(open_image(sys.argv[1]), progress=lambda d, t: print(d, flush=True))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=os.environ.copy())
    for line in worker.stdout:
        if int(line) == 4:
            worker.send_signal(signal.SIGKILL)
            break
    assert worker.wait() == -signal.SIGKILL
    worker.stdout.close()
    assert not open_image(path).has_overview
    build_overview(image)
    resumed = _tree(overview_path(image))
    remove_overview(image)
    build_overview(image)
    assert resumed == _tree(overview_path(image))


def test_an_overview_is_for_large_files_without_levels(tmp_path, rng):
    path, picture = _file(tmp_path, rng)
    assert not is_worth_an_overview(open_image(path))  # 6 megapixels
    assert not is_worth_an_overview(open_image(Counted(HUGE, (512, 512))))
    with pytest.raises(ImageError, match="files and URLs only"):
        build_overview(open_image(picture))
    small = tmp_path / "s.tif"
    tifffile.imwrite(small, picture[:500, :500])
    assert build_overview(open_image(small)).coarse == []


def test_an_overview_that_was_damaged_is_not_used(tmp_path, rng):
    path, _ = _file(tmp_path, rng)
    folder = overview_path(build_overview(open_image(path)))
    (folder / "finished.json").write_text("{")
    assert not open_image(path).has_overview
    (folder / "0" / "zarr.json").unlink()
    assert not open_image(path).has_overview
