"""Axes and series: declared, chosen by the user, or recognised by shape; never guessed silently."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_sam import open_image
from napari_sam.errors import ImageError
from napari_sam.io.images.address import Choice, split_address


def plain(path, array, **keywords):
    stored = zarr.create_array(path, shape=array.shape, chunks=array.shape, dtype=array.dtype, **keywords)
    stored[...] = array
    return path


@pytest.mark.parametrize(("planes", "axes"), [(30, "zyx"), (6, "zyx"), (3, "cyx")])
def test_a_plain_zarr_with_planes_first_is_a_picture_of_its_rows_and_columns(tmp_path, rng, planes, axes):
    array = rng.integers(0, 5000, (planes, 64, 80)).astype(np.uint16)
    image = open_image(plain(tmp_path / "a.zarr", array))
    assert (image.array_axes, image.shape) == (axes, (64, 80))
    assert (image.read(0, 0, 0, 64, 80)[..., 0] == array[0]).all()
    assert "{axes}" in image.choices[0]


def test_axes_that_the_shape_does_not_tell_are_asked_for(tmp_path):
    path = plain(tmp_path / "a.zarr", np.zeros((64, 64, 64), np.uint8))
    with pytest.raises(ImageError, match="axes of an array of shape") as refused:
        open_image(path)
    assert refused.value.parameter == "axes"
    assert open_image(path, axes="zyx").array_axes == "zyx"
    assert open_image(f"{path}#axes=yxc").channel_count == 64


def test_a_stack_in_memory_is_refused_unless_its_axes_are_given(rng):
    stack = rng.integers(0, 255, (30, 64, 80)).astype(np.uint8)
    with pytest.raises(ImageError, match="may be a stack"):
        open_image(stack)
    image = open_image(stack, axes="zyx")
    assert image.shape == (64, 80)
    assert (image.with_plane((7,), (0,)).read(0, 0, 0, 64, 80)[..., 0] == stack[7]).all()
    with pytest.raises(ImageError, match="axes is 'zx'"):
        open_image(stack, axes="zx")


@pytest.mark.parametrize(
    "names", [["band", "y", "x"], ["channel", "latitude", "longitude"], ["wavelength", "row", "col"]]
)
def test_bands_by_name_are_channels(tmp_path, rng, names):
    array = rng.integers(0, 5000, (6, 64, 80)).astype(np.uint16)
    image = open_image(plain(tmp_path / "a.zarr", array, dimension_names=names))
    assert image.selected == (0, 1, 2)
    assert (image.read(0, 0, 0, 64, 80) == np.moveaxis(array[:3], 0, -1)).all()
    assert image.choices == ("uses channel 0, 1, 2 of 6: choose with {channels}",)


def test_the_axes_of_a_tiff_can_be_corrected(tmp_path, rng):
    array = rng.integers(0, 255, (5, 64, 80)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    assert open_image(tmp_path / "a.tif").channel_count == 1
    image = open_image(tmp_path / "a.tif", axes="cyx")
    assert (image.read(0, 0, 0, 64, 80) == np.moveaxis(array[:3], 0, -1)).all()


def test_declared_fill_values_of_zarr_are_nodata(tmp_path):
    path = plain(tmp_path / "a.zarr", np.zeros((8, 8), np.float32), attributes={"_FillValue": -9999.0})
    assert open_image(path).nodata == -9999


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"_FillValue": "AAAAAICHw8A="}, -9999.0),  # as xarray writes it
        ({"missing_value": [-9999.0]}, -9999.0),
        ({"_FillValue": "no"}, None),
        ({"_FillValue": True}, None),
    ],
)
def test_a_fill_value_is_read_in_every_form(tmp_path, attributes, expected):
    path = plain(tmp_path / "a.zarr", np.zeros((8, 8), np.float32), attributes=attributes)
    assert open_image(path).nodata == expected


@pytest.mark.parametrize(
    ("fill", "dimensions", "expected"), [(-9999.0, True, -9999.0), (0.0, True, None), (5.0, False, None)]
)
def test_the_fill_value_of_zarr_2_is_nodata_where_xarray_wrote_it(tmp_path, fill, dimensions, expected):
    attributes = {"_ARRAY_DIMENSIONS": ["y", "x"]} if dimensions else {}
    zarr.create_array(
        tmp_path / "a.zarr", shape=(8, 8), dtype="f4", zarr_format=2, fill_value=fill, attributes=attributes
    )
    assert open_image(tmp_path / "a.zarr").nodata == expected


def test_a_file_whose_name_ends_like_an_address_is_that_file(tmp_path):
    name = tmp_path / "a.tif#series=1"
    name.write_bytes(b"")
    assert split_address(str(name)) == (str(name), Choice())
    name.unlink()
    assert split_address(str(name)) == (str(tmp_path / "a.tif"), Choice(series=1))


def ome(path, array, axes):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=array.shape, dtype=array.dtype, chunks=array.shape)[...] = array
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * array.ndim}]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": [{"name": a} for a in axes], "datasets": datasets}]


def test_the_largest_series_of_bioformats2raw_is_opened_and_the_others_are_named(tmp_path, rng):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    small, large = (rng.integers(0, 99, shape).astype(np.uint8) for shape in ((20, 30), (64, 80)))
    ome(tmp_path / "a.zarr/0", small, "yx")
    ome(tmp_path / "a.zarr/1", large, "yx")
    image = open_image(tmp_path / "a.zarr")
    assert (image.read(0, 0, 0, 64, 80)[..., 0] == large).all()
    assert "series 0 of 20 x 30 px" in image.choices[0]
    assert open_image(tmp_path / "a.zarr", series=0).shape == (20, 30)


@pytest.mark.parametrize("names", [["../other"], ["0"]])
def test_series_that_lead_elsewhere_or_into_more_folders_are_refused(tmp_path, names):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    group.create_group("OME").attrs["series"] = names
    group.create_group("0").attrs["bioformats2raw.layout"] = 3
    with pytest.raises(ImageError, match=r"leads out of the store|without multiscales"):
        open_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("separator", ["/", "."])
def test_chunks_under_names_that_are_not_declared_are_never_read_as_black(tmp_path, rng, separator):
    array = rng.integers(1, 5000, (100, 120)).astype(np.uint16)
    encoding = {"name": "v2", "separator": separator}
    keywords = {"shape": array.shape, "chunks": (40, 40), "dtype": "uint16", "zarr_format": 2}
    zarr.create_array(tmp_path / "a.zarr", chunk_key_encoding=encoding, **keywords)[...] = array
    path = tmp_path / "a.zarr" / ".zarray"
    meta = json.loads(path.read_text())
    meta.pop("dimension_separator", None)
    if separator == ".":
        meta["dimension_separator"] = "/"
    path.write_text(json.dumps(meta))
    if separator == ".":
        with pytest.raises(ImageError, match="would be read as empty"):
            open_image(tmp_path / "a.zarr")
    else:
        assert (open_image(tmp_path / "a.zarr").read(0, 0, 0, 100, 120)[..., 0] == array).all()


def test_chunks_of_zarr_3_under_other_names_are_refused(tmp_path):
    plain(tmp_path / "a.zarr", np.ones((8, 8), np.uint8))
    path = tmp_path / "a.zarr" / "zarr.json"
    meta = json.loads(path.read_text())
    meta["chunk_key_encoding"] = {"name": "v2", "configuration": {"separator": "/"}}
    path.write_text(json.dumps(meta))
    with pytest.raises(ImageError, match="would be read as empty"):
        open_image(tmp_path / "a.zarr")
