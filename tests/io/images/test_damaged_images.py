"""Bad input is named with its remedy, never executed, never a crash."""

from __future__ import annotations

import contextlib
import json
import pickle
import struct

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam import open_image
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.errors import ImageError

V2 = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": "<u2", "fill_value": 0, "order": "C"}
V2 |= {"compressor": None, "filters": None}
V3 = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [4, 4],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}


def _grid(*chunk):
    return {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}


def _shards(*chunk, codecs=V3["codecs"]):
    return [{"name": "sharding_indexed", "configuration": {"chunk_shape": list(chunk), "codecs": codecs}}]


def _store(folder, meta):
    path = folder / "bad.zarr"
    path.mkdir()
    name = ".zarray" if "zarr_format" in meta and meta["zarr_format"] == 2 else "zarr.json"
    (path / name).write_text(meta if isinstance(meta, str) else json.dumps(meta))
    return path


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (V2 | {"dtype": "|O"}, "object dtype"),
        (V2 | {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}, "object dtype"),
        (V2 | {"filters": [{"id": "pickle"}]}, "'pickle' would execute code"),
        (V2 | {"compressor": {"id": "pickle"}}, "'pickle' would execute code"),
        (V2 | {"compressor": {"id": "json2"}}, "'json2' is not known to be safe"),
        (V2 | {"dtype": [["a", "<u2"], ["b", "<f4"]]}, "dtype"),
        (V2 | {"dtype": "<M8[ns]"}, "dtype '<M8"),
        (V2 | {"shape": [4, -4]}, "is not valid"),
        (V2 | {"shape": [4]}, "is not valid"),
        (V2 | {"chunks": [0, 4]}, "is not valid"),
        (V2 | {"shape": [4, 2**63]}, "beyond 64 bits"),
        (V2 | {"chunks": [1 << 20, 1 << 20]}, "GiB each"),
        (V2 | {"shape": "huge"}, "is not valid"),
        (V2 | {"zarr_format": 9}, "neither array nor group|zarr_format"),
        ({k: v for k, v in V2.items() if k != "dtype"}, "dtype"),
        (V3 | {"codecs": [{"name": "numcodecs.pickle"}]}, "'pickle' would execute code"),
        (V3 | {"codecs": [{"name": "exec"}]}, "'exec' is not known"),
        (V3 | {"codecs": _shards(4, 4, codecs=[{"name": "numcodecs.pickle"}])}, "would execute code"),
        (V3 | {"data_type": "string"}, "dtype 'string'"),
        (V3 | {"data_type": {"name": "struct"}}, "dtype"),
        (V3 | {"chunk_grid": _grid(1 << 20, 1 << 20), "codecs": _shards(1, 1)}, "in one shard"),
        (V3 | {"chunk_grid": _grid(1 << 20, 1 << 20)}, "GiB each"),
        (V3 | {"codecs": _shards(4, 4, codecs=_shards(4, 4, codecs=_shards(4, 4, codecs=_shards(4, 4))))}, "shards"),
        (V3 | {"chunk_grid": {"name": "rectangular"}}, "regular chunks"),
        (V3 | {"codecs": 7}, "missing or wrong"),
        ("[1, 2]", "not an object"),
        ("{", "broken zarr metadata"),
        pytest.param('{"a":' * 100_000, "broken zarr metadata", id="deep"),
        ({"zarr_format": 3, "node_type": "group", "attributes": {}}, "has no arrays"),
        ({"zarr_format": 3, "node_type": "treasure"}, "treasure"),
        ({"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"plate": {}}}}, "one field"),
        ({"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"multiscales": [7]}}}, "broken OME-Zarr"),
    ],
)
def test_bad_zarr_metadata_is_refused_before_anything_is_read(tmp_path, meta, words):
    with pytest.raises(ImageError, match=words) as raised:
        open_image(_store(tmp_path, meta))
    assert "bad.zarr" in str(raised.value)


def test_a_pickle_in_a_chunk_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    path = _store(tmp_path, V2 | {"dtype": "|O", "filters": [{"id": "pickle"}], "fill_value": None})
    (path / "0.0").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ImageError):
        open_image(path)
    assert not (tmp_path / "boom").exists()


def test_a_huge_shape_costs_nothing_until_too_much_is_read(tmp_path):
    image = open_image(_store(tmp_path, V3 | {"shape": [1 << 40, 1 << 40], "chunk_grid": _grid(64, 64)}))
    assert image.shape == (1 << 40, 1 << 40)
    assert image.read(0, 1 << 39, 5, (1 << 39) + 9, 9).max() == 0
    with pytest.raises(ImageError, match=r"GiB; read a smaller region"):
        image.read(0, 0, 0, 1 << 39, 1 << 39)


def _ome(path, shapes, dtypes=None, axes="yx", paths=None):
    group = zarr.create_group(path)
    for i, shape in enumerate(shapes):
        dtype = "uint8" if dtypes is None else dtypes[i]
        group.create_array(str(i), shape=shape, chunks=(16,) * len(shape), dtype=dtype)[...] = 7
    names = paths or [str(i) for i in range(len(shapes))]
    meta = {"axes": [{"name": a} for a in axes], "datasets": [{"path": p} for p in names]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [meta]}
    return path


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        ([(64, 64), (90, 32)], {}, r"level 1 of shape \(90, 32\) is larger"),
        ([(64, 64), (32, 8)], {}, "another aspect"),
        ([(64, 64), (32, 32)], {"dtypes": ["uint8", "uint16"]}, "level 1 is uint16"),
        ([(3, 64, 64), (2, 32, 32)], {"axes": "cyx"}, "level 1 has 2 channels"),
        ([(64, 64), (32, 32)], {"paths": ["0", "1", "2"]}, "no zarr array or group there"),
        ([(64, 64)], {"paths": ["../../etc"]}, "leads out of the store"),
        ([(64, 64)], {"paths": [7]}, "broken OME-Zarr"),
        ([(64, 64)], {"axes": "zyx"}, "do not match"),
        ([(64, 64)], {"axes": "yy"}, "do not match"),
        ([(64, 0)], {}, "no pixels"),
    ],
)
def test_levels_that_do_not_match_are_named(tmp_path, shapes, options, words):
    with pytest.raises(ImageError, match=words):
        open_image(_ome(tmp_path / "o.zarr", shapes, **options))


