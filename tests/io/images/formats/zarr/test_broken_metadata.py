"""Zarr metadata with one value replaced by a wrong one: read, or refused in one line."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
import zarr

from napari_sam import open_image
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.errors import NapariSamError
from napari_sam.io.images.transcode import transcode

WRONG = (None, [], {}, "x", -1, 0, 1 << 70, True, [[]], [{}], {"a": 1}, "NaN", [1, 2, 3], "../x", float("nan"))
REMOVED = object()


def plain(path, array):
    keywords = {"shape": array.shape, "chunks": (32, 32), "dtype": "uint16", "dimension_names": ["y", "x"]}
    zarr.create_array(path, attributes={"_FillValue": 3}, **keywords)[...] = array


def old(path, array):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=array.shape, chunks=(32, 32), dtype="uint16")[...] = array
    scale = [{"type": "scale", "scale": [0.5, 0.5]}, {"type": "translation", "translation": [1.0, 2.0]}]
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["omero"] = {"channels": [{"label": "a", "color": "FF0000", "active": True}]}


def series(path, array):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    old(path / "0", array)
    group.create_group("OME").attrs["series"] = ["0"]


LAYOUTS = {"plain": plain, "old": old, "new": lambda path, array: transcode(array, path), "series": series}


def places(content, place=()):
    """Return the position of every value in a JSON document, the document itself first."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place, *(found for key, value in inner for found in places(value, (*place, key)))]


def replaced(content, place, value):
    changed = copy.deepcopy(content)
    if not place:
        return value
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    if value is REMOVED:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return changed


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_wrong_values_are_read_or_refused_in_one_line(tmp_path, layout):
    path, choice = tmp_path / "a.ome.zarr", random.Random(7)
    LAYOUTS[layout](path, np.arange(64 * 80, dtype=np.uint16).reshape(64, 80))
    for document in sorted(p for p in path.rglob("*") if p.name in ("zarr.json", ".zarray", ".zattrs")):
        text = document.read_text()
        content = json.loads(text)
        for place in places(content)[1:]:
            for value in (*choice.sample(WRONG, 2), REMOVED):
                document.write_text(json.dumps(replaced(content, place, value)))
                try:
                    image = open_image(path)
                    image.read(0, 0, 0, *(min(9, n) for n in image.shape))
                    choose_normalisation(image)
                except NapariSamError as refused:
                    assert "\n" not in str(refused)  # noqa: PT017 - most mutations are refused
        document.write_text(text)
