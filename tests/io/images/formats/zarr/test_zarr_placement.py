"""Pixel sizes, positions and units in the metadata of OME-Zarr."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_sam.errors import ImageError
from napari_sam.io.images.open_image import open_image


def written(path, axes, transformations, *, shape=(8, 9), zarr_format=2):
    """Write an OME-Zarr whose axes are (name, unit)."""
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.create_array("0", shape=shape, chunks=shape, dtype="uint8")[...] = np.ones(shape, np.uint8)
    named = [{"name": name, "type": "space", "unit": unit} for name, unit in axes]
    multiscale = {"axes": named, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    if zarr_format == 2:
        group.attrs["multiscales"] = [{"version": "0.4", **multiscale}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    return path


SCALE = {"type": "scale", "scale": [0.5, 0.25]}


@pytest.mark.parametrize("names", ["yx", "YX", ("height", "width"), ("lat", "lon")])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_units_of_axes_with_any_name_are_read(tmp_path, names, zarr_format):
    axes = [(name, "nanometer") for name in names]
    image = open_image(written(tmp_path / "a.zarr", axes, [SCALE], zarr_format=zarr_format))
    assert image.unit == "nanometer"
    assert image.scale == (0.5, 0.25)


def test_units_follow_the_order_of_the_axes_when_they_are_named_anew(tmp_path):
    axes = [("z", "second"), ("y", "micrometer"), ("x", "micrometer")]
    scale = [{"type": "scale", "scale": [30, 0.5, 0.5]}]
    image = open_image(written(tmp_path / "a.zarr", axes, scale, shape=(3, 8, 9)), axes="tyx")
    assert image.stack_placements["t"].unit == "second"
    assert image.stack_placements["t"].scale == 30


@pytest.mark.parametrize(
    "transformation",
    [
        {"type": "affine", "affine": [[0.5, 0, 3], [0, 0.25, 4]]},
        {"type": "scale", "path": "scales"},
        {"type": "rotation", "rotation": [[0, 1], [1, 0]]},
    ],
)
def test_transformations_that_are_not_understood_leave_the_size_unknown(tmp_path, transformation):
    axes = [("y", "micrometer"), ("x", "micrometer")]
    image = open_image(written(tmp_path / "a.zarr", axes, [SCALE, transformation]))
    assert (image.scale, image.unit) == ((1.0, 1.0), None)
    assert f"type {transformation['type']} are not read" in " ".join(image.notes)


def test_a_wrong_number_of_scales_is_named(tmp_path):
    axes = [("y", "micrometer"), ("x", "micrometer")]
    path = written(tmp_path / "a.zarr", axes, [{"type": "scale", "scale": [1, 2, 3]}])
    with pytest.raises(ImageError, match="3 numbers of a transformation for 2 axes"):
        open_image(path)