def test_levels_rounded_either_way_are_accepted(tmp_path):
    shapes = [(1001, 703), (501, 351), (250, 176), (125, 88)]
    assert open_image(_ome(tmp_path / "o.zarr", shapes)).levels == shapes


def test_lists_of_arrays_are_checked_like_files():
    with pytest.raises(ImageError, match="is larger than level 0"):
        open_image([np.zeros((50, 50)), np.zeros((60, 60))])
    with pytest.raises(ImageError, match="level 1 is float32"):
        open_image([np.zeros((50, 50)), np.zeros((25, 25), np.float32)])


def test_a_missing_chunk_is_the_fill_value(tmp_path):
    path = _ome(tmp_path / "o.zarr", [(64, 64)])
    (path / "0" / "c" / "1" / "2").unlink()
    found = open_image(path).read(0, 0, 0, 64, 64)[..., 0]
    assert found[16:32, 32:48].max() == 0
    assert found[:16].min() == 7


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_corrupt_or_truncated_chunk_names_file_and_level(tmp_path, rng, sharded, keep):
    path, picture = tmp_path / "o.zarr", rng.integers(0, 255, (64, 64), dtype=np.uint8)
    layout = {"shards": (64, 64)} if sharded else {}
    zarr.create_array(path, shape=(64, 64), chunks=(32, 32), dtype="u1", **layout)[...] = picture
    broken = path / "c" / "0" / "0"
    data = broken.read_bytes()
    broken.write_bytes(data[: int(len(data) * keep)])
    image = open_image(path)
    with pytest.raises(ImageError, match=r"o\.zarr: scale level 0 cannot be read"):
        image.read(0, 0, 0, 64, 64)


def test_a_tiff_that_changes_while_open_is_an_error(tmp_path, rng):
    path, picture = tmp_path / "a.tif", rng.integers(0, 255, (300, 300), dtype=np.uint8)
    tifffile.imwrite(path, picture, tile=(64, 64), compression="zlib")
    image = open_image(path)
    image.read(0, 0, 0, 10, 10)
    with path.open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(ImageError, match=r"a\.tif: .*changed since it was opened"):
        image.read(0, 200, 200, 300, 300)


@pytest.mark.parametrize("seed", range(12))
def test_a_tiff_with_flipped_bytes_gives_pixels_or_an_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "f.tif"
    picture = rng.integers(0, 40, (200, 200, 3), dtype=np.uint8)
    options = [{"tile": (64, 64), "compression": "zlib"}, {"compression": "lzw"}, {"tile": (64, 64)}][seed % 3]
    tifffile.imwrite(path, picture, photometric="rgb", **options)
    data = bytearray(path.read_bytes())
    for at in rng.integers(0, min(len(data), 600 if seed % 2 else len(data)), 30):
        data[at] = rng.integers(0, 255)
    path.write_bytes(bytes(data))
    with contextlib.suppress(ImageError):  # anything else fails the test
        image = open_image(path)
        h, w = (min(n, 200) for n in image.shape)
        assert image.read(0, 0, 0, h, w).shape[:2] == (h, w)


def test_a_tiff_with_a_strip_beyond_memory_is_refused(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib", rowsperstrip=64)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        for code in (256, 257, 278):  # width, length, rows per strip
            tag = tiff.pages[0].tags[code]
            kind = {3: "<H", 4: "<I"}[int(tag.dtype)]
            struct.pack_into(kind, data, tag.valueoffset, 65_000)
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match=r"GiB; write it with tiles"):
        open_image(path)


def test_images_that_hold_only_nan_are_black(tmp_path):
    image = open_image(np.full((300, 300), np.nan, np.float32))
    chosen = choose_normalisation(image)
    assert (chosen.low, chosen.high) == ((0.0,), (1.0,))
    assert chosen.apply(image.read(0, 0, 0, 9, 9)).max() == 0


def test_values_beyond_float32_and_infinities_do_not_set_the_contrast():
    array = np.linspace(0, 100, 250_000).reshape(500, 500)
    array[0, :3] = [1e300, np.inf, -np.inf]
    image = open_image(array)
    chosen = choose_normalisation(image)
    assert 0 <= chosen.low[0] < 1
    assert 99 < chosen.high[0] <= 100
    assert chosen.apply(image.read(0, 0, 0, 1, 3))[0, :, 0].tolist() == [255, 255, 0]


def test_nodata_does_not_set_the_contrast(tmp_path, rng):
    picture = rng.uniform(10, 20, (100, 100)).astype(np.float32)
    picture[:50] = -3.4028235e38
    tifffile.imwrite(tmp_path / "n.tif", picture, extratags=[(42113, "s", 0, "-3.4028235e38", True)])
    chosen = choose_normalisation(open_image(tmp_path / "n.tif"))
    assert 10 <= chosen.low[0] < chosen.high[0] <= 20
