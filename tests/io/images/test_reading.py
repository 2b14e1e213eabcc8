"""`read` gives what numpy gives: any format, axes, dtype, chunking, level, region and step; from many threads."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam import open_image
from napari_sam.io.images.lazy_image import Image

DTYPES = ["bool", "uint8", "int8", "uint16", ">u2", "int32", "uint32", "float16", "float32", ">f8", "int64"]
common = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_counter = itertools.count()


@st.composite
def stacks(draw, dtypes=DTYPES):
    """An array with shuffled axes, its axes, a plane, channels, a region and a step."""
    others = draw(st.sets(st.sampled_from("tz"), max_size=2))
    axes = "".join(draw(st.permutations(["y", "x", *draw(st.sampled_from([[], ["c"]])), *sorted(others)])))
    sizes = {"y": draw(st.integers(1, 70)), "x": draw(st.integers(1, 70)), "t": 3, "z": 2, "c": draw(st.integers(1, 5))}
    shape = tuple(sizes[a] for a in axes)
    array = np.random.default_rng(len(axes)).integers(0, 120, shape).astype(draw(st.sampled_from(dtypes)))
    plane = tuple(draw(st.integers(0, sizes[a] - 1)) for a in axes if a in "tz")
    count = sizes["c"] if "c" in axes else 1
    selected = tuple(draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4)))
    (y0, y1), (x0, x1) = (
        sorted(draw(st.lists(st.integers(0, sizes[a]), min_size=2, max_size=2, unique=True))) for a in "yx"
    )
    return array, axes, plane, selected, (y0, x0, y1, x1), draw(st.integers(1, 9))


def expected(array, axes, plane, selected, region, step):
    """The same by numpy alone."""
    at = dict(zip([a for a in axes if a in "tz"], plane, strict=True))
    block = array[tuple(at.get(a, slice(None)) for a in axes)]
    kept = [a for a in axes if a in "yxc"]
    block = np.moveaxis(block[..., None] if "c" not in kept else block, range(3), _places([*kept, "c"][:3]))
    y0, x0, y1, x1 = region
    return block[y0:y1:step, x0:x1:step][..., list(selected)]


def _places(kept):
    return ["yxc".index(a) for a in kept]


def _same(found, wanted):
    assert found.dtype == wanted.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, wanted)


@common
@given(stacks())
def test_arrays_with_axes_in_any_order(case):
    array, axes, plane, selected, region, step = case
    image = Image([array], axes, "a", selected, plane)
    found = image.read(0, *region, step)
    _same(found, expected(*case))
    assert not np.may_share_memory(found, array)


@common
@given(
    stacks(["bool", "uint8", "uint16", ">u2", "int32", "float16", "float32", "float64"]),
    st.sampled_from(["2", "3", "shards"]),
    st.integers(15, 40),
)
def test_zarr_of_both_versions_and_in_shards(tmp_path, case, kind, chunk):
    array, axes, plane, selected, region, step = case
    path = tmp_path / f"{next(_counter)}.zarr"
    chunks = tuple(min(chunk, n) for n in array.shape)
    layout = {"shards": tuple(2 * n for n in chunks)} if kind == "shards" else {}
    names = {} if kind == "2" else {"dimension_names": list(axes)}
    if kind != "2":  # zarr 3 has no byte order in its dtypes
        array = array.astype(array.dtype.newbyteorder("="))
    made = zarr.create_array(
        path,
        shape=array.shape,
        chunks=chunks,
        dtype=array.dtype,
        zarr_format=2 if kind == "2" else 3,
        **layout,
        **names,
    )
    made[...] = array
    if kind == "2":
        made.attrs["_ARRAY_DIMENSIONS"] = list(axes)
    image = open_image(path)
    assert (image.array_axes, image.persistent) == (axes, True)
    _same(image.with_plane(plane, selected).read(0, *region, step), expected(array, *case[1:]))


@st.composite
def tiffs(draw):
    """A picture, options of a writer, a region and a step."""
    h, w, samples = draw(st.integers(1, 90)), draw(st.integers(1, 90)), draw(st.sampled_from([1, 3, 4]))
    dtype = draw(st.sampled_from(["uint8", "uint16", "float32", "int16"]))
    array = np.random.default_rng(h).integers(0, 255, (h, w, samples)).astype(dtype)
    options = {"compression": draw(st.sampled_from([None, "zlib", "zstd", "lzw"]))}
    if draw(st.booleans()):
        options["tile"] = (16, draw(st.sampled_from([16, 48])))
    else:
        options["rowsperstrip"] = draw(st.sampled_from([1, 7, 200]))
    if samples == 1:
        array = array[..., 0]
        options["photometric"] = "minisblack"
    else:
        options |= {"photometric": "rgb", "planarconfig": draw(st.sampled_from(["contig", "separate"]))}
        options |= {"extrasamples": ["unspecified"]} if samples == 4 else {}  # alpha would mask
    if options["compression"] and draw(st.booleans()):
        options["predictor"] = True
    (y0, y1), (x0, x1) = (
        sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in (h, w)
    )
    return array, options, (y0, x0, y1, x1), draw(st.integers(1, 9)), draw(st.sampled_from("<>"))


@common
@given(tiffs())
def test_tiff_in_tiles_and_strips(tmp_path, case):
    array, options, region, step, order = case
    path = tmp_path / f"{next(_counter)}.tif"
    stored = array
    if options.get("planarconfig") == "separate":
        stored = np.moveaxis(array, -1, 0)
    tifffile.imwrite(path, stored, byteorder=order, metadata=None, **options)
    wanted = array if array.ndim == 3 else array[..., None]
    y0, x0, y1, x1 = region
    found = open_image(path).read(0, *region, step)
    _same(found, wanted[y0:y1:step, x0:x1:step, :3])


def _written(folder, kind, picture):
    path = folder / kind
    if kind.endswith(".zarr"):
        made = zarr.create_array(path, shape=picture.shape, chunks=(64, 64, 3), dtype=picture.dtype)
        made[...] = picture
        return path
    options = {"raw.tif": {}, "tiled.tif": {"tile": (64, 64), "compression": "zlib"}, "jpeg.tif": {}}[kind]
    if kind == "jpeg.tif":
        options = {"tile": (64, 64), "compression": "jpeg", "compressionargs": {"level": 90}}
    tifffile.imwrite(path, picture, photometric="rgb", **options)
    return path


@pytest.mark.parametrize("kind", ["a.zarr", "raw.tif", "tiled.tif", "jpeg.tif"])
def test_many_threads_read_the_same_pixels_as_one(tmp_path, rng, kind):
    picture = rng.integers(0, 255, (700, 900, 3), dtype=np.uint8)
    image = open_image(_written(tmp_path, kind, picture))
    whole = image.read(0, 0, 0, 700, 900)
    if kind != "jpeg.tif":
        np.testing.assert_array_equal(whole, picture)
    corners = rng.integers(0, 500, (200, 2)).tolist()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda c: image.read(0, c[0], c[1], c[0] + 200, c[1] + 200), corners))
    for (y, x), block in zip(corners, found, strict=True):
        np.testing.assert_array_equal(block, whole[y : y + 200, x : x + 200])


def test_an_array_of_unknown_type_is_read_by_one_thread_at_a_time():
    class Fragile:
        shape, dtype, ndim, inside, most = (64, 64), np.dtype(np.uint8), 2, 0, 0

        def __getitem__(self, index):
            self.inside += 1
            self.most = max(self.most, self.inside)
            block = np.zeros(self.shape, np.uint8)[index]
            self.inside -= 1
            return block

    array = Fragile()
    image = open_image(array)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: image.read(0, 0, 0, 64, 64), range(200)))
    assert array.most == 1


def test_files_are_persistent_and_arrays_are_not(tmp_path, rng):
    picture = rng.integers(0, 255, (20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture)
    zarr.save_array(str(tmp_path / "a.zarr"), picture)
    for name in ("a.tif", "a.zarr"):
        image = open_image(tmp_path / name)
        assert image.persistent
        assert image.uri == str(tmp_path / name)
        assert image.identity == open_image(str(tmp_path / name)).identity
    assert not open_image(picture).persistent
    assert open_image(picture).uri is None


def test_other_channels_and_planes_have_other_identities(tmp_path, rng):
    zarr.save_array(str(tmp_path / "a.zarr"), rng.integers(0, 255, (2, 5, 20, 30), dtype=np.uint8))
    image = open_image(tmp_path / "a.zarr")  # czyx by convention
    seen = [image, image.with_plane((3,), (0,)), image.with_plane((0,), (1,)), image.with_plane((3,), (1,))]
    assert len({i.identity for i in seen}) == 4
    assert seen[3].with_plane((3,), (0,)).identity == seen[1].identity


def test_far_channels_are_read_one_by_one(rng):
    class Counting:
        shape, dtype, ndim, values = (9, 9, 1000), np.dtype(np.uint8), 3, 0

        def __getitem__(self, index):
            block = np.zeros(self.shape, np.uint8)[index]
            self.values += block.size
            return block

    array = Counting()
    assert open_image(array, channels=(0, 500, 999)).read(0, 0, 0, 9, 9).shape == (9, 9, 3)
    assert array.values == 3 * 81
