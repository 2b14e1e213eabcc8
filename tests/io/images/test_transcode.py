"""Transcoding: the same pixels, planes and places, in chunks that feed the model; resumable to the same bytes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam import open_image
from napari_sam.errors import CancelledError, ImageError, StoreError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.geo.geotiff import MapPosition
from napari_sam.io.images import transcode_plan
from napari_sam.io.images.pooling import halve
from napari_sam.io.images.transcode import transcode


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(transcode_plan, "_SHARD", 1024)


def _tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _rgb(folder, rng, shape=(1500, 2300, 3)):
    picture = rng.integers(0, 255, shape, dtype=np.uint8)
    tifffile.imwrite(folder / "a.tif", picture, photometric="rgb", tile=(256, 256), compression="zlib")
    return folder / "a.tif", picture


def test_pixels_levels_and_layout(tmp_path, rng):
    path, picture = _rgb(tmp_path, rng)
    image = transcode(path, tmp_path / "a.ome.zarr")
    assert image.levels == [(1500, 2300), (750, 1150), (375, 575), (188, 288)]
    assert image.arrays[0].chunks == (1, 512, 512)
    assert len(list((tmp_path / "a.ome.zarr" / "0").rglob("c/0/*/*"))) == 6
    level = picture
    for i, (h, w) in enumerate(image.levels):
        np.testing.assert_array_equal(image.read(i, 0, 0, h, w), level)
        level = halve(level)


def test_other_libraries_read_it(tmp_path, rng):
    path, picture = _rgb(tmp_path, rng)
    transcode(path, tmp_path / "a.ome.zarr", codec="lz4")
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    np.testing.assert_array_equal(group["0"][:], np.moveaxis(picture, -1, 0))
    meta = group.attrs["ome"]["multiscales"][0]
    assert [a["name"] for a in meta["axes"]] == ["c", "y", "x"]
    assert meta["datasets"][2]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 4.0, 4.0]},
        {"type": "translation", "translation": [0.0, 1.5, 1.5]},
    ]


@pytest.mark.parametrize(
    ("axes", "shape"), [("TZCYX", (2, 3, 2, 70, 90)), ("CZYX", (2, 3, 70, 90)), ("YXS", (70, 90, 3))]
)
def test_all_planes_and_channels_are_kept(tmp_path, rng, axes, shape):
    stack = rng.integers(0, 60_000, shape, dtype=np.uint16)
    options = {"photometric": "rgb"} if axes == "YXS" else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "s.ome.tif", stack, metadata={"axes": axes, "PhysicalSizeX": 0.5}, ome=True, **options)
    transcode(tmp_path / "s.ome.tif", tmp_path / "s.ome.zarr")
    found = zarr.open_group(tmp_path / "s.ome.zarr", mode="r")["0"][:]
    names = axes.replace("S", "C")
    order = [names.index(a) for a in "TCZYX" if a in names]
    np.testing.assert_array_equal(found, stack.transpose(order))


def test_map_position_and_pixel_size_are_kept(tmp_path, rng):
    path = tmp_path / "g.tif"
    matrix = (8.0, 6.0, 0, 500_000.0, 6.0, -8.0, 0, 6_000_000.0, 0, 0, 0, 0, 0, 0, 0, 1)
    tags = [(34264, "d", 16, matrix, True), (34735, "H", 8, (1, 1, 0, 1, 3072, 0, 1, 32632), True)]
    tifffile.imwrite(path, rng.integers(0, 9, (60, 70), dtype=np.uint8), extratags=tags)
    before, after = open_image(path), transcode(path, tmp_path / "g.ome.zarr")
    assert (after.crs, after.transform, after.scale) == ("EPSG:32632", before.transform, (10.0, 10.0))


def test_control_points_that_no_affine_fits_are_still_reported(tmp_path):
    source = open_image(np.zeros((60, 70), np.uint8))
    source.locate(MapPosition("EPSG:4326", None, 4))
    image = transcode(source, tmp_path / "g.ome.zarr")
    assert image.position == source.position
    assert any("4 ground control points" in note for note in image.choices)


def test_a_stopped_run_resumes_to_the_same_bytes(tmp_path, rng):
    path, _ = _rgb(tmp_path, rng)
    transcode(path, tmp_path / "whole.zarr")
    count = itertools.count()
    with pytest.raises(CancelledError):
        transcode(path, tmp_path / "part.zarr", cancelled=lambda: next(count) == 4)
    with pytest.raises(ImageError, match="--resume"):
        open_image(tmp_path / "part.zarr")
    with pytest.raises(StoreError, match="resume=True"):
        transcode(path, tmp_path / "part.zarr")
    transcode(path, tmp_path / "part.zarr", resume=True)
    assert _tree(tmp_path / "part.zarr") == _tree(tmp_path / "whole.zarr")


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, rng):
    path, _ = _rgb(tmp_path, rng, (2500, 2500, 3))
    transcode(path, tmp_path / "whole.zarr")
    code = (
        "import sys; from pathlib import Path; from napari_sam.io.images import transcode_plan;"
        "from napari_sam.io.images.transcode import transcode; transcode_plan._SHARD = 1024;"
        "transcode(sys.argv[1], Path(sys.argv[2]), progress=lambda d, t: print(d, flush=True))"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "part.zarr")]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ.copy())
    for line in worker.stdout:
        if int(line) == 5:
            worker.send_signal(signal.SIGKILL)
            break
    assert worker.wait() == -signal.SIGKILL
    worker.stdout.close()
    transcode(path, tmp_path / "part.zarr", resume=True)
    whole, part = _tree(tmp_path / "whole.zarr"), _tree(tmp_path / "part.zarr")
    assert {k: v for k, v in part.items() if ".__lock" not in k} == whole


def test_each_pixel_of_the_source_is_read_once(tmp_path, rng, monkeypatch):
    path, _ = _rgb(tmp_path, rng)
    image, seen = open_image(path), np.zeros((1500, 2300), int)
    read = type(image).read

    def watched(self, level, y0, x0, y1, x1, step=1):
        seen[y0:y1, x0:x1] += 1
        return read(self, level, y0, x0, y1, x1, step)

    monkeypatch.setattr(type(image), "read", watched)
    transcode(image, tmp_path / "a.ome.zarr")
    assert (seen.min(), seen.max()) == (1, 1)


def test_striped_files_are_decoded_once(tmp_path, rng, monkeypatch):
    picture = rng.integers(0, 9, (700, 9000), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", picture, rowsperstrip=64, compression="zlib")
    image = open_image(tmp_path / "s.tif")
    array, decoded = image.arrays[0], []
    decode = type(array)._decode
    monkeypatch.setattr(type(array), "_decode", lambda self, p, f, i, k: decoded.append(i) or decode(self, p, f, i, k))
    out = transcode(image, tmp_path / "s.ome.zarr")
    np.testing.assert_array_equal(out.read(0, 0, 0, 700, 9000)[..., 0], picture)
    assert sorted(decoded) == list(range(11))


@pytest.mark.parametrize("there", ["file", "folder", "finished", "other"])
def test_existing_files_are_never_overwritten(tmp_path, rng, there):
    path, _ = _rgb(tmp_path, rng, (100, 100, 3))
    out = tmp_path / "out.zarr"
    if there == "file":
        out.write_text("mine")
    elif there == "folder":
        (out / "mine").mkdir(parents=True)
    else:
        transcode(path, out)
    if there == "other":
        path, _ = _rgb(tmp_path, np.random.default_rng(5), (100, 101, 3))
    before = _tree(out) if out.is_dir() else out.read_text()
    with pytest.raises(StoreError, match=r"choose another name"):
        transcode(path, out, resume=there == "other")
    assert (_tree(out) if out.is_dir() else out.read_text()) == before


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path, rng, monkeypatch):
    path, _ = _rgb(tmp_path, rng, (600, 600, 3))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(StoreError, match="make room"):
        transcode(path, tmp_path / "a.ome.zarr")


def test_an_image_that_vanishes_is_reported_and_written_blocks_are_kept(tmp_path, rng):
    path, _ = _rgb(tmp_path, rng)
    image = open_image(path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ImageError, match=r"a\.tif"):
        transcode(image, tmp_path / "a.ome.zarr")
    assert json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]["napari_sam"]["unfinished"]


@pytest.mark.parametrize(
    ("name", "message"), [("out.tif", r"end in \.ome\.zarr"), ("no/out.ome.zarr", "create it first")]
)
def test_an_invalid_output_is_named_and_nothing_is_written(tmp_path, name, message):
    with pytest.raises(StoreError, match=message):
        transcode(np.zeros((9, 9), np.uint8), tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_what_a_file_declares_about_its_pixels_is_kept(tmp_path, rng):
    picture = rng.integers(0, 16, (64, 64)).astype(np.uint8)
    tag = [(42113, "s", 0, "7", True)]
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="miniswhite", bitspersample=4, extratags=tag)
    image = transcode(tmp_path / "a.tif", tmp_path / "a.ome.zarr")
    assert (image.inverted, image.bits, image.nodata) == (True, 4, 7.0)


def test_place_and_units_of_all_axes_are_kept(tmp_path):
    source = open_image(np.zeros((2100, 90), np.uint8))
    source.place({"y": AxisPlacement(0.5, 100, "micrometer"), "x": AxisPlacement(0.25, 200, "micrometer")})
    image = transcode(source, tmp_path / "o.zarr")
    assert (image.scale, image.translation, image.unit) == ((0.5, 0.25), (100, 200), "micrometer")
    multiscale = json.loads((tmp_path / "o.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert multiscale["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 0.5]},
        {"type": "translation", "translation": [100.25, 200.125]},
    ]


def test_the_distance_of_planes_is_kept(tmp_path):
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2, "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 64, 64), np.uint8), metadata={"axes": "ZYX", **sizes})
    image = transcode(tmp_path / "a.ome.tif", tmp_path / "o.zarr")
    assert image.placement("z") == AxisPlacement(0.002, 0, "micrometer")
    assert (image.scale, image.unit) == ((0.5, 0.5), "micrometer")


@pytest.mark.parametrize("ngff", ["0.5", "0.4"])
@pytest.mark.parametrize(
    ("axes", "shape"), [("YX", (1100, 700)), ("TZCYX", (2, 3, 2, 70, 90)), ("YXS", (1500, 900, 3))]
)
def test_each_version_of_the_format_is_valid_and_holds_the_same_pixels(tmp_path, rng, ngff, axes, shape):
    from ome_zarr_models.v04.image import ImageAttrs
    from ome_zarr_models.v05.image import Image

    stack = rng.integers(0, 60_000, shape, dtype=np.uint16)
    options = {"photometric": "rgb"} if axes == "YXS" else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "s.ome.tif", stack, metadata={"axes": axes, "PhysicalSizeX": 0.5}, ome=True, **options)
    image = transcode(tmp_path / "s.ome.tif", tmp_path / "s.ome.zarr", ngff=ngff, codec="zstd")
    group = zarr.open_group(tmp_path / "s.ome.zarr", mode="r")
    assert group.metadata.zarr_format == (3 if ngff == "0.5" else 2)
    if ngff == "0.5":
        Image.from_zarr(group)
        stored = axes.replace("YXS", "CYX").lower()
        assert list(group["0"].metadata.dimension_names) == [a for a in "tczyx" if a in stored]
    else:
        assert ImageAttrs(**group.attrs.asdict()).multiscales[0].version == "0.4"
    expected = np.moveaxis(stack, -1, 0) if axes == "YXS" else stack
    order = ["TZCYX".index(a) for a in "TCZYX"] if axes == "TZCYX" else range(expected.ndim)
    np.testing.assert_array_equal(group["0"][:], expected.transpose(order))
    assert len(group[str(len(image.levels) - 1)].shape) == expected.ndim


def test_version_0_4_resumes_to_the_same_bytes(tmp_path, rng):
    path, _ = _rgb(tmp_path, rng)
    transcode(path, tmp_path / "whole.zarr", ngff="0.4")
    count = itertools.count()
    with pytest.raises(CancelledError):
        transcode(path, tmp_path / "part.zarr", ngff="0.4", cancelled=lambda: next(count) == 4)
    transcode(path, tmp_path / "part.zarr", ngff="0.4", resume=True)
    assert _tree(tmp_path / "part.zarr") == _tree(tmp_path / "whole.zarr")


def test_an_unknown_version_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"choose one of 0\.5, 0\.4") as raised:
        transcode(np.zeros((9, 9), np.uint8), tmp_path / "a.ome.zarr", ngff="0.3")
    assert raised.value.parameter == "ngff"
