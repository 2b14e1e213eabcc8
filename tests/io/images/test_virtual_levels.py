"""Scale levels that a file lacks: bounded when read, exact when computed once, resumable."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam import open_image
from napari_sam.engine.normalisation import decide
from napari_sam.errors import CancelledError, ImageError
from napari_sam.io.images.overview import build_overview, is_worth_an_overview, overview_path, remove_overview
from napari_sam.io.images.pooling import halve, pool
from napari_sam.io.images.virtual_levels import exact_region, virtual_levels


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path / "cache"))


class Counted:
    """A chunked array of any size that counts what is decoded; its value is its row divided by 256."""

    dtype = np.dtype(np.uint16)

    def __init__(self, shape, chunks):
        self.shape, self.chunks, self.ndim, self.decoded = shape, chunks, 2, 0

    def __getitem__(self, index):
        wanted = [range(n)[i] for n, i in zip(self.shape, index, strict=True)]
        spans = [(r[-1] // c + 1) - r[0] // c for r, c in zip(wanted, self.chunks, strict=True)]
        self.decoded += spans[0] * spans[1] * self.chunks[0] * self.chunks[1]
        rows = (np.array(wanted[0]) // 256).astype(np.uint16)
        return np.broadcast_to(rows[:, None], (len(rows), len(wanted[1])))


HUGE = (100_000, 100_000)


@pytest.mark.parametrize("chunks", [(512, 512), (256, 1024), (1, 100_000), (64, 100_000), (4096, 4096)])
def test_any_view_of_a_huge_image_costs_a_bounded_number_of_pixels(chunks):
    array = Counted(HUGE, chunks)
    image = open_image(array)
    image.exact_px = 1 << 24
    assert image.levels == [HUGE, *[(-(-100_000 // f),) * 2 for f in (4, 8, 16, 32, 64)]]
    for level in range(1, len(image.levels)):
        array.decoded = 0
        h, w = (min(n, 2048) for n in image.levels[level])
        assert image.read(level, 0, 0, h, w).shape == (h, w, 1)
        assert array.decoded <= 1.3 * (1 << 26)
    assert "napari-sam overview" in image.advice


@pytest.mark.parametrize("chunks", [(512, 512), (64, 100_000)])
def test_a_sketch_shows_what_is_where(chunks):
    image = open_image(Counted(HUGE, chunks))
    sketch = image.read(5, 0, 0, *image.levels[5])[:, 700, 0].astype(int)
    wanted = np.arange(len(sketch)) * 64 // 256
    assert abs(sketch - wanted).max() <= (17 if chunks[0] == 512 else 200)  # half a cell of 16 chunks, in values
    assert np.corrcoef(sketch, wanted)[0, 1] > 0.95


@pytest.mark.parametrize("chunks", [(512, 512), (1, 100_000), (1024, 1024)])
def test_choosing_the_contrast_of_a_huge_image_reads_a_few_megapixels(chunks):
    array = Counted(HUGE, chunks)
    chosen = decide(open_image(array))
    assert array.decoded <= 1.1 * (1 << 23)
    assert chosen.low[0] < 60
    assert chosen.high[0] > 330


def test_an_array_in_memory_is_pooled_from_evenly_spaced_pixels():
    ramp = np.repeat(np.arange(4096, dtype=np.uint16)[:, None], 4096, axis=1)
    image = open_image(ramp)
    assert image.levels == [(4096, 4096), (1024, 1024)]
    np.testing.assert_array_equal(image.read(1, 0, 0, 1024, 1024)[:, 5, 0], np.arange(1024) * 4 + 2)
    image.exact_px = 1 << 20
    assert abs(image.read(1, 0, 0, 1024, 1024)[:, 5, 0] - np.arange(1024) * 4.0 - 2).max() <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)),
    st.sampled_from(["bool", "uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64"]),
)
def test_halving_is_the_rounded_mean_of_two_by_two(shape, dtype):
    rng = np.random.default_rng(shape[0])
    top = 1 if dtype == "bool" else 100 if dtype == "float16" else 120
    block = (rng.integers(0, top + 1, shape) - (60 if dtype == "int16" else 0)).astype(dtype)
    padded = np.pad(block.astype(float), ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
    mean = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4
    wanted = np.floor(mean + 0.5) if np.dtype(dtype).kind in "biu" else mean
    np.testing.assert_allclose(halve(block).astype(float), wanted, rtol=1e-3)
    assert halve(block).dtype == block.dtype


def test_halving_the_largest_numbers_does_not_overflow():
    for dtype in (np.uint8, np.uint32, np.uint64, np.int64):
        top = np.full((2, 2, 1), np.iinfo(dtype).max, dtype)
        assert halve(top)[0, 0, 0] == np.iinfo(dtype).max
    assert halve(np.full((2, 2, 1), 3e38, np.float32))[0, 0, 0] == np.float32(3e38)


def test_not_a_number_is_left_out_of_a_mean():
    block = np.array([[1, np.nan, np.nan, np.nan], [3, np.nan, np.nan, np.nan]], np.float32)[..., None]
    assert halve(block)[0, 0, 0] == 2
    assert np.isnan(halve(block)[0, 1, 0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_part_of_a_virtual_level_equals_that_part_of_the_whole(rng, data):
    shape = (data.draw(st.integers(30, 300)), data.draw(st.integers(30, 300)), 3)
    array = rng.integers(0, 60_000, shape, dtype=np.uint16)
    factor = data.draw(st.sampled_from([4, 8, 16]))
    image = open_image(array)
    whole = pool(array, factor)
    h, w = whole.shape[:2]
    (y0, y1), (x0, x1) = (
        sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in (h, w)
    )
    np.testing.assert_array_equal(exact_region(image, factor, (y0, x0, y1, x1)), whole[y0:y1, x0:x1])


def _file(folder, rng, kind="tiled", side=2600):
    picture = rng.integers(0, 60_000, (side, side - 99), dtype=np.uint16)
    options = {"tiled": {"tile": (256, 256), "compression": "zlib"}, "raw": {}}[kind]
    tifffile.imwrite(folder / "big.tif", picture, **options)
    return folder / "big.tif", picture


@pytest.mark.parametrize("kind", ["tiled", "raw"])
def test_an_overview_is_the_virtual_level_kept(tmp_path, rng, kind):
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


def test_a_stopped_overview_goes_on_and_reads_no_tile_twice(tmp_path, rng, monkeypatch):
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


def test_a_pyramid_is_continued_only_where_it_ends_too_fine():
    tops = [Counted((8000, 8000), (512, 512)), Counted((4000, 4000), (512, 512))]
    assert open_image(tops).levels == [(8000, 8000), (4000, 4000), (1000, 1000)]
    assert virtual_levels(open_image([*tops, Counted((2000, 2000), (512, 512))])) == []


@pytest.mark.parametrize("fmt", [2, 3])
def test_the_contrast_of_an_almost_empty_image_comes_from_what_is_stored(tmp_path, fmt):
    from napari_sam.engine.normalisation import decide

    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(50_000, 50_000), chunks=(512, 512), dtype="uint16", fill_value=0, zarr_format=fmt
    )
    array[20_480:21_504, 30_208:31_232] = np.random.default_rng(0).integers(500, 1500, (1024, 1024)).astype("uint16")
    chosen = decide(open_image(tmp_path / "a.zarr"))
    assert chosen.low[0] < 600
    assert 1400 < chosen.high[0] < 1500
